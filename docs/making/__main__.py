"""Build the site: `python -m docs.making`, as `make docs` does. A warning, misspelt name or dead link is an error."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from docs.making import catalogue, commands, functions, layers, links, names, navigation, notebooks, shown, staging

_BUILD = staging.ROOT / "build"
_STAGED = _BUILD / "docs"
_CONFIGURATION = _BUILD / "mkdocs.yml"  # JSON is YAML, and Python writes JSON
_SITE = staging.ROOT / "site"
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_WARNING = re.compile(r"^Warning: (.*)\n.*╭─\[ *(.*?) *\]", re.MULTILINE)


def main() -> int:
    """Write all pages, check their names, build, check the links; returns the exit code."""
    written = staging.pages()
    generated = {
        name: page
        for part in (commands, functions, catalogue, layers, notebooks)
        for name, page in part.pages().items()
    }
    if twice := sorted(set(written) & set(generated)):
        return _failed([f"docs/{name} is generated: it cannot be written by hand" for name in twice])
    hand_made = {name: text for name, text in written.items() if not name.startswith(("sources/", "atlas.md"))}
    hand_made |= {name: page for name, page in generated.items() if name.startswith("notebooks/")}
    if wrong := names.misspelled(hand_made):
        return _failed([*wrong, "What is another program's goes into docs/making/foreign_names.txt."])
    _stage(written | generated)
    if warnings := _built():
        return _failed(warnings)
    shutil.rmtree(_SITE, ignore_errors=True)
    shutil.move(_BUILD / "site", _SITE)  # it is only built below its configuration
    if dead := links.dead_links(_SITE):
        return _failed(dead)
    count = sum(1 for _ in _SITE.rglob("*.html"))
    print(f"{count} pages: open {(_SITE / 'index.html').relative_to(staging.ROOT)}")
    return 0


def _built() -> list[str]:
    """Build the site; returns what the builder warns of, a line each."""
    # Without its cache, which knows pages alone: functions are read from the package.
    built = subprocess.run(
        [sys.executable, "-m", "zensical", "build", "--strict", "--clean", "-f", _CONFIGURATION],
        cwd=staging.ROOT,
        env=os.environ | {"PYTHONPATH": str(staging.ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    told = _COLOUR.sub("", built.stdout)
    warnings = [f"{place}: {what}" for what, place in _WARNING.findall(told)]
    raised = "Traceback" in told.partition("issues found")[0]
    return [told] if raised or (built.returncode and not warnings) else warnings


def _stage(pages: dict[str, str]) -> None:
    """Write the pages, what they show, and the configuration."""
    shutil.rmtree(_STAGED, ignore_errors=True)
    for name, text in shown.shown(pages, _STAGED).items():
        path = _STAGED / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    for asset in staging.assets():
        path = _STAGED / asset.relative_to(staging.DOCS)
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(asset, path)
    with (Path(__file__).parent / "zensical.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    project |= {"docs_dir": "docs", "site_dir": "site", "nav": navigation.navigation(pages)}
    _CONFIGURATION.write_text(json.dumps(project, indent=1), encoding="utf-8")


def _failed(lines: list[str]) -> int:
    print(*lines, sep="\n", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
