"""The hunt: every surface for its share of the time, each in a process that is watched. Not a test itself.

A find is an input that raises anything but our own clear errors, prints, ends the process, takes more than five seconds
of computing or half a gigabyte, or does not end.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.fuzzing.surface import Surface
from tests.fuzzing.worker import ROOT, STATE_SIZE, TOLD, State, save

PATIENCE = 30.0  # seconds for one input, by the clock
_MOST_START = 180.0  # seconds until a worker has imported what it reads with
_MOST_RESIDENT = 2 << 30  # bytes of memory over those at the start, where the process is ended
_MOST_CRASHES = 8
_LOOK = 0.05  # seconds


@dataclass(frozen=True)
class Hunted:
    """What a hunt over one surface gave: inputs read, those refused, seconds, inputs of new coverage, and the finds."""

    name: str
    inputs: int
    refused: int
    seconds: float
    new: int
    finds: tuple[Path, ...]

    def __str__(self) -> str:
        refused = 100 * self.refused / max(self.inputs, 1)
        rate = self.inputs / max(self.seconds, 0.01)
        new = f", {self.new:,} of new coverage" if self.new else ""
        found = f"{len(self.finds)} find{'' if len(self.finds) == 1 else 's'}"
        return f"{self.name:14} {self.inputs:9,} inputs {rate:8,.0f}/s, {refused:3.0f}% refused{new}, {found}"


def hunt(
    chosen: Iterable[Surface],
    seconds: float,
    seed: int,
    finds: Path,
    *,
    coverage: bool,
    jobs: int = 1,
    patience: float = PATIENCE,
) -> Iterator[Hunted]:
    """Hunt over the surfaces for so many seconds in all, beside what starting takes, `jobs` of them at a time."""
    listed = list(chosen)
    whole = sum(surface.share for surface in listed)
    finds.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(jobs) as pool:
        run = partial(_hunt_one, seed=seed, finds=finds, coverage=coverage, patience=patience)
        yield from pool.map(run, listed, [seconds * surface.share / whole for surface in listed])


def _hunt_one(surface: Surface, seconds: float, *, seed: int, finds: Path, coverage: bool, patience: float) -> Hunted:
    inputs = refused = new = 0
    left, spent = seconds, 0.0
    found: set[Path] = set()
    for turn in range(_MOST_CRASHES):
        with tempfile.TemporaryDirectory(prefix="hunt-") as made:
            worker = _Worker(surface, left, seed + turn, Path(made), coverage)
            ended = worker.watch(patience)
            inputs, refused, new = inputs + worker.state.read, refused + worker.state.refused, new + worker.new
            spent += worker.seconds
            found |= {Path(shutil.copy2(path, finds)) for path in worker.finds.iterdir()}
        left = seconds - spent
        if ended is None or left <= 0:
            break
    listed = tuple(sorted(path for path in found if path.suffix != TOLD))
    return Hunted(surface.name, inputs, refused, spent, new, listed)


class _Worker:
    """A process that hunts over one surface, and what it does."""

    def __init__(self, surface: Surface, seconds: float, seed: int, folder: Path, coverage: bool) -> None:
        self.surface, self.allowed, self.folder, self.finds = surface, seconds, folder, folder / "finds"
        (folder / "state").write_bytes(bytes(STATE_SIZE))
        (folder / "corpus").mkdir()
        self.finds.mkdir()
        self.state = State(folder / "state")
        self.seconds = 0.0
        words = [surface.module, surface.name, "--folder", folder, "--seconds", seconds, "--seed", seed]
        words += ["--coverage"] if coverage else []
        command = [sys.executable, "-m", "tests.fuzzing.worker", *map(str, words)]
        with (folder / "log").open("wb") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def watch(self, patience: float) -> str | None:
        """Wait until it ends; where an input ended it, what that did. The input is saved then."""
        try:
            ended = self._starting() or self._hunting(patience)
        finally:
            self.process.kill()
            self.process.wait()
        if ended is not None:
            save(self.finds, self.surface.name, self.surface.ending, self.state.look().current, ended)
        self.state.look()
        return ended

    @property
    def new(self) -> int:
        """How many inputs reached what no other had."""
        return len(list((self.folder / "corpus").iterdir()))

    def _starting(self) -> str | None:
        end = time.monotonic() + _MOST_START
        while not (self.folder / "ready").exists():
            if self.process.poll() is not None or time.monotonic() > end:
                if self.state.look().since:
                    return self._how_it_ended() or "does not end"
                raise RuntimeError(f"the worker for {self.surface.name} did not start:\n{self._log()}")
            time.sleep(_LOOK)
        return None

    def _hunting(self, patience: float) -> str | None:
        started, usual = time.monotonic(), self._resident()
        while self.process.poll() is None:
            now = time.monotonic()
            self.seconds = now - started
            since = self.state.look().since
            if since and now - since > patience:
                return f"does not end within {patience:.0f} s"
            if self._resident() - usual > _MOST_RESIDENT:
                return f"takes over {_MOST_RESIDENT >> 20:,} MB"
            if self.seconds > self.allowed and not since:
                return None
            time.sleep(_LOOK)
        return self._how_it_ended()

    def _how_it_ended(self) -> str | None:
        code = self.process.returncode
        if code is not None and code < 0:
            return f"ends the process by {signal.Signals(-code).name}"
        if code and not self.state.look().since:
            raise RuntimeError(f"the worker for {self.surface.name} failed by itself:\n{self._log()}")
        return f"ends the process with {code}" if code else None

    def _resident(self) -> int:
        try:
            return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except (OSError, IndexError):
            return 0

    def _log(self) -> str:
        files = [self.folder / name for name in ("log", "stream1", "stream2")]
        return "".join(file.read_text("utf-8", "replace")[-3000:] for file in files if file.exists())
