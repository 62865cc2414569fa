"""The code that the page writes, run in the frameworks that it is for, against the library's tables."""

import ast
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import layoutbridge as lb
from tests.drawn_patterns import rearrangements
from tests.numpy_moves import CHAINS
from tests.pasted_code import (
    READ,
    RUN,
    by_table,
    counting,
    forms,
    function_of,
    needs,
    run_jax,
    run_onnx,
    shapes,
    usual,
    with_batch,
)
from tests.report.explorer.test_arithmetic import entry_side, pattern_side

NAMES = {
    "einops": "einops",
    "numpy": "NumPy",
    "torch": "PyTorch",
    "tensorflow": "TensorFlow",
    "onnx": "ONNX",
    "jax": "JAX",
}
QUICK = ("einops", "numpy", "torch")
WRITTEN = """asked => asked.map(([side, batch]) => layoutbridge.codes(side, batch))"""
CODE = "([name, asked]) => asked.map(([side, batch]) => layoutbridge.codes(side, batch)[name])"


def check(page, name, asked):
    """Each (operation, side, batch) at two shapes."""
    cases = [(operation, side, ((2,) if batch else ()) + item, batch)
             for operation, side, batch in asked for item in shapes(operation)]  # fmt: skip
    texts = page.evaluate(CODE, [NAMES[name], [[side, batch] for _, side, _, batch in cases]])
    functions, arrays = [function_of(text) for text in texts], [counting(shape) for _, _, shape, _ in cases]
    if name == "jax":
        results = run_jax(functions, arrays)
    elif name == "onnx":
        fixed = [{axis + batch for axis, _ in operation.domain.fixed} for operation, _, _, batch in cases]
        free = [[axis for axis in range(batch, x.ndim) if axis not in known]
                for (_, _, _, batch), x, known in zip(cases, arrays, fixed, strict=True)]  # fmt: skip
        results = [run_onnx(*each) for each in zip(functions, arrays, free, strict=True)]
    else:
        results = [RUN[name](*each) for each in zip(functions, arrays, strict=True)]
    for (operation, _, shape, _), text, y in zip(cases, texts, results, strict=True):
        np.testing.assert_array_equal(y, by_table(operation, shape), text)
        imported = {alias.name.partition(".")[0] for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Import)
                    for alias in node.names}  # fmt: skip
        assert imported <= {name}, text


@pytest.mark.parametrize(
    "name", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in NAMES if name not in QUICK)]
)
def test_every_form_of_every_entry(page, name):
    needs(name)
    check(page, name, [(operation, entry_side(operation), with_batch(operation)) for operation in forms()])


@pytest.mark.parametrize("name", [name for name in NAMES if name not in QUICK])
def test_every_entry(page, name):
    needs(name)
    check(page, name, [(operation, entry_side(operation), with_batch(operation)) for operation in usual()])


def test_texts_are_in_the_common_form(page, tmp_path):
    if find_spec("ruff") is None:
        pytest.skip("ruff is not installed")
    sides = [*map(entry_side, forms()), *map(pattern_side, map(lb.Rearrangement, READ))]
    written = page.evaluate(WRITTEN, [[side, bool(number % 2)] for number, side in enumerate(sides)])
    for number, texts in enumerate(written):
        for name, text in texts.items():
            (tmp_path / f"{name}_{number}.py").write_text(text, encoding="utf-8")
    rules = ["--isolated", "--line-length", "100"]
    for command in (["format", "--diff"], ["check", "--select", "F,I,E4,E7,E9,UP,B", "--target-version", "py311"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, *rules, "."], cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout[:5000]


@pytest.mark.parametrize("name", NAMES)
def test_patterns_and_chains(page, name):
    needs(name)
    operations = [*map(lb.Rearrangement, READ), *CHAINS]
    check(page, name, [(each, pattern_side(each), batch) for each in operations for batch in (True, False)])


@pytest.mark.parametrize("name", ["einops", "numpy", "torch"])
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rearrangements(), st.booleans())
def test_drawn_patterns(page, name, made_and_shape, batch):
    needs(name)
    operation, item = made_and_shape
    shape = (2, *item) if batch else item
    (text,) = page.evaluate(CODE, [NAMES[name], [[pattern_side(operation), batch]]])
    np.testing.assert_array_equal(RUN[name](function_of(text), counting(shape)), by_table(operation, shape), text)


def test_many_digits_in_tensorflow(page):
    needs("tensorflow")
    operation = lb.Rearrangement("a b c d e (f g:2) (h i:2) j -> a b c d e (f g) (h[::-1] i) j")
    check(page, "tensorflow", [(operation, pattern_side(operation), True)])


def test_what_is_copied_is_what_is_shown(at):
    shown = at("op=focus&code=PyTorch", permissions=["clipboard-read", "clipboard-write"])
    shown.click("#copy-code")
    copied = shown.evaluate("navigator.clipboard.readText()")
    assert copied == shown.text_content("#code-text")
    assert shown.inner_text("#copy-code") == "Copied"
    needs("torch")
    operation, shape = lb.op("focus"), (2, 3, 4, 6)
    np.testing.assert_array_equal(RUN["torch"](function_of(copied), counting(shape)), by_table(operation, shape))
