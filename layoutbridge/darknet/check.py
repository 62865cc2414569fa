"""Whether an exported network computes what Darknet does: layer by layer against a float64 reference.

The model is written, run in onnxruntime on a random input, and compared with `darknet.reference`, which shares no
code with it. A layer's deviation is the largest difference of its output as a share of the layer's largest value.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.darknet.meaning import Arrays
from layoutbridge.darknet.model import Network
from layoutbridge.darknet.onnx_export import run_onnx
from layoutbridge.darknet.reference import forward
from layoutbridge.errors import ParameterError, ShapeError

TOLERANCE = 5e-5


@dataclass(frozen=True, slots=True)
class LayerCheck:
    """One layer: `deviation` as a share of `largest`, the reference's largest magnitude; `line` is the cfg's.

    `rounding` is how far the reference itself strays when it computes in float32, as the same share; measured where
    a layer is over the tolerance, else None. A deviation of about that size is float32's, not an error of the export.
    """

    index: int
    name: str
    line: int
    shape: tuple[int, ...]
    largest: float
    deviation: float
    ok: bool
    rounding: float | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """The comparison of every layer, in order."""

    source: str
    flavor: str
    framework: str
    tolerance: float
    rows: tuple[LayerCheck, ...]

    @property
    def ok(self) -> bool:
        """Whether every layer is within the tolerance."""
        return all(row.ok for row in self.rows)

    @property
    def first_over(self) -> LayerCheck | None:
        """The first layer over the tolerance."""
        return next((row for row in self.rows if not row.ok), None)

    @property
    def worst(self) -> LayerCheck | None:
        """The layer with the largest deviation, the first of equals; None for a network without layers."""
        return max(self.rows, key=lambda row: row.deviation, default=None)

    def to_json(self) -> str:
        """All of it as JSON; a deviation that is no finite number becomes null."""
        record: dict[str, Any] = asdict(self) | {
            "ok": self.ok,
            "first_over": None if self.first_over is None else self.first_over.name,
            "worst": None if self.worst is None else self.worst.name,
        }
        for row in record["rows"]:
            for key in ("largest", "deviation", "rounding"):
                row[key] = row[key] if row[key] is None or np.isfinite(row[key]) else None
        return json.dumps(record)


def check_onnx(
    network: Network,
    parameters: Arrays,
    *,
    tolerance: float = TOLERANCE,
    x: NDArray[Any] | None = None,
    seed: int = 0,
    batch: int = 1,
    **options: Any,
) -> Check:
    """Compare the ONNX model of `network` with the reference on `x` [N, C, H, W], or on a random input.

    The random input is uniform in 0..1, of `batch` pictures, from `seed`. `options` are those of `run_onnx`. Raises
    as `run_onnx` does, `ShapeError` for an `x` that does not fit, and `ParameterError` for an unusable tolerance.
    """
    if not 0 <= tolerance < float("inf"):
        raise ParameterError(f"the tolerance is a share of a layer's largest value, at least 0, not {tolerance}")
    if x is None:
        if batch < 1:
            raise ParameterError(f"the batch must be at least 1, not {batch}")
        x = np.random.default_rng(seed).random((batch, *network.in_shape), np.float32)
    if x.shape[1:] != network.in_shape:
        raise ShapeError(f"the input must be [N, {', '.join(map(str, network.in_shape))}], not {list(x.shape)}")
    found = run_onnx(network, parameters, x, True, **options)
    wanted = forward(network, parameters, x)
    largest = [_largest(values) for values in wanted]
    deviations = [_deviation(*three) for three in zip(found, wanted, largest, strict=True)]
    rounding: list[float | None] = [None] * len(wanted)
    if any(not deviation <= tolerance for deviation in deviations):
        rounded = forward(network, parameters, x, dtype=np.float32)
        rounding = [
            None if held <= tolerance else _deviation(*three)
            for held, three in zip(deviations, zip(rounded, wanted, largest, strict=True), strict=True)
        ]
    rows = tuple(
        LayerCheck(layer.index, layer.name, layer.line, layer.out_shape, size, held, held <= tolerance, stray)
        for layer, size, held, stray in zip(network.layers, largest, deviations, rounding, strict=True)
    )
    return Check(network.source, network.flavor, "onnx", tolerance, rows)


def _largest(values: NDArray[np.float64]) -> float:
    """The largest magnitude of those that are finite numbers."""
    return float(np.abs(values, where=np.isfinite(values), out=np.zeros(values.shape)).max(initial=0))


def _deviation(found: NDArray[Any], wanted: NDArray[np.float64], largest: float) -> float:
    """The largest difference as a share of `largest`; infinite where one of both alone is no finite number.

    NaN beside NaN is no difference: l2norm divides 0 by 0 where every channel is 0, as Darknet does.
    """
    if found.shape != wanted.shape:
        return float("inf")
    with np.errstate(invalid="ignore", over="ignore"):
        differences = np.abs(found.astype(np.float64) - wanted)
    differences[(found == wanted) | (np.isnan(found) & np.isnan(wanted))] = 0
    difference = float(differences.max(initial=0))
    if difference == 0:
        return 0.0
    return difference / largest if np.isfinite(difference) and largest > 0 else float("inf")
