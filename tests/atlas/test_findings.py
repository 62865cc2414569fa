"""Every finding is shown by the program that is printed with it, in a process of its own, wherever its runtime is."""

import ast
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

import layoutbridge as lb
from layoutbridge.atlas.asking import Asked, CellError
from layoutbridge.atlas.descriptions.environments import python_of
from layoutbridge.atlas.measuring import version_of
from layoutbridge.atlas.porting import published
from layoutbridge.atlas.table import subject
from tests.conftest import FIXTURES

FINDINGS = published().findings
FOLDER = Path(os.environ.get("LAYOUTBRIDGE_ATLAS", FIXTURES.parent / ".atlas"))
STRIDE = 2


def python_for(finding):
    """The Python that has what a finding is of; skips where there is none, or another version."""
    of = subject(finding.subject)
    python = python_of(of.environment, FOLDER)
    if python is None:
        pytest.skip(f"the environment '{of.environment}' is not set up in {FOLDER}")
    try:
        with Asked(python) as asked:
            version = version_of(of, asked)
    except CellError as error:
        pytest.skip(str(error))
    if version != finding.version:
        pytest.skip(f"{version} is installed, and it is of {finding.version}")
    return python


def moved(name, finding):
    """What an entry of the catalogue does to the numbers of a finding's program, as that prints it."""
    x = np.arange(np.prod(finding.example)).reshape(finding.example)
    x = np.moveaxis(x, -1, 1) if finding.layout == "NHWC" else x
    inverse, _, entry = name.rpartition("inverse of ")
    op = lb.op(entry, stride=STRIDE)
    y = (op.inverse() if inverse else op)(x)
    y = np.moveaxis(y, 1, -1) if finding.layout == "NHWC" else y
    return y.ravel()[:32].tolist()


@pytest.mark.parametrize("finding", FINDINGS, ids=lambda each: each.key)
def test_a_program_is_short_and_of_the_runtime_alone(finding):
    lines = finding.program.splitlines()
    assert len(lines) <= 10 and len(ast.parse(finding.program).body) <= 10
    assert ";" not in finding.program and "layoutbridge" not in finding.program


@pytest.mark.parametrize("finding", FINDINGS, ids=lambda each: each.key)
def test_what_is_shown_is_what_is_found_and_not_what_is_documented(finding):
    shown = ast.literal_eval(finding.shown)
    assert all(shown == moved(name, finding) for name in finding.names)
    assert shown != moved(finding.documented, finding)


@pytest.mark.sample(slow=8)
@pytest.mark.parametrize("finding", FINDINGS, ids=lambda each: each.key)
def test_a_program_prints_what_the_finding_says(finding, tmp_path):
    done = subprocess.run(
        [python_for(finding), "-c", finding.program], cwd=tmp_path, capture_output=True, text=True, check=False,
        timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == finding.shown
