"""What a shell's question loads: neither what reads values, nor NumPy, nor frameworks; and that all are answered."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from layoutbridge.darknet.ports.table import ports, runtimes
from tests.cli.completed import asked_words

PROGRAM = (
    "import atexit, sys; sys.argv[0] = 'layoutbridge'\n"
    "atexit.register(lambda: print(*sorted(sys.modules), file=sys.stderr))\n"
    "from layoutbridge.cli import program\n"
    "raise SystemExit(program())"
)
SLOW = {"numpy", "rich", "pydantic", "PIL", "numba", "onnx", "torch", "tensorflow"}
KINDS = {  # a line of each kind, and what it is answered by
    "layoutbridge ": ("detect", "export"),
    "layoutbridge det": ("detect",),
    "layoutbridge detect --nms": ("--nms", "--nms-kind"),
    "layoutbridge detect --nms-kind d": ("default", "diounms"),
    "layoutbridge detect net.cfg net.weights dog.jpg --batch 4 --threshold 0.5 --framework o": ("onnx", "openvino"),
    "layoutbridge code dark": ("darknet_reorg",),
    "layoutbridge code darknet_reorg --stride 3 --t": ("--to",),
    "layoutbridge verify --ops focus,darknet_reorg_r": ("focus,darknet_reorg_reverse",),
    "layoutbridge export net.cfg --for lit": ("litert",),
    "layoutbridge rewrite a.onnx --for hai": ("hailo",),
    "layoutbridge scan a.onnx --expect dark": ("darknet_reorg",),
    "layoutbridge atlas torch open": ("openvino",),
    "layoutbridge port foc": ("focus",),
    "layoutbridge port focus --to onnxr": ("onnxruntime",),
    "layoutbridge list --family s": ("space and depth",),
}


def completed(words: str) -> tuple[list[str], set[str]]:
    """The answers, and the packages that were loaded for them."""
    last = len(words.split()) - (not words.endswith(" "))
    told = {"_LAYOUTBRIDGE_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(last)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=os.environ | told, capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines(), {name.partition(".")[0] for name in done.stderr.split()}


@pytest.mark.parametrize("words", KINDS)
def test_a_word_is_completed_without_what_loads_slowly(words: str) -> None:
    answers, loaded = completed(words)
    assert set(KINDS[words]) <= set(answers)
    assert not loaded & SLOW


def test_a_command_alone_is_loaded_to_complete_its_options() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=os.environ
        | {"_LAYOUTBRIDGE_COMPLETE": "complete_bash", "COMP_WORDS": "layoutbridge detect --", "COMP_CWORD": "2"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    commands = {name for name in done.stderr.split() if name.startswith("layoutbridge.cli.commands.")}
    assert {name for name in commands if name.count(".") == 4} == {"layoutbridge.cli.commands.networks.detect"}


def test_the_runtimes_that_are_offered_are_those_of_the_targets() -> None:
    assert runtimes() == tuple(runtime for target in ports() for runtime in target.runtimes)


@pytest.mark.slow
def test_no_word_loads_what_loads_slowly() -> None:
    for words in asked_words():
        _, loaded = completed(words)
        assert not loaded & SLOW, words
