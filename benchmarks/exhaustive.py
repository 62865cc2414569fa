"""How good what `tune` chooses is: it beside the best of everything that it could have chosen, on several networks.

    python -m benchmarks.exhaustive                                         (make bench-tune)
    python -m benchmarks.exhaustive --networks yolov2,mobilenet --dry

Each network is tuned as a user would do it, without anything that is remembered. Then every form in every runtime with
every number of threads and every setting is timed in turns with the choice. Those that come near it run again, in fresh
processes, beside it; those that break the budget are out. The best of them and the choice last stand a duel, in several
pairs of fresh processes: what that says is not chosen from many, so that chance does not favour it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from math import inf
from pathlib import Path

from benchmarks.detectors import NETWORKS, write_detector
from benchmarks.result_files import Row, row, save, verdict
from benchmarks.tables import write_tables
from layoutbridge.darknet.benchmarking.worker import Awaited
from layoutbridge.darknet.detectors.written import reference_results
from layoutbridge.darknet.networks.network import DarknetNetwork, load
from layoutbridge.darknet.tuning.budgets import Budget
from layoutbridge.darknet.tuning.candidates import (
    PLAIN,
    Candidate,
    every_candidate,
    installed_targets,
    threads_tried,
)
from layoutbridge.darknet.tuning.files import Written
from layoutbridge.darknet.tuning.results import Tuning
from layoutbridge.darknet.tuning.searching import Search
from layoutbridge.darknet.tuning.tuning import SECONDS, tune
from layoutbridge.darknet.tuning.turns import Running, ratio_of, started

ROOT = Path(__file__).resolve().parent.parent
FIXTURES = ROOT / "fixtures" / "nets" / "alexey"
MEASURED = ("yolov4-tiny", "mobilenet", "darknet53", "yolov2", "yolo_head")
MOST = 0.05  # of the best's time
GROUP, FIRST_ROUNDS = 6, 3
NEAR, NEAREST, SECOND_ROUNDS = 1.06, 5, 9  # what may be as fast as the choice; so many of it run again
PAIRS, LAST_ROUNDS = 5, 9


@dataclass(frozen=True)
class Entry:
    """A candidate with its file, and how long it takes as a share of the choice's time."""

    candidate: Candidate
    file: Written
    ratio: float = inf


@dataclass(frozen=True)
class Contest:
    """What `tune` found, and all that there was to find: `start` gives a candidate in a process of its own."""

    found: Tuning
    chosen: Entry
    others: Sequence[Entry]
    start: Callable[[Entry], Running]
    breach: Callable[[Running], str]


def main(words: Sequence[str] | None = None) -> int:
    """Measure what is asked for, print it, and write the result file and its tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.exhaustive")
    known = [*NETWORKS, *sorted(path.name for path in FIXTURES.iterdir())]
    parser.add_argument("--networks", default=",".join(MEASURED), help="by default %(default)s")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for tune; by default as many as it takes")
    parser.add_argument("--dry", action="store_true", help="print, and write no file")
    asked = parser.parse_args(words)
    names = asked.networks.split(",")
    if unknown := [name for name in names if name not in known]:
        parser.error(f"{', '.join(unknown)}: networks are {', '.join(known)}")
    for name in names:
        rows = measured(name, asked.seconds)
        print(told(name, rows), flush=True)
        if not asked.dry:
            save({f"tuning/{name}": rows})
    if not asked.dry:
        write_tables()
    return 0


def measured(name: str, seconds: float) -> list[Row]:
    """A row: how much more time than the best the choice takes."""
    with tempfile.TemporaryDirectory(prefix="layoutbridge-") as place:
        folder = Path(place)
        net = write_detector(name, folder) if name in NETWORKS else _fixture(name)
        found = tune(net, seconds=seconds, cache=folder / "cache", progress=_say)
        print(f"{found}; {found.took:.0f} s", flush=True)
        contest = contest_of(net, found, folder)
        timed = first_round(contest)
        for each in timed[:10]:
            print(f"  {each.ratio:.3f}  {each.candidate.told}", flush=True)
        best = second_round(contest, timed)
        _say(f"duel with {best.candidate.told}")
        more = duel(contest, best)
    ms = 1000 * (found.best.seconds or 0)
    names = {"choice": contest.chosen.candidate.told, "best": best.candidate.told}
    counts = {"candidates": len(contest.others) + 1, "took": found.took}
    return [row("the choice beside the best of the others", more, "more", MOST, ms=ms, **names, **counts)]


def _fixture(name: str) -> DarknetNetwork:
    return load(FIXTURES / name / "net.cfg", FIXTURES / name / "net.weights")


def contest_of(net: DarknetNetwork, found: Tuning, folder: Path) -> Contest:
    """Every candidate with its file; what `tune` remembered makes the same forms."""
    wanted = reference_results(net.network, net.parameters, "darknet")
    files = folder / "files"
    files.mkdir()
    search = Search(
        net=net, options={}, wanted=wanted, budget=Budget(), threads=threads_tried(None, found.cores), half=False,
        calibrate=None, folder=files, processor=found.processor, cache=folder / "cache", until=inf, report=_say,
    )  # fmt: skip
    entries = []
    for target in installed_targets(None)[0]:
        written = search.files(target)
        for candidate in every_candidate(target.name, search.forms(target), search.threads):
            file = written.of(candidate.form)
            if file.path is not None:
                entries.append(Entry(candidate, file))
    best, plain_loads = found.best, {one.target: one.load for one in found.trials if one.form == PLAIN and one.load}

    def is_choice(one: Candidate) -> bool:
        held = (one.target, one.form.name, one.form.options, one.threads, one.settings)
        return held == (best.target, best.form, best.options, best.threads, best.settings)

    def breach(running: Running) -> str:
        deviation = running.process.ask(Awaited(net.network, "darknet", wanted))
        return search.budget.breach(
            load=running.trial.load,
            deviation=deviation if isinstance(deviation, float) else inf,
            allowed=running.candidate.form.deviation,
            plain_load=plain_loads.get(running.candidate.target),
        )

    def start(entry: Entry) -> Running:
        assert entry.file.path is not None
        return started(entry.candidate, search.trial(entry.candidate, entry.file), entry.file.path, 0)

    chosen = next(one for one in entries if is_choice(one.candidate))
    return Contest(found, chosen, [one for one in entries if one is not chosen], start, breach)


def first_round(contest: Contest) -> list[Entry]:
    """All others, timed in a few turns with the choice: the fastest first."""
    timed: list[Entry] = []
    with ExitStack() as stack, ThreadPoolExecutor(2) as starters:
        chosen = stack.enter_context(closing(contest.start(contest.chosen)))
        for place in range(0, len(contest.others), GROUP):
            group = contest.others[place : place + GROUP]
            _say(f"candidates {place + 1} to {place + len(group)} of {len(contest.others)}")
            with ExitStack() as inner:
                running = [inner.enter_context(closing(one)) for one in starters.map(contest.start, group)]
                ratios = _in_turns(chosen, running, FIRST_ROUNDS)
            timed += [Entry(one.candidate, one.file, ratio) for one, ratio in zip(group, ratios, strict=True)]
    return sorted(timed, key=lambda one: one.ratio)


def second_round(contest: Contest, timed: Iterable[Entry]) -> Entry:
    """The fastest of those near the choice that keep the budget, timed again in fresh processes."""
    with ExitStack() as stack:
        chosen = stack.enter_context(closing(contest.start(contest.chosen)))
        entries: list[Entry] = []
        running: list[Running] = []
        for entry in timed:
            if len(entries) == NEAREST or (entries and entry.ratio > NEAR):
                break
            one = contest.start(entry)
            reason = one.trial.reason or contest.breach(one)
            if reason:
                one.close()
                print(f"  out: {entry.candidate.told}: {reason}", flush=True)
                continue
            running.append(stack.enter_context(closing(one)))
            entries.append(entry)
        ratios = _in_turns(chosen, running, SECOND_ROUNDS)
    for entry, ratio in sorted(zip(entries, ratios, strict=True), key=lambda pair: pair[1]):
        print(f"  {entry.ratio:.3f}, again {ratio:.3f}  {entry.candidate.told}", flush=True)
    return min(zip(entries, ratios, strict=True), key=lambda pair: pair[1])[0]


def duel(contest: Contest, best: Entry) -> list[float]:
    """How much more time the choice takes, as a share of the best's, in each pair of fresh processes."""
    more = []
    for number in range(PAIRS):
        with ExitStack() as stack:
            pair = [contest.chosen, best][:: -1 if number % 2 else 1]
            running = {entry.candidate.told: stack.enter_context(closing(contest.start(entry))) for entry in pair}
            other = running[best.candidate.told]
            more.append(1 / _in_turns(running[contest.chosen.candidate.told], [other], LAST_ROUNDS)[0] - 1)
    return more


def told(name: str, rows: Sequence[Row]) -> str:
    """The rows as text."""
    lines = [f"\n{name}"]
    for each in rows:
        more = each.more or {}
        lines.append(
            f"  chosen: {more['choice']}\n  best of the others: {more['best']} ({more['candidates']} candidates)\n"
            f"  the choice takes {100 * each.value:.1f} % more ({100 * each.low:.1f} to {100 * each.high:.1f} %):"
            f" at most {100 * MOST:g} % {verdict(each.value, MOST)}"
        )
    return "\n".join(lines)


def _in_turns(chosen: Running, others: Sequence[Running], rounds: int) -> list[float]:
    """How long each of the others takes, as a share of the choice's time; infinite where it does not run."""
    both = [chosen, *others]
    for one in both:
        one.forget()
    for turn in range(rounds):
        for one in both[:: -1 if turn % 2 else 1]:
            if not one.trial.reason:
                one.run()
    return [inf if one.trial.reason else ratio_of(one, chosen) for one in others]


_say = partial(print, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
