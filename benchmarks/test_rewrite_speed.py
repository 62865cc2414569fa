"""`rewrite(native=True)` in onnxruntime: the same model before and after, timed in turns within one run, as ratios.

    python -m pytest benchmarks/test_rewrite_speed.py -q -s

One thread and its own time, which others on the machine do not take from; outputs bound to a buffer, a Neg on both
sides of a place so that no view at an output is a copy. Below 1 the rewritten model is faster.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pytest

import layoutbridge as lb

onnx: Any = pytest.importorskip("onnx", reason="onnx is not installed")
ort: Any = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
pytest.importorskip("onnx_ir", reason="onnx-ir is not installed")

from tests import onnx_ports as ports  # noqa: E402 - only where it is installed
from tests.onnx_ports import model, node  # noqa: E402

MOST_OF_A_STEM, NOT_SLOWER = 0.7, 1.08  # the latter leaves room for noise
RNG = np.random.default_rng(0)
ROWS: list[tuple[str, float]] = []
Written = Callable[..., tuple[list[Any], dict[str, Any]]]


@pytest.fixture(scope="module", autouse=True)
def table() -> Any:
    yield
    print("\n\ntime after, as a share of the time before (below 1: faster)")
    for label, ratio in ROWS:
        print(f"  {label:<60} {ratio:5.2f}")


def runs_of(held: Any, x: Any) -> Callable[[], None]:
    """A run of a model on `x`, nothing but its graph."""
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    session = ort.InferenceSession(held.SerializeToString(), options, providers=["CPUExecutionProvider"])
    binding = session.io_binding()
    binding.bind_cpu_input(session.get_inputs()[0].name, x)
    binding.bind_output(session.get_outputs()[0].name)
    return partial(session.run_with_iobinding, binding)


def in_turns(runs: Sequence[Callable[[], None]], seconds: float) -> list[float]:
    """The median time of each on its thread, in turns until the time is over."""
    times: list[list[float]] = [[] for _ in runs]
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times[0]) < 9:
        for run, own in zip(runs, times, strict=True):
            start = time.thread_time()
            run()
            own.append(time.thread_time() - start)
    return [statistics.median(own) for own in times]


def ratio_of(label: str, before: Any, after: Any, x: Any, benchmark: Any, seconds: float = 1.5) -> float:
    """How long the second takes, as a share of the first."""
    runs = [runs_of(each, x) for each in (before, after)]
    one, two = in_turns(runs, seconds)
    ROWS.append((label, two / one))
    benchmark.extra_info["ratio"] = round(two / one, 3)
    benchmark.pedantic(runs[1], rounds=3)
    return two / one


# ---------------------------------------------------------------------- YOLOv5's stem


def focus_as_exported(source: str, output: str) -> tuple[list[Any], dict[str, Any]]:
    """Rows, then columns, of each corner, one behind the other."""
    constants = {"end": np.array([2**63 - 1]), "step": np.array([2]), "rows": np.array([2]), "columns": np.array([3])}
    constants |= {"at0": np.array([0]), "at1": np.array([1])}
    nodes = []
    for column, row in np.ndindex(2, 2):
        nodes += [
            node("Slice", [source, f"at{row}", "end", "rows", "step"], [f"half{row}{column}"]),
            node("Slice", [f"half{row}{column}", f"at{column}", "end", "columns", "step"], [f"part{row}{column}"]),
        ]
    return [*nodes, node("Concat", [f"part{q}{p}" for p, q in np.ndindex(2, 2)], [output], axis=1)], constants


def stem(kernel: int, filters: int, size: int = 640) -> Any:
    nodes, constants = focus_as_exported("x", "blocks")
    constants["w"] = RNG.standard_normal((filters, 12, kernel, kernel)).astype(np.float32) / 10
    constants["bias"] = RNG.standard_normal(filters).astype(np.float32)
    pads = [(kernel - 1) // 2] * 2 + [kernel // 2] * 2
    return model([*nodes, node("Conv", ["blocks", "w", "bias"], ["y"], pads=pads)], (1, 3, size, size), constants)


@pytest.mark.parametrize("filters", [32, 48, 64])
@pytest.mark.parametrize("kernel", [3, 6])
def test_a_focus_stem(benchmark: Any, kernel: int, filters: int) -> None:
    """YOLOv5 has 3 × 3; of 6 × 6 the convolution itself takes most of the time."""
    before = stem(kernel, filters)
    after = lb.rewrite(before, native=True).model
    assert [each.op_type for each in after.graph.node] == ["Conv"]
    x = RNG.standard_normal((1, 3, 640, 640)).astype(np.float32)
    ratio = ratio_of(f"Focus, Conv {kernel}×{kernel}, {filters} filters", before, after, x, benchmark, 4.0)
    assert ratio <= (MOST_OF_A_STEM if kernel == 3 else NOT_SLOWER)


@pytest.mark.parametrize("filters", [32, 64])
@pytest.mark.parametrize("kernel", [3, 6])
def test_folding_against_space_to_depth_and_permuted_weights(benchmark: Any, kernel: int, filters: int) -> None:
    """Why blocks of few channels are folded."""
    held = stem(kernel, filters)
    folded = lb.rewrite(held, native=True).model
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in held.graph.initializer}
    weights = lb.carry(lb.op("focus"), constants["w"], instead=lb.op("space_to_depth"))
    nodes = [node("SpaceToDepth", ["x"], ["blocks"], blocksize=2), held.graph.node[-1]]
    x = RNG.standard_normal((1, 3, 640, 640)).astype(np.float32)
    label = f"folded against SpaceToDepth, Conv {kernel}×{kernel}, {filters} filters"
    before = model(nodes, x.shape, {"w": weights, "bias": constants["bias"]})
    assert ratio_of(label, before, folded, x, benchmark, 4.0) <= NOT_SLOWER


# ---------------------------------------------------------------------- other spellings


def shuffled(source: str, output: str, c: int, h: int, w: int, s: int) -> tuple[list[Any], dict[str, Any]]:
    return ports.turned(source, output, (4, c // 4, h, w), (0, 2, 1, 3, 4), (c, h, w))


def pixel_shuffle(source: str, output: str, c: int, h: int, w: int, s: int) -> tuple[list[Any], dict[str, Any]]:
    view, result = (c // s // s, s, s, h, w), (c // s // s, h * s, w * s)
    return ports.turned(source, output, view, (0, 1, 4, 2, 5, 3), result)


def depth_to_space(source: str, output: str, c: int, h: int, w: int, s: int) -> tuple[list[Any], dict[str, Any]]:
    view, result = (s, s, c // s // s, h, w), (c // s // s, h * s, w * s)
    return ports.turned(source, output, view, (0, 3, 4, 1, 5, 2), result)


def back_and_forth(source: str, output: str, c: int, h: int, w: int, s: int) -> tuple[list[Any], dict[str, Any]]:
    nodes = [
        node("Transpose", [source], ["last"], perm=(0, 2, 3, 1)),
        node("Reshape", ["last", "rows"], ["flat"]),
        node("Transpose", ["flat"], [output], perm=(0, 2, 1)),
    ]
    return nodes, {"rows": np.array([0, -1, c])}


SPELLINGS = [
    ports.space_to_depth_by_hand, ports.pixel_unshuffle, ports.marvis, ports.focus, ports.by_table,
    shuffled, pixel_shuffle, depth_to_space, back_and_forth,
]  # fmt: skip


@pytest.mark.parametrize("shape", [(64, 26, 26), (64, 104, 104), (256, 40, 40)], ids=str)
@pytest.mark.parametrize("written", SPELLINGS)
def test_no_spelling_becomes_slower(benchmark: Any, written: Written, shape: tuple[int, int, int]) -> None:
    nodes, constants = written("a", "b", *shape, 2)
    nodes = [node("Neg", ["x"], ["a"]), *nodes, node("Neg", ["b"], ["y"])]
    before = model(nodes, (1, *shape), constants, out_rank=3 if written is back_and_forth else 4)
    done = lb.rewrite(before, native=True)
    assert done.changed
    x = RNG.standard_normal((1, *shape)).astype(np.float32)
    label = f"{written.__name__} {list(shape)} -> {' '.join(each.op_type for each in done.model.graph.node[1:-1])}"
    assert ratio_of(label, before, done.model, x, benchmark) <= NOT_SLOWER


@pytest.mark.parametrize("name", ["depth_to_space", "pixel_shuffle"])
def test_two_swaps_are_faster_than_depth_to_space(benchmark: Any, name: str) -> None:
    """Why these are left alone."""
    swaps, native = (lb.emit(lb.op(name), "onnx", shape=(1, 64, 104, 104), native=each) for each in (False, True))
    assert not lb.rewrite(swaps, native=True).changed
    x = RNG.standard_normal((1, 64, 104, 104)).astype(np.float32)
    assert ratio_of(f"{name} as two swaps against DepthToSpace", native, swaps, x, benchmark) < 1
