"""How to write a rearrangement in ONNX: forms that compute the same in onnxruntime, timed in turns, as ratios.

`python benchmarks/bench_onnx_forms.py [dtype ...]` prints medians of interleaved runs, one thread, the emitted model
= 1; under pytest the emitted model is held to the fastest form. Shapes are [N, C, H, W]; the result is bound to a
buffer of onnxruntime's, so nothing but the graph is timed.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from layoutbridge.frameworks.base import numpy_dtype
from layoutbridge.frameworks.onnx.emission import emit
from layoutbridge.frameworks.onnx.versions import ELEM_TYPES
from layoutbridge.operations.catalog import op

onnx: Any = pytest.importorskip("onnx", reason="onnx is not installed")
ort: Any = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

CASES = (((1, 64, 26, 26), 2), ((1, 63, 24, 24), 3), ((1, 64, 208, 208), 2), ((1, 63, 207, 207), 3),
         ((8, 64, 208, 208), 2), ((1, 3, 640, 640), 2))  # fmt: skip
OPERATIONS = (
    "space_to_depth", "pixel_unshuffle", "darknet_reorg", "focus", "depth_to_space", "pixel_shuffle",
    "darknet_reorg3d_reverse", "channel_shuffle", "nchw_to_nhwc",
)  # fmt: skip
Shape = tuple[int, int, int, int]


class Chain:
    """A model written node by node."""

    def __init__(self, dtype: str, shape: Shape) -> None:
        self.dtype, self.shape = dtype, shape
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.current = "input"

    def add(self, operator: str, *constants: Sequence[int], **attributes: Any) -> Chain:
        names = [self.constant(numbers) for numbers in constants]
        output = f"t{len(self.nodes)}"
        self.nodes.append(onnx.helper.make_node(operator, [self.current, *names], [output], **attributes))
        self.current = output
        return self

    def view(self, *lengths: int) -> Chain:
        return self.add("Reshape", lengths)

    def turn(self, *perm: int) -> Chain:
        return self.add("Transpose", perm=list(perm))

    def swap(self, *lengths: int) -> Chain:
        """Axes 1 and 2 of a view exchanged."""
        return self.view(*lengths).turn(*(0, 2, 1, 3)[: len(lengths)])

    def slices(self, block: int, corners: Sequence[tuple[int, int]]) -> Chain:
        parts = []
        for p, q in corners:
            self.current = "input"
            parts.append(self.add("Slice", [p, q], [2**62, 2**62], [2, 3], [block, block]).current)
        self.nodes.append(onnx.helper.make_node("Concat", parts, ["joined"], axis=1))
        self.current = "joined"
        return self

    def constant(self, numbers: Sequence[int]) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(onnx.helper.make_tensor(name, onnx.TensorProto.INT64, [len(numbers)], list(numbers)))
        return name

    def model(self) -> Any:
        self.nodes[-1].output[0] = "output"
        info = onnx.helper.make_tensor_value_info
        elem_type = ELEM_TYPES[self.dtype]
        sides = [info("input", elem_type, self.shape), info("output", elem_type, None)]
        graph = onnx.helper.make_graph(self.nodes, "form", sides[:1], sides[1:], self.constants)
        return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)


def forms(name: str, shape: Shape, s: int, dtype: str) -> dict[str, Chain]:
    """The alternatives to what is emitted; those that this dtype has no kernel for fail to load and are left out."""
    n, c, h, w = shape
    down, up = (n, c * s * s, h // s, w // s), (n, c // s // s, h * s, w * s)
    chain = lambda: Chain(dtype, shape)  # noqa: E731
    if name in ("space_to_depth", "pixel_unshuffle", "darknet_reorg"):
        a, x, row = {
            "space_to_depth": (n, c * h // s, w // s),
            "pixel_unshuffle": (n * c, h // s, w // s),
            "darknet_reorg": (n, c * h // s // s, w),
        }[name]
        found = {
            "view, SpaceToDepth": chain().view(a, 1, x * s, row * s).add("SpaceToDepth", blocksize=s).view(*down),
            "one Transpose": chain().view(a, x, s, row, s).turn(0, 2, 4, 1, 3).view(*down),
            "rows, then columns": chain().swap(a, x, s, row * s).swap(a * s, x * row, s).view(*down),
            "columns, then rows": chain().swap(a * x * s, row, s).swap(a, x, s * s, row).view(*down),
        }
        if name == "space_to_depth":
            found["Slices, Concat"] = chain().slices(s, [(p, q) for p in range(s) for q in range(s)])
        return found
    if name == "focus":
        x = c * h // s
        turned = [(p * s + q) * c + k for q in range(s) for p in range(s) for k in range(c)]
        return {
            "SpaceToDepth, Gather": chain().add("SpaceToDepth", blocksize=s).add("Gather", turned, axis=1),
            "SpaceToDepth, Transpose": chain().add("SpaceToDepth", blocksize=s).swap(n, s, s, x * w // s).view(*down),
            "one Transpose": chain().view(n, x, s, w // s, s).turn(0, 4, 2, 1, 3).view(*down),
            "rows, then columns": chain().swap(n, x, s, w).swap(n, x * w, s).view(*down),
            "Slices, Concat": chain().slices(s, [(p, q) for q in range(s) for p in range(s)]),
        }
    if name in ("depth_to_space", "pixel_shuffle", "darknet_reorg3d_reverse"):
        a, x, row = {
            "depth_to_space": (n, c // s // s * h, w),
            "pixel_shuffle": (n * c // s // s, h, w),
            "darknet_reorg3d_reverse": (n, c // s**3 * h, w * s),
        }[name]
        return {
            "view, DepthToSpace": chain().view(a, s * s, x, row).add("DepthToSpace", blocksize=s).view(*up),
            "one Transpose": chain().view(a, s, s, x, row).turn(0, 3, 1, 4, 2).view(*up),
            "columns, then rows": chain().swap(a * s, s, x * row).swap(a, s, x, row * s).view(*up),
            "rows, then columns": chain().swap(a, s * s, x, row).swap(a * x * s, s, row).view(*up),
        }
    if name == "channel_shuffle":
        turned = [k * (c // s) + j for j in range(c // s) for k in range(s)]
        return {
            "Gather": chain().add("Gather", turned, axis=1),
            "Transpose": chain().swap(n, s, c // s, h * w).view(n, c, h, w),
        }
    return {"Transpose of three axes": chain().swap(n, c, h * w).view(n, h, w, c)}


class Timed:
    """One model with its input and output bound."""

    def __init__(self, model: Any, x: Any) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 4
        self.session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        self.binding = self.session.io_binding()
        self.binding.bind_ortvalue_input("input", x)
        self.binding.bind_output("output", "cpu")
        self.seconds: list[float] = []

    def run(self) -> None:
        start = time.perf_counter()
        self.session.run_with_iobinding(self.binding)
        self.seconds.append(time.perf_counter() - start)


def ratios(name: str, shape: Shape, s: int, dtype: str, budget: float = 0.5) -> dict[str, float]:
    """Median seconds of each form over that of the emitted model; all forms give equal results."""
    operation = op(name, **({} if name.startswith("n") else {"groups" if name == "channel_shuffle" else "stride": s}))
    operation.out_shape(shape)
    array = np.random.default_rng(0).integers(0, 2, shape).astype(numpy_dtype(dtype))
    bits = array.view(np.uint16) if dtype == "bfloat16" else array
    x = ort.OrtValue.ortvalue_from_numpy_with_onnx_type(bits, ELEM_TYPES[dtype])
    timed = {"emitted": Timed(emit(operation, shape=(None, *shape[1:]), dtype=dtype), x)}
    for form, written in forms(name, shape, s, dtype).items():
        try:
            timed[form] = Timed(written.model(), x)
        except Exception:  # no kernel for this dtype
            continue
    for each in timed.values():
        each.run()
        each.seconds.clear()
        if dtype != "bfloat16":
            assert np.array_equal(each.binding.get_outputs()[0].numpy(), operation(array))
    end, rounds = time.perf_counter() + budget, 0
    while rounds < 5 or (time.perf_counter() < end and rounds < 300):
        for each in timed.values():
            each.run()
        rounds += 1
    base = statistics.median(timed["emitted"].seconds)
    return {form: statistics.median(each.seconds) / base for form, each in timed.items()}


def cases_of(name: str) -> list[tuple[Shape, int]]:
    """The shapes that the operation takes; depth_to_space and its kin with as many channels as they need."""
    found = []
    for (n, c, h, w), s in CASES:
        multiple = {"darknet_reorg3d_reverse": s**4, "channel_shuffle": s, "nchw_to_nhwc": 1}.get(name, s * s)
        if name in ("space_to_depth", "pixel_unshuffle", "focus"):
            multiple = 1
        found.append(((n, -(-c // multiple) * multiple, h, w), s))
    return found if name != "nchw_to_nhwc" else found[::2]


@pytest.mark.parametrize("dtype", ["float32", "int32"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_the_emitted_model_is_no_slower_than_the_other_forms(benchmark: Any, name: str, dtype: str) -> None:
    """Loosely, because machines are noisy, and but for DepthToSpace, which is written where it is the map itself."""
    shape, s = cases_of(name)[0]
    found = benchmark.pedantic(ratios, (name, shape, s, dtype), rounds=1)
    others = {form: ratio for form, ratio in found.items() if form != "emitted"}
    slow_native = dtype == "float32" and name in ("depth_to_space", "pixel_shuffle")
    assert min(others.values()) > (0.3 if slow_native else 0.6), found


def main() -> None:
    for dtype in sys.argv[1:] or ["float32"]:
        for name in OPERATIONS:
            for shape, s in cases_of(name):
                found = ratios(name, shape, s, dtype)
                listed = "  ".join(f"{form} {ratio:.2f}" for form, ratio in found.items() if form != "emitted")
                print(f"{dtype:9} {name:24} {shape!s:20} {s}  {listed}", flush=True)


if __name__ == "__main__":
    main()
