"""Black boxes: what they do is recovered exactly in every dtype, and named rightly where they do more than move."""

from importlib.util import find_spec

import numpy as np
import pytest

from layoutbridge.frameworks.base import DTYPE_NAMES, numpy_dtype
from layoutbridge.recognition.recover import recover

FLOAT32 = np.dtype(np.float32)
needs_ml_dtypes = pytest.mark.skipif(find_spec("ml_dtypes") is None, reason="ml_dtypes is not installed")
DTYPES = [pytest.param(name, marks=needs_ml_dtypes if name == "bfloat16" else ()) for name in DTYPE_NAMES]


@pytest.mark.parametrize("dtype", [*DTYPES, "float64", "uint16"])
@pytest.mark.parametrize("shape", [(1,), (3, 100), (2, 3, 5, 7), (1, 7, 40, 30)])
def test_any_permutation_in_any_dtype(dtype, shape):
    order = np.random.default_rng(1).permutation(np.prod(shape))
    found = recover(lambda x: x.reshape(-1)[order], shape, numpy_dtype(dtype))
    assert found.behaviour == "moves elements"
    assert np.array_equal(found.table, order)


@pytest.mark.parametrize("dtype", DTYPES)
def test_drops_and_repeats_are_a_table_too(dtype):
    found = recover(lambda x: np.repeat(x[::3], 2), (1000,), numpy_dtype(dtype))
    assert np.array_equal(found.table, np.repeat(np.arange(0, 1000, 3), 2))


@pytest.mark.parametrize(
    ("box", "behaviour"),
    [
        (lambda x: np.maximum(x, 0), "depends on sign"),
        (np.abs, "depends on sign"),
        (lambda x: np.where(x > 0, x, 0.1 * x), "depends on sign"),
        (lambda x: np.sort(x.reshape(-1)), "depends on values"),
        (lambda x: x[..., np.argsort(x.sum((0, 1)))], "depends on values"),
        (lambda x: 2 * x, "changes values"),
        (lambda x: x / 255, "changes values"),
        (lambda x: np.minimum(x, 6), "changes values"),
        (lambda x: x + 1e-3, "changes values"),
        (lambda x: np.pad(x, 1, constant_values=7), "changes values"),
        (lambda x: np.full_like(x, np.nan), "changes values"),
        (lambda x: x[x > 500], "changes shape"),
        (lambda x: (x / 8).round() * 8, "changes values"),
        (lambda x: x.astype(str), "changes values"),
    ],
)
def test_more_than_moving_is_told_apart(box, behaviour):
    found = recover(box, (5, 20, 30), FLOAT32)
    assert found.behaviour == behaviour
    assert found.table is None
    assert found.detail


def test_a_box_that_rolls_dice_is_no_fixed_movement():
    random = np.random.default_rng(3)
    assert recover(lambda x: random.permuted(x.reshape(-1)), (50,), FLOAT32).behaviour == "depends on values"


def test_wrapping_of_large_integers_is_seen():
    found = recover(lambda x: x.astype(np.int32).astype(np.int64), (4, 5), np.dtype(np.int64))
    assert found.behaviour == "changes values"


def test_what_the_box_raises_passes_through():
    with pytest.raises(ZeroDivisionError):
        recover(lambda x: 1 // 0, (4,), FLOAT32)


@pytest.mark.parametrize("dtype", ["float32", "uint8", "int64"])
def test_zeros_that_are_filled_in_are_told_from_values(dtype):
    found = recover(lambda x: np.pad(x, 1), (5, 20, 30), np.dtype(dtype))
    assert found.behaviour == "fills up with zeros"
    positions = np.pad(np.arange(5 * 20 * 30).reshape(5, 20, 30) + 1, 1) - 1
    assert np.array_equal(found.table, positions.reshape(-1))
