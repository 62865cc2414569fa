"""Very many boxes suppressed by compiled code, which compares boxes once for all classes: they are the same for each.

Loading numba and that code takes longer than a suppression of few boxes: it is done where so many are compared that
it pays, and begins beforehand where so many are expected.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from math import inf
from threading import Lock, Thread
from time import monotonic

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float32]
Places = NDArray[np.intp]

_PAYS_FROM = 1e9  # pairs of boxes of a class: NumPy takes 0.02 to 2.5 s with so many, by their sizes, loading 0.8
_MANY = 1000  # boxes of a class for which it is faster, once it is loaded
_LEAST_LIMIT = 0.2  # for which it is fast
_LEAST_SIDE = np.float32(2e-5)  # of how far off a box lies: rounding moves edges little then
_SMALLEST, _LARGEST = np.float32(1e-15), np.float32(1e15)  # sides whose products have all their digits
_SURE = 0.9  # of the limit: what rounding may do to a quotient, and far more
_ROOM = 1 << 23  # numbers of boxes that are kept for the next classes: 32 MiB
_PAIRS = 1 << 26  # that are looked at between two looks at the clock
_HALF = np.float32(0.5)
_NOTHING, _PLAIN, _CAREFUL = 0, 1, 2  # what a box is compared with: see `_kinds`

_Kernel = Callable[..., int]


class _State:
    """What this process has done so far."""

    pairs = 0.0
    kernel: _Kernel | None = None
    loader: Thread | None = None

    def __init__(self) -> None:
        self.loading = Lock()  # taken once and for all by who loads it


_state = _State()


def expect(boxes: int, classes: int) -> None:
    """Begin to load the compiled code, if it pays with so many boxes: the suppression waits for what is left of it."""
    if boxes >= _MANY and _pays(float(boxes) ** 2 * classes) and _state.loading.acquire(blocking=False):
        loader = Thread(target=_load, name="layoutbridge-numba")
        with suppress(RuntimeError):  # no thread to be had: the suppression does it
            loader.start()
            _state.loader = loader
            return
        _state.loading.release()


class Crowd:
    """The boxes [n, 4] of all classes, prepared for `suppressed`; `several` classes have them.

    `limit` and `exponent` are those of `suppression`.
    """

    def __init__(
        self, kernel: _Kernel, boxes: Rows, limit: np.float32, exponent: float | None, *, several: bool = True
    ) -> None:
        count = len(boxes)
        x, y, w, h = np.ascontiguousarray(boxes.T)
        kinds = _kinds(x, y, w, h)
        slots = 1 << max(4, (2 * count - 1).bit_length())
        room = _ROOM if several else 0
        self._kernel, self._count = kernel, count
        self._state = np.array([-1, 0])
        self._boxes = x, y, w, h, kinds
        sizes = np.zeros((128, 128), np.bool_)
        self._grid = np.full(slots, -1, np.int32), np.empty(count, np.int32), np.empty(count, np.int64), sizes
        self._others = np.arange(count, dtype=np.int32), np.flatnonzero(kinds == _CAREFUL).astype(np.int32)
        begins, ends = np.full(count, -1, np.int32), np.empty(count, np.int32)
        self._known = begins, ends, np.empty(room, np.int32), np.empty(count, np.int32)
        power = -1.0 if exponent is None else float(exponent)
        self._limits = limit, power, _SURE * min(float(limit), 1.0)

    def suppressed(self, order: Places, until: float = inf) -> NDArray[np.bool_] | None:
        """Which of all boxes those of a class suppress, that stand in `order`, the best first: bool [n].

        None where a last digit decides, which NumPy may round otherwise. `TimeoutError` after `until`.
        """
        lost = np.zeros(self._count, np.bool_)
        place = 0
        while 0 <= place < len(order):
            if monotonic() > until:
                raise TimeoutError
            self._state[1] = -_PAIRS
            rest = self._boxes, self._grid, self._others, self._known
            place = self._kernel(lost, order, place, self._state, *rest, *self._limits)
        return None if place < 0 else lost


def kernel_for(counts: list[int], limit: np.float32) -> _Kernel | None:
    """The compiled code, where a process compares very many boxes, so many of each class, and numba is there.

    `counts` are the boxes of each class.
    """
    if not limit >= _LEAST_LIMIT or not max(counts, default=0) >= _MANY:
        return None
    pairs = sum(float(count) ** 2 for count in counts)
    pays = _pays(pairs)
    _state.pairs += pairs
    if pays and _state.loading.acquire(blocking=False):
        _load()
    elif pays and (loader := _state.loader) is not None:
        loader.join()
    return _state.kernel


def _pays(pairs: float) -> bool:
    """Whether it pays to load the compiled code with so many pairs more."""
    return _state.kernel is None and _state.pairs + pairs > _PAYS_FROM


def _load() -> None:
    with suppress(Exception):  # numba is absent, or cannot work here: NumPy is always right
        from layoutbridge.darknet.detection.kernels import suppress_into

        Crowd(suppress_into, np.ones((2, 4), np.float32), np.float32(0.5), None).suppressed(np.arange(2))
        _state.kernel = suppress_into


def _kinds(x: Rows, y: Rows, w: Rows, h: Rows) -> NDArray[np.uint8]:
    """What may overlap each box: nothing, where its own edges do not stand apart; only what is near it and of its
    size, where rounding moves its edges little; else anything.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        apart = (x - w * _HALF < x + w * _HALF) & (y - h * _HALF < y + h * _HALF)
        plain = (w >= _LEAST_SIDE * np.abs(x)) & (h >= _LEAST_SIDE * np.abs(y))
    plain &= (np.minimum(w, h) >= _SMALLEST) & (np.maximum(w, h) <= _LARGEST)
    return np.where(apart, np.where(plain, _PLAIN, _CAREFUL), _NOTHING).astype(np.uint8)
