"""The wheel and the sdist: the same bytes wherever they are built, with all that is needed and nothing else."""

import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

import layoutbridge

pytest.importorskip("hatchling", reason="hatchling, which builds them, is not installed")
pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent
LEFT_OUT = {".ci/run", ".gitattributes"}  # of what is tracked


def build(folder, to, **environment):
    """The wheel and the sdist of the sources in `folder`."""
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(to)]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000", **environment}
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    (wheel,), (sdist,) = to.glob("*.whl"), to.glob("*.tar.gz")
    return wheel, sdist


def copied(folder):
    """The sources in another folder, of another age and another mask."""
    sources = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["sdist"][
        "include"
    ]
    folder.mkdir(parents=True)
    for pattern in (*sources, "/pyproject.toml", "/LICENSE", "/.gitignore"):
        for path in ROOT.glob(pattern[1:]):
            if path.is_dir():
                shutil.copytree(path, folder / path.name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copyfile(path, folder / path.name)
    for path in folder.rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)
        os.utime(path, (1e9, 1e9))
    return folder


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return build(ROOT, tmp_path_factory.mktemp("built"))


def test_the_bytes_are_the_same_in_another_folder_at_another_time(built, tmp_path):
    again = build(copied(tmp_path / "deep" / "er"), tmp_path / "dist", TZ="Asia/Tokyo", PYTHONHASHSEED="7")
    for first, second in zip(built, again, strict=True):
        assert (first.name, first.read_bytes()) == (second.name, second.read_bytes())


def test_the_sdist_builds_the_same_wheel(built, tmp_path):
    wheel, sdist = built
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (folder,) = tmp_path.iterdir()
    assert build(folder, tmp_path / "dist")[0].read_bytes() == wheel.read_bytes()


def test_the_sdist_holds_what_is_tracked(built):
    if not (ROOT / ".git").exists():
        pytest.skip("these sources are no checkout")
    listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, text=True,
                            capture_output=True, check=True).stdout.splitlines()  # fmt: skip
    with tarfile.open(built[1]) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    assert held == (set(listed) - LEFT_OUT) | {"PKG-INFO"}


def test_the_wheel_runs_by_itself(built, tmp_path):
    wheel, _ = built
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    names = {path.parts[0] for path in map(Path, archive.namelist())}
    assert names == {"layoutbridge", f"layoutbridge-{layoutbridge.__version__}.dist-info"}
    held = {name for name in archive.namelist() if name.startswith("layoutbridge/") and not name.endswith(".py")}
    explorer = {name for name in held if name.startswith("layoutbridge/report/explorer/")}
    assert {Path(name).suffix for name in explorer} == {".html", ".css", ".js"}
    assert held - explorer == {"layoutbridge/py.typed", "layoutbridge/atlas/atlas.json"}
    done = subprocess.run([sys.executable, "-m", "layoutbridge", "prove", "darknet_reorg", "space_to_depth"],
                          cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path)}, text=True,
                          capture_output=True, check=False)  # fmt: skip
    assert done.returncode == 1 and done.stderr == "", done
    done = subprocess.run([sys.executable, "-m", "layoutbridge", "port", "ncnn:Reorg:1", "--to", "onnxruntime"],
                          cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path)}, text=True,
                          capture_output=True, check=False)  # fmt: skip
    assert done.returncode == 0 and "SpaceToDepth" in done.stdout, done
    done = subprocess.run([sys.executable, "-m", "layoutbridge", "explore", "-o", "explorer.html"],
                          cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path)}, text=True,
                          capture_output=True, check=False)  # fmt: skip
    assert done.returncode == 0 and (tmp_path / "explorer.html").stat().st_size > 100_000, done
