"""The site, from a clean checkout: built without a warning, whole, and in two minutes."""

import os
import shutil
import subprocess
import sys
from importlib import import_module
from inspect import isfunction
from pathlib import Path

import pytest

from docs.making import functions

ROOT = Path(__file__).resolve().parent.parent.parent
SECONDS = 120


def methods(module):
    """The public functions and classes of a module, and the public methods that the classes define."""
    for path in functions.public(module).values():
        yield path
        home, _, name = path.rpartition(".")
        held = getattr(import_module(home), name)
        if isinstance(held, type):
            yield from (f"{path}.{each}" for each, value in vars(held).items() if each[0] != "_" and isfunction(value))


@pytest.mark.thorough
def test_make_docs(tmp_path):
    checkout = tmp_path / "checkout"
    shutil.copytree(ROOT, checkout, ignore=shutil.ignore_patterns(".*", "__pycache__", "build", "dist"))
    before = os.times()
    made = subprocess.run(
        ["make", "docs", f"PYTHON={sys.executable}"], cwd=checkout, capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stdout + made.stderr
    assert "pages: open site/index.html" in made.stdout
    after = os.times()  # of the processor: other programs take their time beside it
    assert after.children_user + after.children_system - before.children_user - before.children_system < SECONDS
    for name in (
        "index",
        "start/index",
        "commands/scan",
        "functions/layoutbridge",
        "notebooks/reorg_at_last",
        "layers",
    ):
        assert (checkout / "site" / f"{name}.html").stat().st_size > 5000, name
    for module in functions.MODULES:
        page = (checkout / "site" / "functions" / f"{module.rpartition('.')[2]}.html").read_text()
        assert [name for name in methods(module) if f'id="{name}"' not in page] == []


@pytest.mark.thorough
def test_a_misspelt_name_and_a_dead_link_fail(tmp_path):
    checkout = tmp_path / "checkout"
    shutil.copytree(ROOT, checkout, ignore=shutil.ignore_patterns(".*", "__pycache__", "build", "dist"))
    (checkout / "docs" / "wrong.md").write_text("# Wrong\n\n[here](nowhere.md), [there](scan.md#nowhere)\n")
    python = ROOT / ".venv-docs" / "bin" / "python"
    if not python.exists():
        pytest.skip("make docs has not set up .venv-docs")
    made = subprocess.run([python, "-m", "docs.making"], cwd=checkout, capture_output=True, text=True, check=False)
    assert made.returncode == 1
    assert "wrong.md:3" in made.stderr
    (checkout / "docs" / "wrong.md").write_text("# Wrong\n\nCall `lb.prov`.\n")
    made = subprocess.run([python, "-m", "docs.making"], cwd=checkout, capture_output=True, text=True, check=False)
    assert (made.returncode, made.stderr.splitlines()[0]) == (1, "wrong.md:3: lb.prov")
