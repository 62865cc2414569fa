"""`tune`: the fastest way to run a network on this machine, within a budget, by trial."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import isfinite
from pathlib import Path
from time import monotonic
from typing import Any

from layoutbridge.darknet.detectors.written import reference_results
from layoutbridge.darknet.networks.network import DarknetNetwork, load
from layoutbridge.darknet.ports.onnx_model import ENDINGS
from layoutbridge.darknet.ports.outputs import check_head
from layoutbridge.darknet.ports.port import Export, Port
from layoutbridge.darknet.ports.records.halves import halves_of
from layoutbridge.darknet.ports.records.tuned import processor_here
from layoutbridge.darknet.ports.table import port, ports
from layoutbridge.darknet.quantization.pictures import pictures_for
from layoutbridge.darknet.quantization.quantizing import quantize, targets_in_int8
from layoutbridge.darknet.tuning.budgets import Budget
from layoutbridge.darknet.tuning.candidates import (
    PLAIN,
    TUNED_TARGETS,
    installed_targets,
    threads_tried,
    usual_options,
)
from layoutbridge.darknet.tuning.results import Trial, Tuning
from layoutbridge.darknet.tuning.searching import Search
from layoutbridge.darknet.tuning.turns import fastest
from layoutbridge.errors import (
    MissingFrameworkError,
    ParameterError,
    UnsupportedError,
    UnusableInputError,
    counted,
    shown,
)
from layoutbridge.files import PathLike
from layoutbridge.frameworks.framework import options_of
from layoutbridge.machine import this_machine

SECONDS = 110.0
_LAST_SECONDS = 30.0  # of the rounds among the fastest, behind the trials
_TOLD = 3  # reasons where nothing can be chosen
_CHOSEN = ("runtime", "winograd", "store_winograd", "half", "int8", "tuned")  # what is chosen by trial
_NOT_MEASURED = ("dynamic_size", "steps")

Progress = Callable[[str], None]


def tune(
    model: DarknetNetwork | PathLike,
    weights: PathLike | None = None,
    *,
    flavor: str = "alexey",
    targets: Sequence[str] | None = None,
    threads: int | Sequence[int] | None = None,
    half: bool = False,
    calibrate: Any = None,
    budget: Budget | None = None,
    options: Mapping[str, Any] | None = None,
    seconds: float = SECONDS,
    cache: PathLike | None = None,
    progress: Progress | None = None,
) -> Tuning:
    """Find the fastest way to run a network here: a .cfg with its `weights`, or what `load` gives.

    Tried are `targets` (of "ncnn", "openvino", "onnx", "tflite", "torch"; all whose runtime is installed by default),
    each plain, in Winograd's form by the built-in model of costs and layer by layer as this machine's own timings of
    the network's convolutions say, with settings of the runtime and with `threads`: a number, several, or powers of two
    up to all cores. With `half` float16 is tried, and what the runtime can compute in on this processor beside float32
    (bfloat16 with AMX, say); int8 with pictures to `calibrate` (as `quantize` takes them). What breaks the `budget`
    (`Budget()` by default) is out. `options` are the writers', for all forms: head, batch, names.

    Each candidate runs in a process of its own, in turns with the plain form; the fastest then run in turns until their
    order is certain. No trial begins after `seconds` but that of a target's plain form. Timings are kept in a small
    file for this processor and version of the runtime, in the folder `cache` (by default in the user's folder for
    caches): a second run is quicker, and one that was interrupted goes on. `progress` hears what is done. `write_tuned`
    writes the choice.

    Raises as `load` does, `UnknownNameError` for a target, `ParameterError`, `UnsupportedError` for networks with
    states or without pictures, `MissingFrameworkError` where no runtime is installed, and `UnusableInputError` where
    nothing keeps the budget.

    >>> nets = "fixtures/nets/alexey/yolo_head"
    >>> net = load(f"{nets}/net.cfg", f"{nets}/net.weights")
    >>> found = tune(net, targets=["onnx"], threads=1, cache=getfixture("tmp_path"))
    >>> found.best.target, found.best.threads, found.best.deviation < 1e-4
    ('onnx', 1, True)
    """
    begun, cores, processor = monotonic(), this_machine().cores, processor_here()
    report = progress or (lambda _: None)
    limits = budget or Budget()
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not (isfinite(seconds) and seconds > 0):
        raise ParameterError(f"seconds is a number over 0, not {shown(seconds)}")
    tried = threads_tried(threads, cores)
    fitting, missing = installed_targets(targets)
    chosen = dict(options or {})
    _refuse_unfit(chosen, fitting, half, calibrate)
    if isinstance(model, DarknetNetwork):
        if weights is not None:
            raise ParameterError("weights go with a .cfg")
        net = model
    else:
        net = load(model, weights, flavor=flavor)
    _refuse_unmeasured(net)
    if not fitting:
        raise MissingFrameworkError(f"no runtime to tune for: {'; '.join(missing.values())}")
    if calibrate is not None:
        pictures_for(net.network, calibrate)  # what cannot be read is told before the trials
    report("running the reference")
    wanted = reference_results(net.network, net.parameters, chosen.get("head") or "darknet")
    with tempfile.TemporaryDirectory(prefix="layoutbridge-") as folder:
        search = Search(
            net=net,
            options=chosen,
            wanted=wanted,
            budget=limits,
            threads=tried,
            half=half,
            calibrate=calibrate,
            folder=Path(folder),
            processor=processor,
            cache=None if cache is None else Path(cache),
            until=begun + seconds,
            report=report,
        )
        try:
            for target in fitting:
                search.search(target)
            trials = _decided(search)
        finally:
            search.close()
    return Tuning(net.network.source, processor, cores, limits, trials, missing, monotonic() - begun)


def write_tuned(
    net: DarknetNetwork,
    path: str | os.PathLike[str],
    tuning: Tuning,
    *,
    calibrate: Any = None,
    options: Mapping[str, Any] | None = None,
) -> Export:
    """Write `net` to `path` as `tuning` chose, with a record of the choice in the file's metadata.

    `options` are the writer's beside those, as `tune` got them, and so are the pictures to `calibrate`. Raises as the
    target's writer does.
    """
    best = tuning.best
    target = port(best.target)
    net.refuse_overwriting(path, target)
    chosen = options_to_write(tuning, options or {})
    if best.in_int8:
        return quantize(net, path, calibrate, to=best.target, options=chosen).export
    if "sources" in options_of(target.write):
        chosen["sources"] = net.sources
    return target.write(net.network, net.parameters, path, **chosen)


def options_to_write(tuning: Tuning, options: Mapping[str, Any]) -> dict[str, Any]:
    """The writer's options for what was chosen, the record of it among them: those of `options` that it takes, too."""
    best, target = tuning.best, port(tuning.best.target)
    given = {name: value for name, value in options.items() if name in options_of(target.write)}
    return {**usual_options(target), **given, **best.options, "tuned": tuning.record}


def _refuse_unfit(options: Mapping[str, Any], targets: Sequence[Port], half: bool, calibrate: Any) -> None:
    if options.get("head") not in (None, *ENDINGS):
        check_head(options["head"])
    for name in options:
        if name in _CHOSEN:
            raise ParameterError(f"{name} is what is chosen by trial: leave it out")
        if name in _NOT_MEASURED:
            raise ParameterError(f"{name} leaves open what is to be measured: leave it out")
        if targets and not any(name in options_of(target.write) for target in targets):
            raise ParameterError(f"{', '.join(target.name for target in targets)} takes no {shown(name)}")
    in_half = [
        target.name
        for target in ports()
        if target.name in TUNED_TARGETS and ("half" in options_of(target.write) or halves_of(target.name))
    ]
    if half and targets and not any(target.name in in_half for target in targets):
        raise ParameterError(f"half is for {', '.join(in_half)}, not for {', '.join(one.name for one in targets)}")
    known = targets_in_int8()
    if calibrate is not None and targets and not any(target.name in known for target in targets):
        raise ParameterError(f"int8 is for {', '.join(known)}, not for {', '.join(one.name for one in targets)}")


def _refuse_unmeasured(net: DarknetNetwork) -> None:
    network = net.network
    if network.states:
        raise UnsupportedError(f"{network.source} carries states from step to step: single pictures are what is tuned")
    if len(network.in_shape) != 3:
        raise UnsupportedError(
            f"{network.source} takes {counted(network.in_shape[0], 'value')}: networks of pictures are tuned"
        )


def _decided(search: Search) -> tuple[Trial, ...]:
    """All trials, the chosen one first. Raises `UnusableInputError` where none can be chosen."""
    finalists = search.finalists()
    controls = [one for one in search.controls if any(_same_target(one, other) for other in finalists)]
    until = max(search.until, monotonic()) + _LAST_SECONDS
    winner = fastest(finalists, controls, until, search.report) if finalists else None
    trials = [*search.trials, *(one.trial for one in search.running if one is not winner)]
    if winner is None:
        out = sorted((trial for trial in trials if trial.reason), key=lambda trial: trial.form != PLAIN)
        reasons = dict.fromkeys(f"{trial.target} {trial.form}: {trial.reason}" for trial in out)
        raise UnusableInputError(f"nothing can be chosen: {'; '.join(list(reasons)[:_TOLD])}")
    trials.sort(key=lambda trial: (bool(trial.reason), trial.seconds is None, trial.seconds or 0))
    return (replace(winner.trial, chosen=True), *trials)


def _same_target(one: Any, other: Any) -> bool:
    return bool(one.candidate.target == other.candidate.target)
