"""One surface hunted in a process of its own, which may crash: `python -m tests.fuzzing.worker MODULE NAME ...`.

What it is doing stands in a file that the process which started it maps as well: how many inputs were read, and the one
being read. So an input that ends the process, or never ends, is known. Not a test itself.
"""

from __future__ import annotations

import argparse
import hashlib
import mmap
import os
import resource
import shutil
import struct
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from random import Random

from tests.fuzzing.mutation import MOST_BYTES
from tests.fuzzing.surface import CORPORA, Surface

ROOT = Path(__file__).resolve().parents[2]
MOST_SECONDS = 5.0  # of computing, for one input
MOST_MEMORY = 500 << 20  # bytes more in memory while one input is read
STATE_SIZE = 1 << 20
TOLD = ".found"  # the ending of what an input does, behind its own name
_MOST_MAPPED = 8 << 30  # bytes over those at the start: who asks for more is told that there are none
_STATE = struct.Struct("<QQdQ")  # inputs read, of them refused, since when (0: between two), length of the input


class State:
    """The file that both processes map."""

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self._held = mmap.mmap(file.fileno(), STATE_SIZE)
        self.look()

    def look(self) -> State:
        """The numbers as they are now."""
        self.read, self.refused, self.since, self._length = _STATE.unpack_from(self._held)
        return self

    def begin(self, data: bytes) -> None:
        """Note the input that is going to be read."""
        self._held[_STATE.size : _STATE.size + len(data)] = data
        _STATE.pack_into(self._held, 0, self.read, self.refused, time.monotonic(), len(data))

    def end(self, taken: bool) -> None:
        """Note that it has been."""
        self.read += 1
        self.refused += not taken
        _STATE.pack_into(self._held, 0, self.read, self.refused, 0.0, 0)

    @property
    def current(self) -> bytes:
        """The input that is being read."""
        return self._held[_STATE.size : _STATE.size + self._length]


class Hunter:
    """Gives a surface inputs, one at a time, and saves those that are finds, one of a kind, in `finds`."""

    def __init__(self, surface: Surface, state: State, finds: Path) -> None:
        self.surface, self.state, self.finds = surface, state, finds
        self.folder = Path(tempfile.mkdtemp(prefix="hunt-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None))
        self._seen: set[str] = set()
        self._highest = 0  # of the memory so far

    def warm_up(self) -> None:
        """Read some inputs, so that no import counts as one's time and memory; what they do is not looked at yet."""
        for data in (*self.surface.corpus[:3], *(self.surface.new(Random(number)) for number in range(20))):
            self.try_one(data, measured=False)

    def try_one(self, data: bytes, *, measured: bool = True) -> None:
        """Read one input."""
        _printed()  # by whoever chose the input
        before, started = max(_memory("VmRSS"), self._highest), time.process_time()
        self.state.begin(data)
        taken, found = False, ""
        try:
            taken = self.surface.check(data, self.folder)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            found = signature(error)
        seconds = time.process_time() - started
        self._highest = _memory("VmHWM")
        printed = _printed()
        if not found and printed and not self.surface.loud:
            found = f"prints: {printed[:200]!r}"
        if not found and seconds > MOST_SECONDS:
            found = "takes too long"
        if not found and self._highest - before > MOST_MEMORY:
            found = "takes too much memory"
        if found and measured and (kind := found.partition(": ")[0]) not in self._seen:
            self._seen.add(kind)
            save(self.finds, self.surface.name, self.surface.ending, data, found)
        self.state.end(taken)


def signature(error: BaseException) -> str:
    """The kind of error and the functions that it came through, which make two failures one find; then what it says."""
    places = [f"{Path(frame.filename).name}:{frame.name}" for frame in traceback.extract_tb(error.__traceback__)]
    return f"{type(error).__name__} in {' < '.join(reversed(places[-4:]))}: {str(error)[:300]}"


def save(finds: Path, name: str, ending: str, data: bytes, found: str) -> Path:
    """Write an input, and what it does beside it, into the folder of finds; returns the input's path."""
    short = hashlib.sha256(found.partition(": ")[0].encode("utf-8", "replace")).hexdigest()[:8]
    path = finds / f"{name}-{short}{ending}"
    path.write_bytes(data)
    path.with_name(f"{path.name}{TOLD}").write_text(found, "utf-8", "backslashreplace")
    return path


def read_again(surface: Surface, path: Path) -> int:
    """Read one input in this process, with what it raises; 0 where it is no find."""
    with tempfile.TemporaryDirectory() as folder:
        started, data = time.process_time(), path.read_bytes()
        taken = surface.check(data, Path(folder))
    most = _memory("VmHWM") >> 20
    print(f"{'taken' if taken else 'refused'} in {time.process_time() - started:.1f} s, {most:,} MB in all")
    return 0


def _memory(kind: str) -> int:
    """This program's bytes now (VmRSS), or at most so far (VmHWM): getrusage counts who started it, too."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        return int(file.read().partition(f"{kind}:")[2].split(maxsplit=1)[0]) << 10


def _printed() -> str:
    """What came onto the process's streams, which are files; they are empty then."""
    sys.stdout.flush(), sys.stderr.flush()
    text = ""
    for number in (1, 2):
        if size := os.fstat(number).st_size:
            text += os.pread(number, size, 0).decode("utf-8", "replace")
            os.ftruncate(number, 0)
    return text


def _stream_into_files(folder: Path) -> None:
    for number in (1, 2):
        os.dup2(os.open(folder / f"stream{number}", os.O_RDWR | os.O_CREAT | os.O_APPEND), number)


# ---------------------------------------------------------------------- two ways to choose inputs


def _hunt_drawn(hunter: Hunter, seconds: float, seed: int) -> None:
    """Drawn and changed inputs one after the other: the same ones for the same seed."""
    random, end = Random(seed), time.monotonic() + seconds
    for data in hunter.surface.corpus:
        hunter.try_one(data)
    while time.monotonic() < end:
        hunter.try_one(hunter.surface.new(random)[:MOST_BYTES])


def _hunt_coverage(hunter: Hunter, seconds: float, seed: int, corpus: Path) -> None:
    """By atheris, which keeps inputs that reach new branches of ours and changes those; it ends the process."""
    import atheris

    def changed(data: bytes, most: int, number: int) -> bytes:
        random, surface = Random(number), hunter.surface
        fresh = len(data) < 2 or random.random() < 0.4
        return (surface.new(random) if fresh else surface.mutate(random, data, surface.corpus))[:most]

    kept = CORPORA / hunter.surface.name
    signals = [f"-handle_{name}=0" for name in ("segv", "abrt", "bus", "fpe", "ill", "int", "term", "xfsz")]
    options = {"max_total_time": max(round(seconds), 1), "seed": seed % (1 << 31) + 1, "max_len": MOST_BYTES,
               "timeout": 1 << 20, "rss_limit_mb": 0, "malloc_limit_mb": 0, "verbosity": 0, "len_control": 0,
               "reload": 0}  # fmt: skip
    words = [sys.argv[0], *signals, *(f"-{name}={value}" for name, value in options.items()), str(corpus)]
    atheris.Setup([*words, *([str(kept)] if kept.is_dir() else [])], hunter.try_one, custom_mutator=changed)
    atheris.Fuzz()


def main(arguments: Sequence[str] | None = None) -> None:
    """Hunt over one surface for some seconds."""
    warnings.filterwarnings("ignore", module="PIL")  # of broken metadata: they are left to the program, as ours does
    parser = argparse.ArgumentParser()
    parser.add_argument("module")
    parser.add_argument("name")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--coverage", action="store_true")
    given = parser.parse_args(arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with ExitStack() as stack:
        if given.coverage:
            import atheris

            stack.enter_context(atheris.instrument_imports(include=["layoutbridge"]))
        from tests.fuzzing.surface import surfaces

        (surface,) = (each for each in surfaces(given.module) if each.name == given.name)
        hunter = Hunter(surface, State(given.folder / "state"), given.folder / "finds")
        _stream_into_files(given.folder)
        hunter.warm_up()
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() + _MOST_MAPPED
    resource.setrlimit(resource.RLIMIT_AS, (mapped, mapped))
    (given.folder / "ready").touch()
    try:
        if given.coverage:
            _hunt_coverage(hunter, given.seconds, given.seed, given.folder / "corpus")
        else:
            _hunt_drawn(hunter, given.seconds, given.seed)
    finally:
        shutil.rmtree(hunter.folder, ignore_errors=True)


if __name__ == "__main__":
    main()
