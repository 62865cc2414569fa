"""What pages show of the program itself: a comment names the command that writes a file, which is there on the site.

    <!-- site: layoutbridge show darknet_reorg --compare space_to_depth -o reorg.svg -->

A reader of the repository sees nothing of it. A picture is shown in the colours of the site, a page in a frame.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
MARK = re.compile(r"^<!-- site: (layoutbridge .+?) -->$", re.MULTILINE)
_WRITES = ("-o", "--output", "--html")
_FINDINGS = (0, 1)  # a report of a finding is a report
_THEMES = ("light", "dark")


def shown(pages: Mapping[str, str], folder: Path) -> dict[str, str]:
    """The pages with what their comments name, its files written below `folder`; raises `RuntimeError`."""
    return {
        place: MARK.sub(lambda mark, place=place: _shown(mark[1], (folder / place).parent), text)  # type: ignore[misc]
        for place, text in pages.items()
    }


def _shown(command: str, folder: Path) -> str:
    _, *words = shlex.split(command)
    at = next(index + 1 for index, word in enumerate(words) if word in _WRITES)
    name = words[at]
    folder.mkdir(parents=True, exist_ok=True)
    if not name.endswith(".svg"):
        _run([*words[:at], _written(folder / name), *words[at + 1 :]])
        return f'[Open it by itself]({name})\n\n<iframe src="{name}" title="{name}" loading="lazy"></iframe>'
    for theme in _THEMES:
        _run([*words[:at], _written(folder / f"{theme}-{name}"), *words[at + 1 :], "--theme", theme])
    told = shlex.join([*words[: at - 1], *words[at + 1 :]])
    pictures = "\n".join(f"![{told}]({theme}-{name}#only-{theme})" for theme in _THEMES)
    return f"{pictures}\n\n`layoutbridge {told}`"


def _written(path: Path) -> str:
    """The path as reports tell it: no folder of this machine's stands there."""
    return os.path.relpath(path, ROOT)


def _run(words: list[str]) -> None:
    from layoutbridge.cli import main

    told = io.StringIO()
    with contextlib.chdir(ROOT), contextlib.redirect_stdout(told), contextlib.redirect_stderr(told):
        code = main(words)
    if code not in _FINDINGS:
        raise RuntimeError(f"layoutbridge {shlex.join(words)}: {told.getvalue().strip()}")
