"""How to write a rearrangement in TensorFlow: forms that compute the same, timed in turns, as ratios to an addition.

`python benchmarks/bench_tensorflow_forms.py [jit]` prints medians of interleaved calls of traced functions (compiled
by XLA with `jit`), one elementwise addition = 1; under pytest the emitted layer is held to the fastest form.
"emitted" is `layoutbridge.emit(op, "tensorflow")`. Stride 2; shapes are [N, C, H, W].
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from layoutbridge.frameworks import emit
from layoutbridge.operations.catalog import op

tf: Any = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
Form = Callable[[Any], Any]

SHAPES = ((1, 64, 26, 26), (1, 64, 104, 104), (8, 4, 416, 416), (8, 64, 208, 208))
CASES = (
    ("space_to_depth", "channels_last"),
    ("depth_to_space", "channels_last"),
    ("focus", "channels_last"),
    ("pixel_unshuffle", "channels_last"),
    ("darknet_reorg", "channels_last"),
    ("darknet_reorg", "channels_first"),
    ("space_to_depth", "channels_first"),
)
S = 2


def moved(x: Any, view: list[int], order: list[int], result: list[int]) -> Any:
    return tf.reshape(tf.transpose(tf.reshape(x, view), order), result)


def forms_last(name: str, shape: tuple[int, int, int, int]) -> dict[str, Form]:
    """Forms on [N, H, W, C]."""
    n, c, h, w = shape
    down = [n, h // S, w // S, c * S * S]
    up = [n, h * S, w * S, c // S // S]
    rows = [n * h // S, S, w // S, S, c]
    corners = [(p, q) for p in range(S) for q in range(S)]
    if name == "space_to_depth":
        return {
            "native": lambda x: tf.nn.space_to_depth(x, S),
            "one transpose": lambda x: moved(x, [n * h // S, S, w // S, S * c], [0, 2, 1, 3], down),
            "slices, concat": lambda x: tf.concat([x[:, p::S, q::S] for p, q in corners], -1),
        }
    if name == "depth_to_space":
        return {
            "native": lambda x: tf.nn.depth_to_space(x, S),
            "one transpose": lambda x: moved(x, [n * h, w, S, c // S], [0, 2, 1, 3], up),
        }
    if name == "focus":
        return {
            "native between views": lambda x: tf.reshape(
                tf.nn.space_to_depth(tf.reshape(x, [n * h // S, S, w * S, c // S]), S), down
            ),
            "one transpose": lambda x: moved(x, [n * h // S, S, w, c], [0, 2, 1, 3], down),
            "slices, concat": lambda x: tf.concat([x[:, p::S, q::S] for q, p in corners], -1),
        }
    if name == "pixel_unshuffle":
        return {
            "native, transpose": lambda x: moved(
                tf.nn.space_to_depth(x, S), [n * h * w // S // S, S * S, c], [0, 2, 1], down
            ),
            "one transpose": lambda x: moved(x, rows, [0, 2, 4, 1, 3], down),
            "slices, stack": lambda x: tf.reshape(tf.stack([x[:, p::S, q::S] for p, q in corners], -1), down),
        }
    return reorg_last(shape)


def reorg_last(shape: tuple[int, int, int, int]) -> dict[str, Form]:
    """Darknet's reorg on [N, H, W, C]: through [N, C, H, W] and back, or in one go where H is a multiple of 4."""
    n, c, h, w = shape
    down = [n, h // S, w // S, c * S * S]
    rows, area = c // S // S * h, h * w // S // S
    table = op("darknet_reorg").table((c, h, w)).reshape(c * S * S, area).T.reshape(-1)
    table = (table % (h * w)) * c + table // (h * w)  # the same positions of a channels-last item

    def first(x: Any) -> Any:
        return moved(x, [n, h * w, c], [0, 2, 1], [n, rows, S, w, S])

    def last(y: Any) -> Any:
        return moved(y, [n, c * S * S, area], [0, 2, 1], down)

    forms: dict[str, Form] = {
        "three transposes": lambda x: last(tf.transpose(first(x), [0, 2, 4, 1, 3])),
        "native in the middle": lambda x: moved(
            tf.nn.space_to_depth(tf.reshape(first(x), [n, rows * S, w * S, 1]), S), [n, c, h * w], [0, 2, 1], down
        ),
        "gather": lambda x: tf.reshape(tf.gather(tf.reshape(x, [n, -1]), table, axis=1), down),
    }
    if h % (S * S) == 0:
        view = [n, h // S // S, S, S, w // S, S * c]
        forms["one transpose"] = lambda x: moved(x, view, [0, 1, 3, 4, 2, 5], down)
    return forms


def forms_first(name: str, shape: tuple[int, int, int, int]) -> dict[str, Form]:
    """Forms on [N, C, H, W], of which TensorFlow has no native one on CPU."""
    n, c, h, w = shape
    rows, width = (c // S // S * h, w) if name == "darknet_reorg" else (c * h // S, w // S)
    down, single = [n, c * S * S, h // S, w // S], [n, rows * S, width * S, 1]
    forms: dict[str, Form] = {
        "one transpose": lambda x: moved(x, [n, rows, S, width, S], [0, 2, 4, 1, 3], down),
        "native, transpose": lambda x: moved(
            tf.nn.space_to_depth(tf.reshape(x, single), S), [n, rows * width, S * S], [0, 2, 1], down
        ),
    }
    if name == "space_to_depth":
        corners = [(p, q) for p in range(S) for q in range(S)]
        forms["slices, concat"] = lambda x: tf.concat([x[:, :, p::S, q::S] for p, q in corners], 1)
    return forms


def measure(name: str, data_format: str, shape: tuple[int, int, int, int], *, jit: bool) -> dict[str, float]:
    """The median time of each form over that of an addition, after checking that all compute the same."""
    n, c, h, w = shape
    held = (n, h, w, c) if data_format == "channels_last" else shape
    x = tf.reshape(tf.range(n * c * h * w, dtype=tf.float32), held)
    forms = (forms_last if data_format == "channels_last" else forms_first)(name, shape)
    forms["emitted"] = emit(op(name), "tensorflow", data_format=data_format)
    forms["addition"] = lambda x: x + 1
    traced = {form: tf.function(function, jit_compile=jit, autograph=False) for form, function in forms.items()}
    expected = traced["emitted"](x).numpy()
    for form, function in traced.items():
        assert form == "addition" or np.array_equal(function(x), expected), (name, form)
    times: dict[str, list[float]] = {form: [] for form in traced}
    end = time.perf_counter() + 0.25 * len(traced)
    while time.perf_counter() < end or len(times["addition"]) < 5:
        for form, function in traced.items():
            start = time.perf_counter()
            function(x)
            times[form].append(time.perf_counter() - start)
    medians = {form: statistics.median(taken) for form, taken in times.items()}
    return {form: median / medians["addition"] for form, median in medians.items() if form != "addition"}


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES[:2], ids=str)
@pytest.mark.parametrize(("name", "data_format"), CASES)
def test_the_emitted_layer_keeps_up_with_the_fastest_form(
    name: str, data_format: str, shape: tuple[int, int, int, int]
) -> None:
    """No form is best at every size: the one chosen may lose by half, and machines are busy."""
    ratios = measure(name, data_format, shape, jit=False)
    assert ratios["emitted"] < 2 * min(ratios.values()), ratios


if __name__ == "__main__":
    for case in CASES:
        for size in SHAPES:
            found = measure(*case, size, jit="jit" in sys.argv)
            print(*case, list(size), "  ".join(f"{form} {ratio:.2f}" for form, ratio in found.items()), flush=True)
