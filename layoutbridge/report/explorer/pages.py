"""The explorer's page: its parts, one behind another, and the catalogue in it."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from importlib.resources import files

from layoutbridge.report.explorer.catalogue import catalogue_record
from layoutbridge.version import __version__

_SCRIPTS = (
    "sizes", "patterns", "digits", "operations", "naming", "code", "code_graphs", "own", "state", "elements", "planes",
    "lanes", "chips", "controls", "telling", "page",
)  # fmt: skip
_SLOT = re.compile(r"\{\{(\w+)\}\}")


def explorer_page(start: str = "") -> str:
    """The whole page as HTML. It begins with what `start` says, the part of a link behind its #.

    The page may run its own script, known by its digest, and nothing else; it can load nothing.

    >>> page = explorer_page()
    >>> page.count("<script"), "http://" in page.replace("http://www.w3.org/", "")
    (2, False)
    """
    style = _part("style.css")
    script = "\n".join(['(function () {\n"use strict";', *(_part(f"{name}.js") for name in _SCRIPTS), "})();"])
    policy = (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    held = {
        "policy": policy,
        "style": style,
        "script": script,
        "catalogue": _as_data({**catalogue_record(), "start": start}),
        "version": __version__,
    }
    return _filled(_part("page.html"), held)


def _filled(template: str, held: Mapping[str, str]) -> str:
    """The template with each {{slot}} filled, in one pass: what fills a slot is not read again."""
    return _SLOT.sub(lambda slot: held[slot[1]], template)


def _part(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    """As a policy names an inline part of a page."""
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"


def _as_data(value: object) -> str:
    """JSON that can stand in HTML: nothing in it ends the element that it is in, or begins another."""
    text = json.dumps(value, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
