"""Formulas of shapes in ncnn's .param files: prefix form, as `0w,*(0h,2),-1`."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from layoutbridge.scanning.readers.ncnn_param import MisfitError

Shape = tuple[int, ...]
Number = int | float
AXES: Mapping[int, str] = MappingProxyType({1: "w", 2: "hw", 3: "chw", 4: "cdhw"})  # of a blob, outermost first
_MOST_WORDS = 200
_LARGEST = 1 << 31
_LENGTH = re.compile(r"([0-9])([whdcn])")
_OF_TWO: Mapping[str, Callable[[Number, Number], Number]] = MappingProxyType(
    {
        "+": lambda a, b: a + b,
        "-": lambda a, b: a - b,
        "*": lambda a, b: a * b,
        "/": lambda a, b: a / b,
        "//": lambda a, b: math.trunc(a / b) if isinstance(a, int) and isinstance(b, int) else math.floor(a / b),
        "max": max,
        "min": min,
    }
)
_OF_ONE: Mapping[str, Callable[[Number], Number]] = MappingProxyType(
    {
        "abs": abs,
        "neg": lambda a: -a,
        "square": lambda a: a * a,
        "trunc": math.trunc,
        "ceil": math.ceil,
        "floor": math.floor,
        "sqrt": math.sqrt,
    }
)


def lengths_of(formula: str, shapes: Sequence[Shape]) -> tuple[int, ...]:
    """The whole numbers that a list of formulas gives for blobs of `shapes`, innermost axis first as ncnn has it.

    Raises `MisfitError` for what cannot be computed.

    >>> lengths_of("//(0w,2),*(0h,2),0c", [(8, 6, 10)])
    (5, 12, 8)
    """
    words = [word for word in re.split(r"[(),]", formula) if word]
    if len(words) > _MOST_WORDS:
        raise MisfitError(f"its formula has {len(words)} words, and may have {_MOST_WORDS}")
    stack: list[Number] = []
    try:
        for word in reversed(words):
            stack.append(_value(word, stack, shapes))
            if not abs(stack[-1]) < _LARGEST:  # nor for what is no number
                raise ValueError(word)
    except (IndexError, ValueError, ArithmeticError):
        raise MisfitError(f"its formula {formula[:80]!r} cannot be computed") from None
    return tuple(math.trunc(value) for value in reversed(stack))


def _value(word: str, stack: list[Number], shapes: Sequence[Shape]) -> Number:
    if word in _OF_TWO:
        first, second = stack.pop(), stack.pop()
        return _OF_TWO[word](first, second)
    if word in _OF_ONE:
        return _OF_ONE[word](stack.pop())
    found = _LENGTH.fullmatch(word)
    if found is None:
        return int(word) if re.fullmatch(r"[+-]?[0-9]{1,10}", word) else float(word)
    shape = shapes[int(found[1])]
    return dict(zip(AXES[len(shape)], shape, strict=True)).get(found[2], 1)
