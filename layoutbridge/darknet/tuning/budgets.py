"""What a model may cost: deviation, memory, time to load, size."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

from layoutbridge.errors import ParameterError, shown

_LOAD, _LOAD_SHARE = 3.0, 1.5  # seconds, and times what the plain form takes
_SHORT_WAIT = 0.5  # seconds that nobody minds
DEVIATION = 1e-4  # a share of the largest value


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits that a form must keep to be chosen; None is the usual limit, of memory and size none.

    `deviation` is the largest from the float64 reference, as a share of the largest value: None stands for what a
    form's arithmetic is allowed, 1e-4 in float32, 2e-2 in float16 and bfloat16, and any in int8, whose losses are told.
    `memory` is that of the whole process in bytes, `load` the seconds from the start of reading a file until it runs,
    the runtime's own start with it (usually 3, or 1.5 times the plain form's where that takes longer), `size` that of
    the files in bytes. Raises `ParameterError` for what is no limit.

    >>> Budget(load=0)
    Traceback (most recent call last):
    layoutbridge.errors.ParameterError: the budget's load is a number over 0, not 0
    """

    deviation: float | None = None
    memory: int | None = None
    load: float | None = None
    size: int | None = None

    def __post_init__(self) -> None:
        """Refuse what is no limit."""
        for name in self.__slots__:
            value = getattr(self, name)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int | float) or not (isfinite(value) and value > 0):
                raise ParameterError(f"the budget's {name} is a number over 0, not {shown(value)}")

    def breach(
        self,
        *,
        size: int | None = None,
        load: float | None = None,
        memory: int | None = None,
        deviation: float | None = None,
        allowed: float | None = None,
        plain_load: float | None = None,
    ) -> str:
        """Which limit these break, with the figure; nothing where they keep all.

        `allowed` is the form's deviation, `plain_load` the seconds that the plain form loads in, None for itself.

        >>> Budget(size=10_000_000).breach(size=20_000_000, load=1.5)
        'its files take 20 MB, and 10 MB are allowed'
        """
        most = self.deviation if self.deviation is not None else allowed
        if _over(size, self.size):
            return f"its files take {_megabytes(size)}, and {_megabytes(self.size)} are allowed"
        usual = None if plain_load is None else max(_LOAD, _LOAD_SHARE * plain_load)
        seconds = usual if self.load is None else self.load
        if _over(load, seconds):
            return f"it loads in {load:.1f} s, and {seconds:.3g} s are allowed"
        if _over(memory, self.memory):
            return f"its process takes {_megabytes(memory)}, and {_megabytes(self.memory)} are allowed"
        if most is not None and deviation is not None and not deviation <= most:
            return f"it deviates by {deviation:.1e} of the largest value, and {most:g} is allowed"
        return ""


def loads_slowly(load: float | None, plain_load: float | None) -> bool:
    """Whether a form takes longer to load than its speed should cost: more than 1.5 times the plain form's seconds.

    >>> loads_slowly(3.9, 1.3), loads_slowly(1.8, 1.3), loads_slowly(0.3, 0.1)
    (True, False, False)
    """
    if load is None or plain_load is None:
        return False
    return load > max(_LOAD_SHARE * plain_load, plain_load + _SHORT_WAIT)


def _over(figure: float | None, most: float | None) -> bool:
    return figure is not None and most is not None and figure > most


def _megabytes(size: float | None) -> str:
    return f"{(size or 0) / 1e6:.4g} MB"
