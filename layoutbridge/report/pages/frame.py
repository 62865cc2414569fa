"""The frame of a page: what may be in it, its verdict, its sections and the way to each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from layoutbridge.report.pages.parts import text
from layoutbridge.report.pages.style import STYLE
from layoutbridge.version import __version__

Tone = Literal["right", "wrong", "open", "told"]  # "told" is what nobody judges
_SIGNS = {"right": "✓", "wrong": "✗", "open": "!", "told": "»"}
# Whatever a name in a page might be: nothing runs, nothing is fetched, nothing is sent.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


@dataclass(frozen=True)
class Section:
    """A part of a page under a heading that the contents lead to; `body` is HTML."""

    heading: str
    body: Sequence[str]


@dataclass(frozen=True)
class Verdict:
    """What a page says first: a few words, and what else is to be said at once, as lines of text.

    `jump` are words of a link, and the place in the page that it leads to.
    """

    tone: Tone
    words: str
    lines: Sequence[str] = ()
    jump: tuple[str, str] | None = None


def page(
    title: str,
    heading: str,
    verdict: Verdict,
    sections: Iterable[Section],
    *,
    opening: Sequence[str] = (),
    made_by: str,
    style: str = "",
) -> str:
    """A whole page: `title`, `heading` and `made_by` are text, `opening` is HTML between the verdict and the sections.

    >>> shown = page("a < b", "One", Verdict("right", "2 > 1"), [Section("Why", ["<p>so</p>"])], made_by="me")
    >>> shown.count("a &lt; b"), shown.count("2 &gt; 1"), shown.count('id="why"')
    (1, 1, 1)
    """
    parts = list(sections)
    anchors = [_anchor(each.heading) for each in parts]
    links = [
        f'<li><a href="#{anchor}">{text(each.heading)}</a></li>' for anchor, each in zip(anchors, parts, strict=True)
    ]
    contents = ['<nav aria-label="Contents"><ul>', *links, "</ul></nav>"] if len(links) > 1 else []
    lines = [
        "<!DOCTYPE html>", '<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="referrer" content="no-referrer">',
        f"<title>{text(title)}</title><style>{STYLE}{style}</style></head><body>",
        f'<header><p class="eyebrow">{text(made_by)}</p><h1>{text(heading)}</h1>', *_verdict(verdict), *opening,
        *contents, "</header><main>",
    ]  # fmt: skip
    for anchor, each in zip(anchors, parts, strict=True):
        lines += [f'<section aria-labelledby="{anchor}"><h2 id="{anchor}">{text(each.heading)}</h2>', *each.body]
        lines.append("</section>")
    lines += [
        f"</main><footer>Written by layoutbridge {__version__}. Nothing in this page runs or is fetched.</footer>"
    ]
    return "\n".join([*lines, "</body></html>", ""])


def _verdict(verdict: Verdict) -> list[str]:
    lines = [f"<p>{text(line)}</p>" for line in verdict.lines]
    if verdict.jump is not None:
        words, place = verdict.jump
        lines.append(f'<p><a href="#{text(place)}">{text(words)}</a></p>')
    sign = f'<span class="sign" aria-hidden="true">{_SIGNS[verdict.tone]}</span>'
    return [
        f'<div class="verdict {verdict.tone}" role="region" aria-label="Verdict">',
        f"<p>{sign}<strong>{text(verdict.words)}</strong></p>",
        *lines,
        "</div>",
    ]


def _anchor(heading: str) -> str:
    return "".join(char if char.isascii() and char.isalnum() else "-" for char in heading.lower())
