"""What this machine can do at most: multiplications a second, and bytes to and from memory, as measured here and now.

A process of its own measures it, with as many threads as the runtimes beside it have: their libraries take the number
of threads from the environment, once. `python -c "from layoutbridge.darknet.benchmarking.peaks import main; main()" 2`
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.frameworks.base import installed_version
from layoutbridge.machine import usable_cores, usable_memory

_SIDE = 1536  # of the matrices multiplied: 9 MB each, and 3.6 billion products
_BYTES = 256 << 20  # of an array that no cache holds
_SHARE_OF_MEMORY = 16  # at most one in so many of its bytes
_SECONDS = 0.2  # of each measurement
_PATIENCE = 60.0
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


@dataclass(frozen=True, slots=True)
class Peak:
    """Float32 multiplications a second, each with its addition, and whose; bytes a second; with how many threads."""

    multiplications: float
    measured_with: str
    bytes: float
    threads: int


def measured_peak(threads: int | None = None) -> Peak | None:
    """What this machine can do with so many threads (all that it has); None where it could not be measured.

    The best of NumPy's, onnxruntime's and PyTorch's products of large matrices, of those installed; the best of
    copying, adding and reading arrays larger than the caches. Takes a second or two.
    """
    count = threads or usable_cores()
    environment = os.environ | dict.fromkeys(_THREADS, str(count))
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    program = "from layoutbridge.darknet.benchmarking.peaks import main; main()"
    try:
        done = subprocess.run(
            [sys.executable, "-c", program, str(count)],
            check=True, capture_output=True, env=environment, timeout=_PATIENCE,
        )  # fmt: skip
        return Peak(**json.loads(done.stdout.splitlines()[-1]), threads=count)
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None


def main() -> None:
    """Measure, and print the answer as a line of JSON."""
    threads = int(sys.argv[1])
    rates = {name: _SIDE**3 / _least_seconds(run) for name, run in _products(threads)}
    best = max(rates, key=lambda name: rates[name])
    told = {"multiplications": rates[best], "measured_with": best, "bytes": _memory_rate(threads)}
    print(json.dumps(told), flush=True)


def _least_seconds(run: Callable[[], object]) -> float:
    run()
    least, end = float("inf"), time.perf_counter() + _SECONDS
    while time.perf_counter() < end:
        start = time.perf_counter()
        run()
        least = min(least, time.perf_counter() - start)
    return least


def _products(threads: int) -> Iterator[tuple[str, Callable[[], object]]]:
    """Each library's name with a product of matrices in it."""
    a, b = np.random.default_rng(0).random((2, _SIDE, _SIDE), np.float32)
    out = np.empty_like(a)
    yield f"NumPy {np.__version__}", lambda: np.matmul(a, b, out=out)
    if (version := installed_version("onnxruntime")) and installed_version("onnx"):
        yield f"onnxruntime {version}", _in_onnxruntime(a, b, threads)
    if version := installed_version("torch"):
        yield f"PyTorch {version.partition('+')[0]}", _in_torch(a, b, threads)


def _in_onnxruntime(a: NDArray[np.float32], b: NDArray[np.float32], threads: int) -> Callable[[], object]:
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [_SIDE, _SIDE]) for name in ("a", "y")]
    node = helper.make_node("MatMul", ["a", "b"], ["y"])
    graph = helper.make_graph([node], "product", values[:1], values[1:], [numpy_helper.from_array(b, "b")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"a": a})


def _in_torch(a: NDArray[np.float32], b: NDArray[np.float32], threads: int) -> Callable[[], object]:
    import torch

    torch.set_num_threads(threads)
    left, right = torch.from_numpy(a), torch.from_numpy(b)
    out = torch.empty_like(left)
    return lambda: torch.matmul(left, right, out=out)


def _memory_rate(threads: int) -> float:
    """Bytes a second, read and written, of the best of three ways through arrays that no cache holds."""
    memory = usable_memory()
    length = min(_BYTES, memory // _SHARE_OF_MEMORY if memory else _BYTES) // 4
    a, b = np.ones(length, np.float32), np.zeros(length, np.float32)
    cuts = [slice(length * part // threads, length * (part + 1) // threads) for part in range(threads)]

    def add(cut: slice) -> None:
        np.add(a[cut], b[cut], out=b[cut])

    ways: tuple[tuple[int, Callable[[slice], Any]], ...] = (
        (2, lambda cut: np.copyto(b[cut], a[cut])),
        (3, add),
        (1, lambda cut: a[cut].max()),
    )
    with ThreadPoolExecutor(threads) as pool:

        def rate(arrays: int, way: Callable[[slice], Any]) -> float:
            return arrays * a.nbytes / _least_seconds(lambda: list(pool.map(way, cuts)))

        return max(rate(arrays, way) for arrays, way in ways)
