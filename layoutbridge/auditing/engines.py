"""Who does the work of an audit: processes on this machine (pebble), or the workers of a Dask scheduler on many."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import suppress
from functools import cache
from itertools import chain, islice
from typing import Any

from layoutbridge.auditing.examining import examined
from layoutbridge.auditing.finding import EXTRA, ModelFile
from layoutbridge.auditing.processes import prepared
from layoutbridge.auditing.records import Record, Status
from layoutbridge.errors import UnusableInputError, class_and_first_line, first_line
from layoutbridge.frameworks.base import require
from layoutbridge.machine import usable_cores

_AHEAD = 4  # batches that wait for each process
_TOGETHER = 8  # small files in a batch
_SMALL = 1 << 20  # bytes
_PATIENCE = 15  # seconds for a scheduler to answer, and for a worker to join it
_RETRIES = 3  # of a batch whose machine is lost
Batch = tuple[ModelFile, ...]
Engine = Callable[[Iterable[ModelFile]], Iterator[list[Record]]]


def by_processes(models: Iterable[ModelFile], jobs: int, seconds: float) -> Iterator[list[Record]]:
    """Records of `models` as they are done, some at a time, by `jobs` processes.

    A process that ends, or takes longer than `seconds` for a file, takes that file along and no other.

    Raises `MissingFrameworkError` without pebble, `UnusableInputError` where no process can be started.
    """
    coming = iter(models)
    first = list(islice(coming, jobs))
    if not first:
        return
    jobs = len(first)  # a process without work might still be starting when all is done
    pool = _pool(jobs)
    batches, alone = _batches(chain(first, coming)), list[Batch]()
    running: dict[Future[list[Record]], Batch] = {}
    try:
        while True:
            while len(running) < _AHEAD * jobs and (batch := alone.pop() if alone else next(batches, None)):
                running[_scheduled(pool, batch, seconds)] = batch
            if not running:
                break
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                batch = running.pop(future)
                records = _results(future, batch, seconds)
                if records is None:
                    alone += [(model,) for model in batch]
                else:
                    yield records
    except BaseException:  # an interruption, or a caller that wants no more
        pool.stop()
        raise
    else:
        pool.close()
    finally:
        pool.join()


def by_scheduler(models: Iterable[ModelFile], address: str, seconds: float) -> Iterator[list[Record]]:
    """The same by the workers of the Dask scheduler at `address`, which need layoutbridge and see the same files.

    Each file is looked at in a process of the worker's own. A file whose worker is lost goes to another one. Raises
    `MissingFrameworkError` without distributed, `UnusableInputError` where no scheduler or no worker answers.
    """
    distributed = require("distributed", "Dask's scheduler", EXTRA)
    try:
        client = distributed.Client(address, timeout=_PATIENCE, set_as_default=False)
    except Exception as error:  # of sockets, of the address, of another version
        raise UnusableInputError(f"no scheduler answers at '{address}': {first_line(error)}") from None
    with client:
        try:
            client.wait_for_workers(1, timeout=_PATIENCE)
        except Exception:
            raise UnusableInputError(
                f"no worker has joined the scheduler at '{address}': start some, dask worker {address}"
            ) from None
        batches, running = _batches(models), dict[str, Batch]()
        done = distributed.as_completed(loop=client.loop)
        while True:
            room = _AHEAD * max(sum(client.nthreads().values()), 1) - len(running)
            for batch in islice(batches, max(room, 0)):
                future = client.submit(examined_apart, batch, seconds, pure=False, retries=_RETRIES)
                running[future.key] = batch
                done.add(future)
            if not running:
                return
            future = next(done)
            yield _from_worker(future, running.pop(future.key))


def examined_apart(batch: Batch, seconds: float) -> list[Record]:
    """The records of some models, by a process of this one's own: what a worker of a scheduler does."""
    records = _results(_scheduled(_workers_pool(), batch, seconds), batch, seconds)
    return [record for model in batch for record in examined_apart((model,), seconds)] if records is None else records


def _batches(models: Iterable[ModelFile]) -> Iterator[Batch]:
    """Large files alone, small ones some together: to hand over each alone would take as long as to look at it."""
    batch: Batch = ()
    for model in models:
        if batch and (model.size > _SMALL or len(batch) == _TOGETHER):
            yield batch
            batch = ()
        batch = (*batch, model)
        if model.size > _SMALL:
            yield batch
            batch = ()
    if batch:
        yield batch


def _examined(batch: Batch) -> list[Record]:
    return [examined(model) for model in batch]


# ---------------------------------------------------------------------- processes


_LOCK = threading.Lock()


def _workers_pool() -> Any:
    with _LOCK:
        return _kept_pool()


@cache
def _kept_pool() -> Any:
    multiprocessing.current_process().daemon = False  # Dask's workers are daemons, which may have no children
    return _pool(usable_cores())


def _pool(jobs: int) -> Any:
    pebble = require("pebble", "pebble", EXTRA)
    return pebble.ProcessPool(max_workers=jobs, initializer=_settle, context=prepared())


def _settle() -> None:
    """A process that looks at files writes nowhere, and leaves an interruption to the one that started it."""
    with suppress(ValueError):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nowhere, number)


def _scheduled(pool: Any, batch: Batch, seconds: float) -> Future[list[Record]]:
    try:
        scheduled: Future[list[Record]] = pool.schedule(_examined, args=(batch,), timeout=seconds)
    except RuntimeError as error:  # the pool is broken: its processes do not start
        raise UnusableInputError(f"no process can be started to look at files: {first_line(error)}") from None
    return scheduled


def _results(future: Future[list[Record]], batch: Batch, seconds: float) -> list[Record] | None:
    """The records of a batch; None where it took its process along, and its files are to be tried one by one."""
    try:
        return future.result()
    except TimeoutError:
        return _failed(batch, "timed out", f"not done after {seconds:g} seconds: give more time, or look at it alone")
    except OSError as error:  # pebble's ProcessExpired is one
        return _failed(
            batch, "crashed", _end_of_process(getattr(error, "exitcode", None)) or class_and_first_line(error)
        )
    except Exception as error:
        return _failed(batch, "crashed", class_and_first_line(error))


def _failed(batch: Batch, status: Status, message: str) -> list[Record] | None:
    if len(batch) > 1:
        return None
    return [Record(model.name, model.size, model.stamp, status, message=message) for model in batch]


def _end_of_process(code: int | None) -> str:
    """How a process ended, in words.

    >>> _end_of_process(-9)
    'the process was ended by SIGKILL, as the system does where memory is short'
    """
    if code is None:
        return ""
    if code >= 0:
        return f"the process ended with code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"the process was ended by {name}" + (", as the system does where memory is short" if code == -9 else "")


# ---------------------------------------------------------------------- a scheduler


def _from_worker(future: Any, batch: Batch) -> list[Record]:
    try:
        records: list[Record] = future.result()
    except (ImportError, AttributeError) as error:
        raise UnusableInputError(f"the workers cannot import what they need: {first_line(error)}") from None
    except Exception as error:  # a worker that was lost too often
        message = class_and_first_line(error)
        return [Record(model.name, model.size, model.stamp, "crashed", message=message) for model in batch]
    return records
