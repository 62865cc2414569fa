"""Whether ported networks compute what Darknet does: layer by layer, target by target, against a float64 reference.

Each target is built, run on a random input, and compared with `darknet.reference`, which shares no code with any
of them. A layer's deviation is the largest difference of its output as a share of the layer's largest value.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from layoutbridge.darknet.meaning import Arrays
from layoutbridge.darknet.ports.port import Runner, checked_input
from layoutbridge.darknet.ports.table import TARGETS, form_names, full_name
from layoutbridge.darknet.ports.table import runner as runner_named
from layoutbridge.darknet.reference import forward
from layoutbridge.darknet.structure.model import Network
from layoutbridge.errors import MissingFrameworkError, ParameterError, UnknownNameError, UnsupportedError
from layoutbridge.frameworks.base import check_count, installed_version

Status = Literal["equal", "differs", "missing", "unsupported"]


@dataclass(frozen=True, slots=True)
class TargetCheck:
    """One target: `status` is "equal", "differs", "missing" (not installed) or "unsupported"; `detail` says why.

    `tolerance` is what its layers are held to; `first_over` and `worst` are indices of layers; `heading` is a
    shorter name, where there is one.
    """

    name: str
    version: str | None
    tolerance: float
    status: Status
    detail: str = ""
    first_over: int | None = None
    worst: int | None = None
    heading: str = ""


@dataclass(frozen=True, slots=True)
class LayerCheck:
    """One layer: its `deviations` by target, as shares of `largest`, the reference's largest magnitude.

    `rounding` is how far the reference itself strays when it computes in float32, as the same share; measured where
    a target is over its tolerance, else None. A float32 target's deviation of about that size is no error of the
    port. `over` names the targets that are over their tolerance; `line` is the cfg's.
    """

    index: int
    name: str
    line: int
    shape: tuple[int, ...]
    largest: float
    deviations: Mapping[str, float]
    over: tuple[str, ...]
    rounding: float | None = None

    @property
    def kind(self) -> str:
        """The name without its index."""
        return self.name.partition("_")[2]

    @property
    def deviation(self) -> float:
        """The largest of all targets'."""
        return max(self.deviations.values(), default=0.0)


@dataclass(frozen=True, slots=True)
class Check:
    """The comparison of every layer with every target, in order."""

    source: str
    flavor: str
    targets: tuple[TargetCheck, ...]
    rows: tuple[LayerCheck, ...]

    @property
    def ok(self) -> bool:
        """Whether every target that ran is within its tolerance at every layer."""
        return all(target.status != "differs" for target in self.targets)

    @property
    def first_over(self) -> LayerCheck | None:
        """The first layer at which a target is over its tolerance."""
        return next((row for row in self.rows if row.over), None)

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
        for target in record["targets"]:
            for key in ("first_over", "worst"):
                target[key] = None if target[key] is None else self.rows[target[key]].name
        for row, layer in zip(record["rows"], self.rows, strict=True):
            row["deviations"] = {name: _finite(held) for name, held in layer.deviations.items()}
            row |= {"deviation": _finite(layer.deviation), "ok": not layer.over, "largest": _finite(layer.largest)}
            row["rounding"] = None if layer.rounding is None else _finite(layer.rounding)
        return json.dumps(record)


def check_network(
    network: Network,
    parameters: Arrays,
    targets: Sequence[str] | None = None,
    *,
    forms: Sequence[str] = (),
    tolerance: float | None = None,
    x: NDArray[Any] | None = None,
    seed: int = 0,
    batch: int = 1,
    progress: Callable[[str], None] | None = None,
) -> Check:
    """Compare `network` in each of `targets`, and in other arithmetic, with the reference.

    `targets` are names of `ports.table`, those of forms (`onnx-half`) among them; what is named must be installed, and
    None stands for all targets that are. `forms` are kinds ("half", "winograd"): the first target that has a kind must
    be installed, of the others those are taken that are. The other options are those of `check_runners`. Raises as that
    does, and `UnknownNameError`, for "reference", too: it is what the others are compared with.
    """
    named, wanted = list(targets or ()), list(TARGETS if targets is None else targets)
    for kind in forms:
        having = form_names(kind)
        if not having:
            raise UnknownNameError(f"no target computes in {kind!r}")
        named.append(having[0])
        wanted += having
    runners = {full_name(name): runner_named(name, with_reference=False) for name in wanted}
    optional = runners.keys() - set(map(full_name, named))
    return check_runners(
        network,
        parameters,
        runners,
        optional=optional,
        tolerance=tolerance,
        x=x,
        seed=seed,
        batch=batch,
        progress=progress,
    )


def check_runners(
    network: Network,
    parameters: Arrays,
    runners: Mapping[str, Runner],
    *,
    optional: Collection[str] = (),
    tolerance: float | None = None,
    x: NDArray[Any] | None = None,
    seed: int = 0,
    batch: int = 1,
    progress: Callable[[str], None] | None = None,
) -> Check:
    """Compare what each of `runners` computes with the reference on `x` [N, C, H, W], or on a random input.

    `tolerance` replaces each runner's own. The random input is uniform in 0..1, of `batch` pictures, from `seed`.
    `progress` hears what runs next. One runner's outputs are held at a time, beside the reference's. Raises
    `MissingFrameworkError` for what is not installed (of the `optional` only where nothing is), `UnsupportedError`
    where no target can express the network, `ShapeError` for an `x` that does not fit and `ParameterError` for
    unusable numbers, or without runners.
    """
    if not runners:
        raise ParameterError(f"there is nothing to check: name at least one target of {', '.join(TARGETS)}")
    if tolerance is not None and not 0 <= tolerance < float("inf"):
        raise ParameterError(f"the tolerance is a share of a layer's largest value, at least 0, not {tolerance}")
    x = _input(network, x, seed, batch)
    report = progress or (lambda _: None)
    report("the reference in float64")
    wanted = forward(network, parameters, x)
    largest = [_largest(values) for values in wanted]
    required = {runner.package for name, runner in runners.items() if name not in optional}
    made: list[TargetCheck] = []
    deviations: dict[str, list[float]] = {}
    for name, runner in runners.items():
        allowed = runner.tolerance if tolerance is None else tolerance
        report(name)
        try:
            held = _deviations(runner, network, parameters, x, wanted, largest)
        except MissingFrameworkError as error:
            if runner.package in required:  # at once, before the others have run
                raise
            made.append(TargetCheck(name, None, allowed, "missing", str(error), heading=runner.heading))
            continue
        except UnsupportedError as error:
            version = installed_version(runner.package)
            made.append(TargetCheck(name, version, allowed, "unsupported", str(error), heading=runner.heading))
            continue
        deviations[name] = held
        made.append(_judged(name, runner, allowed, held))
    if not deviations:
        kind = UnsupportedError if any(target.status == "unsupported" for target in made) else MissingFrameworkError
        raise kind("; ".join(dict.fromkeys(target.detail for target in made)))
    tolerances = {target.name: target.tolerance for target in made}
    over = [
        tuple(name for name, held in deviations.items() if not held[index] <= tolerances[name])
        for index in range(len(wanted))
    ]
    rounding: dict[int, float] = {}
    if any(over):
        report("the reference in float32")
        rounded = forward(network, parameters, x, dtype=np.float32)
        rounding = {k: _deviation(rounded[k], wanted[k], largest[k]) for k, names in enumerate(over) if names}
    rows = tuple(
        LayerCheck(
            layer.index,
            layer.name,
            layer.line,
            layer.out_shape,
            size,
            {name: held[layer.index] for name, held in deviations.items()},
            over[layer.index],
            rounding.get(layer.index),
        )
        for layer, size in zip(network.layers, largest, strict=True)
    )
    return Check(network.source, network.flavor, tuple(made), rows)


def _input(network: Network, x: NDArray[Any] | None, seed: int, batch: int) -> NDArray[Any]:
    if x is None:
        check_count("the batch", batch)
        return np.random.default_rng(seed).random((batch, *network.in_shape), np.float32)
    return checked_input(network, x)


def _deviations(
    runner: Runner,
    network: Network,
    parameters: Arrays,
    x: NDArray[Any],
    wanted: Sequence[NDArray[np.float64]],
    largest: Sequence[float],
) -> list[float]:
    """Every layer's, after which nothing of the run is left in memory."""
    found = runner.run(network, parameters, x, True)
    held = [_deviation(*three) for three in zip(found, wanted, largest, strict=True)]
    del found
    gc.collect()  # models of Keras are cycles, and hold their weights until then
    return held


def _judged(name: str, runner: Runner, tolerance: float, deviations: list[float]) -> TargetCheck:
    first = next((k for k, held in enumerate(deviations) if not held <= tolerance), None)
    worst = max(range(len(deviations)), key=lambda k: deviations[k], default=None)
    return TargetCheck(
        name,
        installed_version(runner.package),
        tolerance,
        "equal" if first is None else "differs",
        first_over=first,
        worst=worst,
        heading=runner.heading,
    )


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


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
