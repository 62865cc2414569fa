"""The candidates of a target tried one after another: forms first, then settings and threads of the best of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.darknet.benchmarking.worker import MEMORY, Awaited
from layoutbridge.darknet.networks.network import DarknetNetwork
from layoutbridge.darknet.ports.port import Port
from layoutbridge.darknet.ports.records.halves import halves_of
from layoutbridge.darknet.ports.table import port
from layoutbridge.darknet.tuning.budgets import Budget, loads_slowly
from layoutbridge.darknet.tuning.candidates import PLAIN, Candidate, Form, forms_of, settings_of
from layoutbridge.darknet.tuning.convolutions import SMALL_TILES, convolutions_of, faster_in_tiles, tiles_of, timed
from layoutbridge.darknet.tuning.files import Files, Written
from layoutbridge.darknet.tuning.remembering import TRIALS, Remembered, remembered
from layoutbridge.darknet.tuning.results import Trial
from layoutbridge.darknet.tuning.turns import SAME, Running, beside, near, started
from layoutbridge.frameworks.base import installed_version
from layoutbridge.frameworks.framework import options_of

_NEAR = 1.10  # as slow as this beside the fastest, it may still be the fastest
_FAR = 1.30  # a target so much slower than another has no settings and threads tried
_SURELY_FAR = 1.5  # remembered to load so much longer than is allowed, it is not loaded again
_OF_CONVOLUTIONS = 0.5  # of the time that is left, for timing a target's convolutions
_FIGURES = ("seconds", "spread", "ratio", "load", "memory", "deviation")  # of a trial that are remembered


@dataclass
class Search:
    """What is searched for: the fastest way to run `net` within the `budget`, and what has been found so far.

    `options` are the writer's for all forms, `wanted` the reference's results for the head, `until` the end of the
    trials (of `time.monotonic`), `cache` the folder for what is remembered.
    """

    net: DarknetNetwork
    options: Mapping[str, Any]
    wanted: Sequence[NDArray[np.float64]]
    budget: Budget
    threads: Sequence[int]
    half: bool
    calibrate: Any
    folder: Path
    processor: str
    cache: Path | None
    until: float
    report: Callable[[str], None]
    trials: list[Trial] = field(default_factory=list)  # of what has no process any more
    seen: set[tuple[str, int]] = field(default_factory=set)
    running: list[Running] = field(default_factory=list)
    controls: list[Running] = field(default_factory=list)
    identity: str = ""

    def __post_init__(self) -> None:
        """The network's identity for what is remembered of it: structure, weights, options."""
        structure = (self.net.network.layers, self.net.network.in_shape, sorted(self.options.items()))
        digest = sha256(repr(structure).encode())
        for place, array in sorted(self.net.parameters.items()):
            digest.update(repr(place).encode())
            digest.update(np.ascontiguousarray(array).data)
        self.identity = digest.hexdigest()[:16]

    def search(self, target: Port) -> None:
        """Try the target's candidates; those that may be the fastest are left running."""
        most, before = self.threads[0], self._fastest()
        files = self.files(target)
        control = self._tried(files, Candidate(target.name, Form(PLAIN), most), None)
        if control is None:
            return
        self.controls.append(control)
        for form in self.forms(target)[1:]:
            if not form.instead_of or self._is_needed(target.name, form):
                self._tried(files, Candidate(target.name, form, most, form.settings), control)
        best = self._best_of(target.name)
        if best is None or (before is not None and not near(best, _FAR * before)):
            return
        for number in self.threads[1:]:
            self._tried(files, replace(self._simplest(target.name).candidate, threads=number), control)
        plain = self._simplest(target.name).candidate
        for settings in settings_of(target.name):
            self._tried(files, replace(plain, settings={**plain.settings, **settings}), control)

    def finalists(self) -> list[Running]:
        """Those that may be the fastest of all; the others' processes end."""
        best = self._fastest() or 0.0
        chosen = []
        for one in filter(_counts, self.running):
            of_target = self._best_of(one.candidate.target) or 0.0
            # nothing slower than the control is to be chosen
            may_win = one in self.controls or near(_time(one), _NEAR * of_target)
            if may_win and near(of_target, _FAR * best):
                chosen.append(one)
        for one in self.running:
            if one not in chosen and one not in self.controls:
                self._ended(one)
        return chosen

    def close(self) -> None:
        """End all processes."""
        for one in [*self.running, *self.controls]:
            one.close()

    def files(self, target: Port) -> Files:
        """The files of the target's forms, none of them written yet."""
        return Files(target, self.net, self.options, self.calibrate, self.folder, self.report)

    def forms(self, target: Port) -> tuple[Form, ...]:
        """The target's forms, the plain one first: for those by layer its convolutions are timed."""
        layers = gentle = None
        batch = self.options.get("batch")
        if "winograd" in options_of(target.write) and not self.options.get("dynamic_size"):
            memory = self._memory(target, self.threads[0])
            layers_of = convolutions_of(self.net.network, batch)
            place = self.folder / f"{target.name}-convolutions"
            place.mkdir()
            until = monotonic() + _OF_CONVOLUTIONS * (self.until - monotonic())
            times = timed(target, layers_of, self.threads[0], memory, place, self.report, until)
            every = tiles_of(target)
            small = tuple(tile for tile in every if tile in SMALL_TILES)
            layers, gentle = (faster_in_tiles(layers_of, times, tiles) for tiles in (every, small))
        arithmetic = halves_of(target.name)
        return forms_of(target, layers, gentle, half=self.half, int8=self.calibrate is not None, arithmetic=arithmetic)

    def trial(self, candidate: Candidate, file: Written) -> Trial:
        """The candidate with its file, before it is measured; out where there is none, or one that is too large."""
        runtime, version = _runtime(port(candidate.target))
        return Trial(
            candidate.target, runtime, version, candidate.form.name, candidate.threads, candidate.settings,
            candidate.form.options, bytes=file.size, reason=file.reason or self.budget.breach(size=file.size),
        )  # fmt: skip

    # ------------------------------------------------------------------ within

    def _is_needed(self, target: str, form: Form) -> bool:
        """Whether the form that this one stands in for costs too much of what this one spares."""
        trials = [*self.trials, *(one.trial for one in self.running)]
        for trial in trials:
            if (trial.target, trial.form) == (target, form.instead_of) and trial.load is not None:
                plain_load = self._plain_load(target)
                if form.spares == "load":
                    breach = self.budget.breach(load=trial.load, memory=trial.memory, plain_load=plain_load)
                    return bool(breach) or loads_slowly(trial.load, plain_load)
                return bool(self.budget.breach(deviation=trial.deviation, allowed=form.deviation))
        return False

    def _memory(self, target: Port, threads: int) -> Remembered:
        return remembered(self.processor, *_runtime(target), threads, self.cache)

    def _tried(self, files: Files, candidate: Candidate, control: Running | None) -> Running | None:
        """The candidate, measured and running, where it may be the fastest or is the control."""
        number, key = len(self.seen), (candidate.key, candidate.threads)
        if key in self.seen or (control is not None and monotonic() > self.until):
            return None
        self.seen.add(key)
        self.report(f"trying {candidate.told}")
        target, file = files.target, files.of(candidate.form)
        trial = self.trial(candidate, file)
        if file.path is None or (trial.reason and control is not None):
            self.trials.append(trial)
            return None
        memory = self._memory(target, candidate.threads)
        name = f"{self.identity} {file.digest} {candidate.key}"
        held = _understood(memory.recall(TRIALS).get(name))
        if held is not None and control is not None and self._is_out(held, candidate, control):
            self.trials.append(self._judged(replace(trial, **held), candidate))
            return None
        running = started(candidate, trial, file.path, number)
        if self.budget.breach(load=running.trial.load, plain_load=self._plain_load(target.name)):  # it may be chance
            other = started(candidate, trial, file.path, number)
            running.close()
            if (running.trial.load or 0) < (other.trial.load or 0):
                other.trial = replace(other.trial, load=running.trial.load)
            running = other
        if running.trial.load is not None:
            running.heavy = loads_slowly(running.trial.load, self._plain_load(target.name))
            self._measure(running, control)
            figures = {name: getattr(running.trial, name) for name in _FIGURES}
            if running.trial.seconds is not None:
                memory.keep(TRIALS, {name: figures})
                running.trial = self._judged(running.trial, candidate)
        self.running.append(running)
        if running.trial.seconds is None or (control is not None and not self._may_win(running)):
            self._ended(running)
            return None
        return running

    def _measure(self, running: Running, control: Running | None) -> None:
        memory = running.process.ask(MEMORY)
        head = self.options.get("head") or "darknet"
        deviation = running.process.ask(Awaited(self.net.network, head, self.wanted))
        if not isinstance(deviation, float):
            running.trial = replace(running.trial, reason=str(deviation))
            return
        bytes_taken = memory if isinstance(memory, int) else None
        running.trial = replace(running.trial, memory=bytes_taken, deviation=deviation)
        beside(running, control)

    def _judged(self, trial: Trial, candidate: Candidate) -> Trial:
        """With the reason why it is out, where a limit is broken."""
        if trial.reason:
            return trial
        reason = self.budget.breach(
            size=trial.bytes,
            load=trial.load,
            memory=trial.memory,
            deviation=trial.deviation,
            allowed=candidate.form.deviation,
            plain_load=self._plain_load(trial.target),
        )
        return replace(trial, reason=reason)

    def _plain_load(self, target: str) -> float | None:
        """The seconds that the target's plain form loads in, where it has been loaded."""
        return next((one.trial.load for one in self.controls if one.candidate.target == target), None)

    def _is_out(self, held: Mapping[str, Any], candidate: Candidate, control: Running) -> bool:
        """Whether what is remembered of it says surely that it is not the fastest."""
        load = None if held["load"] is None else held["load"] / _SURELY_FAR
        limits = self.budget.breach(
            load=load,
            memory=held["memory"],
            deviation=held["deviation"],
            allowed=candidate.form.deviation,
            plain_load=control.trial.load,
        )
        best = self._best_of(candidate.target)
        seconds = held["ratio"] * (control.trial.seconds or 0)
        return bool(limits) or (best is not None and not near(seconds, _FAR * best))

    def _may_win(self, running: Running) -> bool:
        best = self._best_of(running.candidate.target)
        return not running.trial.reason and (best is None or near(_time(running), _NEAR * best))

    def _ended(self, running: Running) -> None:
        """Its process is not needed any more; its trial stays."""
        running.close()
        if running in self.running:
            self.running.remove(running)
        self.trials.append(running.trial)

    def _best_of(self, target: str) -> float | None:
        return min((_time(one) for one in self._of(target)), default=None)

    def _of(self, target: str) -> list[Running]:
        """Those of the target that may be chosen."""
        return [one for one in self.running if _counts(one) and one.candidate.target == target]

    def _fastest(self) -> float | None:
        return min((_time(one) for one in self.running if _counts(one)), default=None)

    def _simplest(self, target: str) -> Running:
        """Of the target's fastest, which noise may put in any order, the one that was tried first."""
        best = self._best_of(target) or 0.0
        return min((one for one in self._of(target) if near(_time(one), SAME * best)), key=lambda one: one.order)


def _counts(one: Running) -> bool:
    return not one.trial.reason and one.trial.seconds is not None


def _time(one: Running) -> float:
    """Seconds of a picture, as if measured when the control was."""
    return one.trial.seconds or float("inf")


def _runtime(target: Port) -> tuple[str, str]:
    """The package that runs the target's files, and its version."""
    assert target.runner is not None
    return target.runner.package, installed_version(target.runner.package) or ""


def _understood(held: object) -> dict[str, Any] | None:
    """The figures that were remembered of a trial, where they are that."""
    if not isinstance(held, dict) or set(held) != set(_FIGURES):
        return None
    if not all(isinstance(held[name], int | float) and held[name] > 0 for name in ("seconds", "ratio", "load")):
        return None
    optional = [held[name] for name in ("spread", "memory", "deviation")]
    return held if all(value is None or isinstance(value, int | float) for value in optional) else None
