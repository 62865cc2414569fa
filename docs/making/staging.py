"""The pages as the site has them: those of docs/, the repository's own, and what pages link to outside of docs/."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
DOCS = ROOT / "docs"
OWN = {name: f"project/{name.lower()}" for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")}
OWN["LICENSE"] = "project/license.md"
_ASSETS = (".svg", ".png", ".json", ".css", ".js", ".ipynb", ".html")
_NOT_PAGES = ("making",)
_FENCE = re.compile(r"^```.*?^```\s*?$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(\]\()([^)\s#:]+)((?:#[^)\s]*)?\))")
_BENCHMARK = re.compile(r"(?<!\[)`(benchmarks/\w+\.py)`")
_MOST_BYTES = 200_000


def pages() -> dict[str, str]:
    """All Markdown of docs/ and of the repository's own files, by the place on the site."""
    found = {str(path.relative_to(DOCS)): path.read_text(encoding="utf-8") for path in sources()}
    staged = {name: _staged(text, DOCS / name, name) for name, text in found.items()}
    for name, place in OWN.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        staged[place] = _staged(text if name.endswith(".md") else f"# Licence\n\n{text}", ROOT / name, place)
    return staged | _linked_sources(found)


def sources() -> list[Path]:
    """The pages of docs/ that are written by hand."""
    return sorted(path for path in DOCS.rglob("*.md") if path.relative_to(DOCS).parts[0] not in _NOT_PAGES)


def assets() -> list[Path]:
    """What pages show and link to beside pages."""
    return sorted(
        path for path in DOCS.rglob("*") if path.suffix in _ASSETS and path.relative_to(DOCS).parts[0] not in _NOT_PAGES
    )


def _staged(text: str, path: Path, place: str) -> str:
    """`text`, its links as the site has them and its examples as sessions without what only doctest wants."""
    parts, end = [], 0
    for fence in _FENCE.finditer(text):
        parts += [_relinked(text[end : fence.start()], path, place), session(fence[0])]
        end = fence.end()
    return "".join([*parts, _relinked(text[end:], path, place)])


def session(fence: str) -> str:
    """A fence as readers want it.

    >>> session("```python\\n>>> 1 + 1  # doctest: +SKIP\\n2\\n\\n```").split("\\n")
    ['```pycon', '>>> 1 + 1', '2', '```']
    """
    if not fence.startswith("```python\n>>>"):
        return fence
    body = fence.removeprefix("```python\n").removesuffix("```").rstrip().replace("<BLANKLINE>", "")
    return f"```pycon\n{re.sub(r'  # doctest: .*', '', body)}\n```"


def _relinked(text: str, path: Path, place: str) -> str:
    text = _BENCHMARK.sub(lambda named: f"[{named[0]}]({os.path.relpath(ROOT / named[1], path.parent)})", text)

    def relinked(link: re.Match[str]) -> str:
        target = (path.parent / link[2]).resolve()
        if target.suffix == ".ipynb" or not target.exists() or (DOCS in target.parents and DOCS in path.parents):
            return link[0].replace(".ipynb", ".md")  # a link within docs/; one that leads nowhere the build tells
        return f"{link[1]}{os.path.relpath(_place(target), Path(place).parent)}{link[3]}"

    return _LINK.sub(relinked, text)


def _place(target: Path) -> str:
    """Where the site has a file or folder of the repository."""
    name = str(target.relative_to(ROOT))
    if target.is_relative_to(DOCS):
        return str(target.relative_to(DOCS))
    return OWN.get(name, f"sources/{name}.md")


def _linked_sources(found: dict[str, str]) -> dict[str, str]:
    """A page for each file outside of docs/ that a page links to: its text; for a folder, its files' names."""
    texts = [(DOCS / name, text) for name, text in found.items()]
    texts += [(ROOT / name, (ROOT / name).read_text(encoding="utf-8")) for name in OWN]
    targets = {target for path, text in texts for target in _outside(text, path)}
    return {_place(target): _source_page(target) for target in sorted(targets)}


def links_of(text: str) -> list[re.Match[str]]:
    """The links of a page to files: the third part of each is the anchor, the second what is in front of it."""
    return list(_LINK.finditer(_FENCE.sub("", text)))


def _outside(text: str, path: Path) -> Iterator[Path]:
    text = _BENCHMARK.sub(lambda named: f"]({os.path.relpath(ROOT / named[1], path.parent)})", text)
    for link in links_of(text):
        target = (path.parent / link[2]).resolve()
        if target.exists() and target.is_relative_to(ROOT) and _place(target).startswith("sources/"):
            yield target


def _source_page(target: Path) -> str:
    name = target.relative_to(ROOT)
    if target.is_dir():
        listed = [f"- `{path.name}`" for path in sorted(target.iterdir()) if not path.name.startswith(("__", "."))]
        return "\n".join([f"# {name}/", "", *listed])
    if target.stat().st_size > _MOST_BYTES:
        raise ValueError(f"{name} is linked to and has more than {_MOST_BYTES} bytes")
    text = target.read_text(encoding="utf-8")
    return text if target.suffix == ".md" else f"# {name}\n\n````{target.suffix[1:]}\n{text.rstrip()}\n````"
