"""Very many boxes suppressed by compiled code, which compares boxes once for all classes: they are the same for each.

Loading numba and that code takes longer than a suppression of few boxes: it is done where so many are compared that
it pays.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from math import inf
from threading import Lock
from time import monotonic

import numpy as np
from numpy.typing import NDArray

from layoutbridge.darknet.detection.overlaps import Rows
from layoutbridge.darknet.detection.pairs import CAREFUL, LEAST_LIMIT, SURE, Places, kinds_of

_PAYS_FROM = 1.5  # seconds of NumPy's ways: loading takes 0.6, and it takes a third of theirs then
_MANY = 1000  # boxes of a class for which it is faster, once it is loaded
_ROOM = 1 << 23  # numbers of boxes that are kept for the next classes: 32 MiB
_PAIRS = 1 << 26  # that are looked at between two looks at the clock

_Kernel = Callable[..., int]


class _State:
    """What this process has done so far."""

    seconds = 0.0
    kernel: _Kernel | None = None

    def __init__(self) -> None:
        self.loading = Lock()  # taken once and for all by who loads it


_state = _State()


class Crowd:
    """The boxes [n, 4] of all classes, prepared for `suppressed`; `several` classes have them.

    `limit` and `exponent` are those of `suppression`.
    """

    def __init__(
        self, kernel: _Kernel, boxes: Rows, limit: np.float32, exponent: float | None, *, several: bool = True
    ) -> None:
        count = len(boxes)
        x, y, w, h = np.ascontiguousarray(boxes.T)
        kinds = kinds_of(x, y, w, h)
        slots = 1 << max(4, (2 * count - 1).bit_length())
        room = _ROOM if several else 0
        self._kernel, self._count = kernel, count
        self._state = np.array([-1, 0])
        self._boxes = x, y, w, h, kinds
        sizes = np.zeros((128, 128), np.bool_)
        self._grid = np.full(slots, -1, np.int32), np.empty(count, np.int32), np.empty(count, np.int64), sizes
        self._others = np.arange(count, dtype=np.int32), np.flatnonzero(kinds == CAREFUL).astype(np.int32)
        begins, ends = np.full(count, -1, np.int32), np.empty(count, np.int32)
        self._known = begins, ends, np.empty(room, np.int32), np.empty(count, np.int32)
        power = -1.0 if exponent is None else float(exponent)
        self._limits = limit, power, SURE * min(float(limit), 1.0)

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


def kernel_for(most: int, limit: np.float32, seconds: float = 0) -> _Kernel | None:
    """The compiled code, where it is faster for a class of so many boxes at `most`, and there.

    It is loaded where this process has spent so many seconds without, or `seconds` more are before it, that it pays.
    """
    if not limit >= LEAST_LIMIT or most < _MANY:
        return None
    _state.seconds += seconds
    if _state.kernel is None and _state.seconds > _PAYS_FROM and _state.loading.acquire(blocking=False):
        _load()
    return _state.kernel


def _load() -> None:
    with suppress(Exception):  # numba is absent, or cannot work here: NumPy is always right
        from layoutbridge.darknet.detection.kernels import suppress_into

        Crowd(suppress_into, np.ones((2, 4), np.float32), np.float32(0.5), None).suppressed(np.arange(2))
        _state.kernel = suppress_into
