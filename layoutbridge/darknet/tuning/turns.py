"""Candidates in processes that take turns, and which of them is fastest."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from time import monotonic

from layoutbridge.darknet.benchmarking.processes import Process, middle
from layoutbridge.darknet.benchmarking.worker import Opening
from layoutbridge.darknet.tuning.candidates import Candidate
from layoutbridge.darknet.tuning.results import Trial

ROUNDS = 5  # of a first trial
_MOST_ROUNDS, _LEAST_ROUNDS = 25, 5  # of the last one
_SURELY_SLOWER = 1.03  # in every round
SAME = 1.02  # medians that lie nearer are as good as each other
_LIGHT = 1.04  # the same of one that loads quickly, beside a fastest that does not
_SHORT = 1e-3  # seconds: what takes less differs more from process to process than candidates do
_JITTER = 2e-5  # seconds: by so much one candidate may differ from itself in another process
_PROCESSES, _ROUNDS_EACH = 5, 3  # of what is short


@dataclass(eq=False)
class Running:
    """A candidate whose process lives: `number` is its place among all, the simplest first.

    One that is `heavy` takes long to load beside the target's plain form.
    """

    candidate: Candidate
    trial: Trial
    path: Path
    process: Process
    number: int
    heavy: bool = False
    times: list[float] = field(default_factory=list)  # of every run
    rounds: list[float] = field(default_factory=list)  # the median of each round
    held: ExitStack = field(default_factory=ExitStack)

    @property
    def order(self) -> tuple[bool, int]:
        """Of those that are as fast as each other the first in this order is taken."""
        return self.heavy, self.number

    def run(self) -> bool:
        """Take a turn; whether it could."""
        answer = self.process.turn(self.times[0] if self.times else None)
        if isinstance(answer, str):
            self.trial = replace(self.trial, reason=answer)
            return False
        self.times += answer
        self.rounds.append(median(answer))
        return True

    def forget(self) -> None:
        """Drop what was measured, but for how long a run takes."""
        del self.times[1:], self.rounds[:]

    def close(self) -> None:
        """End the process."""
        self.held.close()


def started(candidate: Candidate, trial: Trial, path: Path, number: int) -> Running:
    """The candidate in a process; its trial bears a reason where the model does not run."""
    running = Running(candidate, trial, path, Process(candidate.threads), number)
    running.held.enter_context(running.process)
    loaded = running.process.open(Opening(path, candidate.threads, vouched=True, settings=dict(candidate.settings)))
    if isinstance(loaded, str):
        running.trial = replace(trial, reason=loaded)
    else:
        running.trial = replace(trial, load=loaded.seconds)
    return running


def near(seconds: float, most: float) -> bool:
    """Whether it may take `most` seconds at most, as far as processes can tell.

    >>> near(0.0105, 0.01), near(0.000055, 0.00005)
    (False, True)
    """
    return seconds <= most + _JITTER


def beside(running: Running, control: Running | None, rounds: int = ROUNDS) -> None:
    """Measure a candidate in turns with its control; its trial gets seconds, spread and the ratio."""
    both = [running] if control is None else [control, running]
    for one in both:
        one.forget()
    for turn in range(rounds):
        for one in both[:: -1 if turn % 2 else 1]:
            if not one.run():
                return
    ratio = 1.0 if control is None else ratio_of(running, control)
    seconds, spread = middle(running.times[1:] or running.times)
    running.trial = replace(running.trial, seconds=seconds, spread=spread, ratio=ratio)


def ratio_of(one: Running, other: Running) -> float:
    """How long a round takes, as a share of the other's: the median over the rounds that both had."""
    return median(a / b for a, b in zip(one.rounds, other.rounds, strict=False))


def fastest(
    finalists: Sequence[Running], controls: Sequence[Running], until: float, report: Callable[[str], None]
) -> Running | None:
    """The fastest of the finalists, in rounds until the order is certain, or `until` (of `time.monotonic`).

    Of those that are as fast as each other it is the first in their order; None where none can run. The trials get what
    was measured, the ratios to the control of the same target.
    """
    left, all_of_them = list(finalists), list(dict.fromkeys([*controls, *finalists]))
    for one in all_of_them:
        one.forget()
    for turn in range(_MOST_ROUNDS):
        report(f"round {turn + 1} of the {len(left)} fastest")
        for one in all_of_them[:: -1 if turn % 2 else 1]:
            if (one in left or one in controls) and not one.run() and one in left:
                left.remove(one)
        if not left:
            return None
        if turn + 1 >= _LEAST_ROUNDS:
            leader = min(left, key=lambda one: median(one.rounds))
            if median(leader.rounds) < _SHORT:
                break
            left = [one for one in left if one is leader or not _surely_slower(one, leader)]
            if len(left) == 1 or monotonic() > until:
                break
    for one in finalists:
        control = next((other for other in controls if other.candidate.target == one.candidate.target), None)
        if one.rounds and not one.trial.reason:
            seconds, spread = middle(one.times[1:])
            ratio = one.trial.ratio if control is None or not control.rounds else ratio_of(one, control)
            one.trial = replace(one.trial, seconds=seconds, spread=spread, ratio=1.0 if one is control else ratio)
    leader = min(left, key=lambda one: median(one.rounds))
    if median(leader.rounds) < _SHORT:
        found = _in_processes(left, until, report)
        _tell(found, controls)
        return _simplest(found)
    return _as_good(left, leader)


def _as_good(left: Sequence[Running], leader: Running) -> Running:
    """The first in their order of those that are as fast as the leader, or nearly so where it loads slowly."""
    near_it = [one for one in left if ratio_of(one, leader) <= (_LIGHT if leader.heavy and not one.heavy else SAME)]
    return min(near_it, key=lambda one: one.order, default=leader)


def _in_processes(left: Sequence[Running], until: float, report: Callable[[str], None]) -> dict[Running, list[float]]:
    """The seconds of each in several processes, the one that lives among them, as far as time is left."""
    found = {one: [median(one.rounds)] for one in left}
    for number in range(1, _PROCESSES):
        if monotonic() > until:
            break
        report(f"processes {number + 1} of the {len(left)} fastest")
        with ExitStack() as stack:
            again = {one: started(one.candidate, replace(one.trial, reason=""), one.path, one.number) for one in left}
            for fresh in again.values():
                stack.callback(fresh.close)
            for turn in range(_ROUNDS_EACH):
                for fresh in list(again.values())[:: -1 if turn % 2 else 1]:
                    if not fresh.trial.reason:
                        fresh.run()
            for one, fresh in again.items():
                if fresh.rounds and not fresh.trial.reason:
                    found[one].append(median(fresh.rounds))
    return found


def _tell(found: Mapping[Running, Sequence[float]], controls: Sequence[Running]) -> None:
    """Put what the processes took into the trials, as it is by that, and not by one process, that one is chosen."""
    for one, seconds in found.items():
        control = next((other for other in controls if other.candidate.target == one.candidate.target), None)
        ratio = one.trial.ratio
        if control is not None and control in found:
            ratio = median(seconds) / median(found[control])
        one.trial = replace(one.trial, seconds=median(seconds), ratio=ratio)


def _simplest(found: Mapping[Running, Sequence[float]]) -> Running:
    """Of those that take no longer than the fastest does in its slower processes, the first in their order."""
    leader = min(found, key=lambda one: median(found[one]))
    slower = sorted(found[leader])[-2:][0]  # the slowest may have been disturbed
    most = max(SAME * median(found[leader]), slower)
    return min((one for one in found if median(found[one]) <= most), key=lambda one: one.order)


def _surely_slower(one: Running, leader: Running) -> bool:
    ratios = sorted(a / b for a, b in zip(one.rounds, leader.rounds, strict=True))
    return ratios[len(ratios) // 4] > 1.0 and (ratios[0] > _SURELY_SLOWER or ratios[len(ratios) // 2] > SAME)
