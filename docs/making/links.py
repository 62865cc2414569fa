"""The built site as a browser without a network finds it: every link, picture and script is there, and every anchor."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

_LOADED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "object": "data", "source": "src"}


class _Page(HTMLParser):
    """What a page points to, what it loads, and its anchors."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[tuple[str, bool]] = []
        self.anchors: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag."""
        held = dict(attrs)
        self.anchors |= {name for key in ("id", "name") if (name := held.get(key))}
        loaded = held.get(_LOADED.get(tag, ""))
        target = held.get("href") if tag == "a" else loaded
        if target is not None and not (tag == "link" and held.get("rel") in ("canonical", "next", "prev")):
            self.links.append((target, loaded is not None))


def dead_links(site: Path) -> list[str]:
    """What leads nowhere, and what is loaded from elsewhere: a line each."""
    return [
        f"{page.relative_to(site)}: {wrong}"
        for page in sorted(site.rglob("*.html"))
        if page.name != "404.html"  # whose links are those of a server's root
        for wrong in _wrong(page)
    ]


def _wrong(page: Path) -> Iterator[str]:
    for target, loaded in _read(page).links:
        parts = urlsplit(target)
        if parts.scheme or parts.netloc:
            if loaded and parts.scheme != "data":
                yield f"loads {target}"
            continue
        file = (page.parent / unquote(parts.path)).resolve() if parts.path else page
        if not file.exists():
            yield f"links to {target}, which is not there"
        elif (
            parts.fragment and file.suffix == ".html" and unquote(parts.fragment) not in _read(file).anchors | {"__top"}
        ):
            yield f"links to {target}, an anchor that is not there"


@cache
def _read(page: Path) -> _Page:
    read = _Page()
    read.feed(page.read_text(encoding="utf-8"))
    return read
