"""Whether ported networks compute what Darknet does: layer by layer, target by target, against a float64 reference.

Each target is built, run on a random input, and compared with `darknet.reference`, which shares no code with any
of them; or, with recorded outputs, all of these are compared with what a real Darknet gave. A layer's deviation is the
largest difference of its output as a share of the layer's largest value. What is no finite number cannot be compared.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import DTypeLike, NDArray

from layoutbridge.darknet.meaning import Arrays
from layoutbridge.darknet.ports.port import FLOAT32, Runner, checked_input, checked_sequence, refuse_costly_run
from layoutbridge.darknet.ports.table import REFERENCE, TARGETS, form_names, full_name
from layoutbridge.darknet.ports.table import runner as runner_named
from layoutbridge.darknet.reference import forward, run_sequence
from layoutbridge.darknet.reference.recorded import Recorded
from layoutbridge.darknet.structure.heads import Head
from layoutbridge.darknet.structure.kinds import Cost, L2norm
from layoutbridge.darknet.structure.model import Network
from layoutbridge.errors import (
    MissingFrameworkError,
    ParameterError,
    UnknownNameError,
    UnsupportedError,
    counted,
    shown,
)
from layoutbridge.frameworks.base import check_count, installed_version

_STEPS = 3  # of a random sequence: the state is zeros in the first, and its own result's in the third
Status = Literal["equal", "differs", "not finite", "missing", "unsupported"]


@dataclass(frozen=True, slots=True)
class TargetCheck:
    """One target: `status` is "equal", "differs", "missing" (not installed) or "unsupported"; `detail` says why.

    It is "not finite" where the first layer over the tolerance holds NaN or infinity, there or in the reference.
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
    port. `over` names the targets that are over their tolerance; `line` is the cfg's. `not_finite` names what holds NaN
    or infinity there: "reference", the file of recorded outputs, targets. All targets are over then, but where an
    l2norm divided 0 by 0 as Darknet's does and there are other values to compare.
    """

    index: int
    name: str
    line: int
    shape: tuple[int, ...]
    largest: float
    deviations: Mapping[str, float]
    over: tuple[str, ...]
    rounding: float | None = None
    not_finite: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """The name without its index."""
        return self.name.partition("_")[2]

    @property
    def deviation(self) -> float:
        """The largest of all targets'."""
        return max(self.deviations.values(), default=0.0)


@dataclass(frozen=True, slots=True)
class OtherFlavor:
    """What the reference gives of the same files in the other `flavor`.

    `first` is the first layer (its index) that is further from what this one is compared with than float32 allows, None
    where all of them are within; `share` the largest distance of an output, as a share of its largest value.
    """

    flavor: str
    first: int | None
    share: float


@dataclass(frozen=True, slots=True)
class Check:
    """The comparison of every layer with every target, in order; `against` is the file of recorded outputs, if any.

    `other` tells of the other flavour, where it reads the same files.
    """

    source: str
    flavor: str
    targets: tuple[TargetCheck, ...]
    rows: tuple[LayerCheck, ...]
    against: str | None = None
    other: OtherFlavor | None = None

    def __str__(self) -> str:
        targets = ", ".join(f"{target.name} {target.status}" for target in self.targets)
        return f"{self.source} ({self.flavor}, {counted(len(self.rows), 'layer')}): {targets}"

    @property
    def ok(self) -> bool:
        """Whether every target that ran is within its tolerance at every layer, and all of it finite."""
        return not any(target.status in ("differs", "not finite") for target in self.targets)

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
            "not_finite": [row.name for row in self.rows if row.not_finite],
        }
        if self.other is not None:
            record["other"]["share"] = _finite(self.other.share)
            record["other"]["first"] = None if self.other.first is None else self.rows[self.other.first].name
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
    against: Recorded | None = None,
    other: tuple[Network, Arrays] | None = None,
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
            raise UnknownNameError(f"no target computes in {shown(kind)}")
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
        against=against,
        other=other,
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
    against: Recorded | None = None,
    other: tuple[Network, Arrays] | None = None,
    progress: Callable[[str], None] | None = None,
) -> Check:
    """Compare what each of `runners` computes with the reference on `x` [N, C, H, W], or on a random input.

    Of a recurrent network x is a sequence, [T, N, ...]; a random one has three steps. With `against`, the reference and
    each of `runners` are compared with those recorded outputs, on their input; but for [cost], of which Darknet records
    zeros. `other` is the network in the other flavour, to tell what that makes of it. `tolerance` replaces each
    runner's own. The random input is uniform in 0..1, of `batch` pictures, by `seed`.
    `progress` hears what runs next. One runner's outputs are held at a time, beside the reference's. Raises
    `MissingFrameworkError` for what is not installed (of the `optional` only where nothing is), `UnsupportedError`
    where no target can express the network, `ShapeError` for an `x` that does not fit and `ParameterError` for
    unusable numbers, or without runners.
    """
    if not runners:
        raise ParameterError(f"there is nothing to check: name at least one target of {', '.join(TARGETS)}")
    if tolerance is not None and not 0 <= tolerance < float("inf"):
        raise ParameterError(f"the tolerance is a share of a layer's largest value, at least 0, not {tolerance}")
    x = against.input if against is not None else _input(network, x, seed, batch)
    report = progress or (lambda _: None)
    report("the reference in float64")
    with _quiet():
        reference = _reference(network, parameters, x, np.float64)
    wanted = _wanted(network, reference, against)
    largest = [largest_of(values) for values in wanted]
    pitfalls = _pitfalls(network, wanted)
    required = {runner.package for name, runner in runners.items() if name not in optional}
    made: list[TargetCheck] = []
    found: dict[str, _Found] = {}
    if against is not None:
        held = _compared(reference, wanted, largest, pitfalls)
        allowed = FLOAT32 if tolerance is None else tolerance
        found[REFERENCE] = held
        made.append(_judged(REFERENCE, None, "", allowed, held, pitfalls))
    del reference
    for name, runner in runners.items():
        allowed = runner.tolerance if tolerance is None else tolerance
        report(name)
        version = installed_version(runner.package)
        try:
            held = _run(runner, network, parameters, x, wanted, largest, pitfalls)
        except MissingFrameworkError as error:
            if runner.package in required:  # at once, before the others have run
                raise
            made.append(TargetCheck(name, None, allowed, "missing", str(error), heading=runner.heading))
            continue
        except UnsupportedError as error:
            made.append(TargetCheck(name, version, allowed, "unsupported", str(error), heading=runner.heading))
            continue
        found[name] = held
        made.append(_judged(name, version, runner.heading, allowed, held, pitfalls))
    if not found.keys() - {REFERENCE}:
        kind = UnsupportedError if any(target.status == "unsupported" for target in made) else MissingFrameworkError
        raise kind("; ".join(dict.fromkeys(target.detail for target in made if target.detail)))
    tolerances = {target.name: target.tolerance for target in made}
    over = [
        tuple(name for name, held in found.items() if not held.deviations[index] <= tolerances[name])
        for index in range(len(wanted))
    ]
    yardstick = REFERENCE if against is None else against.source
    rows = tuple(
        LayerCheck(
            layer.index,
            layer.name,
            layer.line,
            layer.out_shape,
            largest[layer.index],
            {name: held.deviations[layer.index] for name, held in found.items()},
            over[layer.index],
            not_finite=tuple(
                [yardstick] * (layer.index in pitfalls.not_finite)
                + [name for name, held in found.items() if layer.index in held.not_finite]
            ),
        )
        for layer in network.layers
    )
    if against is None and any(row.over and not row.not_finite for row in rows):
        report("the reference in float32")
        with _quiet():
            rounded = _reference(network, parameters, x, np.float32)
        rows = tuple(
            replace(row, rounding=deviation_of(rounded[row.index], wanted[row.index], row.largest))
            if row.over and not row.not_finite
            else row
            for row in rows
        )
    return Check(
        network.source,
        network.flavor,
        tuple(made),
        rows,
        None if against is None else against.source,
        None if other is None else _other(*other, x, wanted, largest),
    )


def _other(
    network: Network,
    parameters: Arrays,
    x: NDArray[Any],
    wanted: Sequence[NDArray[np.float64]],
    largest: Sequence[float],
) -> OtherFlavor:
    """How far the other flavour's reference is from what this one's targets are compared with."""
    with _quiet():
        found = _reference(network, parameters, x, np.float64)
    if [layer.size for layer in found] != [layer.size for layer in wanted]:
        return OtherFlavor(network.flavor, 0, float("inf"))
    deviations = [
        deviation_of(layer.reshape(aim.shape), aim, most)
        for layer, aim, most in zip(found, wanted, largest, strict=True)
    ]
    first = next((index for index, deviation in enumerate(deviations) if not deviation <= FLOAT32), None)
    heads = [layer.index for layer in network.layers if isinstance(layer.settings, Head)] or [len(deviations) - 1]
    return OtherFlavor(network.flavor, first, max(deviations[index] for index in heads))


@dataclass(frozen=True, slots=True)
class _Found:
    """What a run gave: every layer's deviation, and the layers that hold NaN or infinity."""

    deviations: list[float]
    not_finite: frozenset[int]


@dataclass(frozen=True, slots=True)
class _Pitfalls:
    """The layers at which the yardstick holds NaN or infinity; `own` are those where Darknet's definition gives it."""

    not_finite: frozenset[int]
    own: frozenset[int]


def _wanted(
    network: Network, reference: Sequence[NDArray[np.float64]], against: Recorded | None
) -> Sequence[NDArray[np.float64]]:
    if against is None:
        return reference
    return [
        reference[layer.index] if isinstance(layer.settings, Cost) else against.layers[layer.index]
        for layer in network.layers
    ]


def _pitfalls(network: Network, wanted: Sequence[NDArray[np.float64]]) -> _Pitfalls:
    """An l2norm divides 0 by 0 where every channel is 0, as Darknet does, and layers behind it carry the NaN.

    That is no fault of the files as long as a layer has other values, too.
    """
    bad = _not_finite(wanted)
    carried: set[int] = set()
    for layer in network.layers:
        if layer.index in bad:
            from_before = bad.intersection(layer.inputs)
            if from_before <= carried if from_before else isinstance(layer.settings, L2norm):
                carried.add(layer.index)
    return _Pitfalls(bad, frozenset(index for index in carried if np.isfinite(wanted[index]).any()))


def _quiet() -> np.errstate:
    """What is not finite is told in the result, not by NumPy's warnings."""
    return np.errstate(divide="ignore", invalid="ignore", over="ignore")


def _not_finite(outputs: Sequence[NDArray[Any]]) -> frozenset[int]:
    return frozenset(index for index, values in enumerate(outputs) if not np.isfinite(values).all())


def _input(network: Network, x: NDArray[Any] | None, seed: int, batch: int) -> NDArray[Any]:
    if x is None:
        check_count("the batch", batch)
        refuse_costly_run(network)
        leading = (_STEPS,) if network.states else ()
        return np.random.default_rng(seed).random((*leading, batch, *network.in_shape), np.float32)
    return checked_sequence(network, x) if network.states else checked_input(network, x)


def _reference(network: Network, parameters: Arrays, x: NDArray[Any], dtype: DTypeLike) -> list[NDArray[Any]]:
    """The outputs of all layers; for the steps of a sequence [T, N, ...], of recurrent networks."""
    run = run_sequence if network.states else forward
    return run(network, parameters, x, dtype=dtype)


def _run(
    runner: Runner,
    network: Network,
    parameters: Arrays,
    x: NDArray[Any],
    wanted: Sequence[NDArray[np.float64]],
    largest: Sequence[float],
    pitfalls: _Pitfalls,
) -> _Found:
    """What `runner` gives, compared, after which nothing of the run is left in memory."""
    with _quiet():
        outputs = (runner.run_sequence if network.states else runner.run)(network, parameters, x, True)
    held = _compared(outputs, wanted, largest, pitfalls)
    del outputs
    gc.collect()  # models of Keras are cycles, and hold their weights until then
    return held


def _compared(
    outputs: Sequence[NDArray[Any]],
    wanted: Sequence[NDArray[np.float64]],
    largest: Sequence[float],
    pitfalls: _Pitfalls,
) -> _Found:
    bad = _not_finite(outputs)
    deviations = [deviation_of(*three) for three in zip(outputs, wanted, largest, strict=True)]
    for index in (bad | pitfalls.not_finite) - pitfalls.own:
        deviations[index] = float("inf")
    return _Found(deviations, bad)


def _judged(
    name: str, version: str | None, heading: str, tolerance: float, held: _Found, pitfalls: _Pitfalls
) -> TargetCheck:
    deviations = held.deviations
    first = next((k for k, deviation in enumerate(deviations) if not deviation <= tolerance), None)
    worst = max(range(len(deviations)), key=lambda k: deviations[k], default=None)
    status: Status = "differs"
    if first is None:
        status = "equal"
    elif first in held.not_finite | pitfalls.not_finite:
        status = "not finite"
    return TargetCheck(name, version, tolerance, status, first_over=first, worst=worst, heading=heading)


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def largest_of(values: NDArray[np.float64]) -> float:
    """The largest magnitude of those that are finite numbers."""
    return float(np.abs(values, where=np.isfinite(values), out=np.zeros(values.shape)).max(initial=0))


def deviation_of(found: NDArray[Any], wanted: NDArray[np.float64], largest: float) -> float:
    """The largest difference as a share of `largest`; infinite where one of both alone is no finite number.

    Where all is 0, the difference itself: runtimes give 1e-38 for the logistic of −1000, or −6e-8 for 2σ(0) − 1.

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
    return difference / (largest or 1.0) if np.isfinite(difference) else float("inf")
