"""Every surface on its corpus and on some drawn inputs, and the hunt itself on surfaces that fail."""

import subprocess
import sys
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzzing.hunt import hunt
from tests.fuzzing.surface import BESIDE, CORPORA, surfaces
from tests.fuzzing.worker import MOST_MEMORY, ROOT, TOLD

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the hunt reads Linux's /proc")
SURFACES = {surface.name: surface for surface in (*surfaces(), *surfaces(BESIDE))}
PLAIN = [name for name, surface in SURFACES.items() if not surface.needs]
FAULTY = {surface.name: surface for surface in surfaces("tests.fuzzing.faulty")}
FINDS = {
    "raises": "KeyError in faulty.py:raises",
    "steers": "UnclearError",
    "prints": "prints: 'libnet warning",
    "crashes": "ends the process by SIGSEGV",
    "hangs": "does not end within 1 s",
    "swells": "takes too much memory",
}

_DRAWS = """
import sys
from pathlib import Path
from random import Random
folder, root = map(Path, sys.argv[1:])
sys.path.insert(0, str(root))
from tests.fuzzing.commands import command_line, drawn_command
(folder / "own").mkdir()
taken = sum(command_line(drawn_command(Random(seed)), folder / "own") for seed in range(120))
(folder / "taken").write_text(str(taken))
"""


@pytest.mark.sample(3, slow=2)
@pytest.mark.parametrize("name", PLAIN)
def test_drawn_inputs_get_clear_answers(name, tmp_path):
    @settings(max_examples=40)
    @given(random=st.randoms(use_true_random=False))
    def check(random):
        SURFACES[name].check(SURFACES[name].new(random), tmp_path)

    check()


@pytest.mark.parametrize("name", PLAIN)
def test_some_drawn_inputs_are_taken(name, tmp_path):
    """Hostile inputs that are all refused at the door would test the door alone."""
    assert any(SURFACES[name].check(SURFACES[name].new(Random(seed)), tmp_path) for seed in range(200))


@pytest.mark.sample(1, slow=2)
@pytest.mark.parametrize("name", [name for name, surface in SURFACES.items() if surface.corpus])
def test_the_corpus_gets_clear_answers(name, tmp_path):
    surface = SURFACES[name]
    if surface.missing:
        pytest.skip(f"{surface.missing} is not installed")
    if name == "command_line":
        pytest.skip("it looks at what its whole process prints: the hunt reads its corpus")
    for path in sorted((CORPORA / name).iterdir()):
        surface.check(path.read_bytes(), tmp_path)


def test_every_folder_of_the_corpora_belongs_to_a_surface():
    assert {path.name.removesuffix(".beside") for path in CORPORA.iterdir()} <= {*SURFACES}


@pytest.mark.sample(1, slow=1)
@pytest.mark.parametrize("name", FINDS)
def test_each_kind_of_find_is_found(name, tmp_path):
    (hunted,) = hunt([FAULTY[name]], 3, 0, tmp_path, coverage=False, patience=1 if name == "hangs" else 30)
    (find,) = hunted.finds
    found = find.with_name(f"{find.name}{TOLD}").read_text()
    assert found.startswith(FINDS[name]), found
    assert MOST_MEMORY == 500 << 20


@pytest.mark.thorough
def test_a_third_of_drawn_commands_run_through(tmp_path):
    surface = SURFACES["command_line"]
    if surface.missing:
        pytest.skip(f"{surface.missing} is not installed")
    (tmp_path / "draws.py").write_text(_DRAWS)
    with (tmp_path / "out").open("ab+") as out, (tmp_path / "err").open("ab+") as err:
        run = [sys.executable, tmp_path / "draws.py", tmp_path, ROOT]
        subprocess.run(run, stdout=out, stderr=err, cwd=ROOT, check=True)
    assert int((tmp_path / "taken").read_text()) >= 40


def test_clear_refusals_are_no_find(tmp_path):
    (hunted,) = hunt([FAULTY["refuses"]], 0.5, 0, tmp_path, coverage=False)
    assert hunted.finds == () and hunted.inputs == hunted.refused > 100


def test_one_input_is_read_again(tmp_path):
    (tmp_path / "x.cfg").write_text("[net]\nwidth=4\nheight=4\nchannels=3\n[maxpool]\nstride=2\n")
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzzing", "cfg", tmp_path / "x.cfg"],
        capture_output=True, text=True, cwd=ROOT, check=True,
    )  # fmt: skip
    assert done.stdout.startswith("taken in 0.")
