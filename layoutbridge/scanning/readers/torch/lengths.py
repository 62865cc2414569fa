"""Lengths that an exported program leaves open: sums and products of symbols, read without running anything."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from fractions import Fraction
from math import ceil, floor, prod
from typing import Any

_LONGEST = 20_000  # characters of a formula
_MOST = 1 << 63
Number = int | Fraction


class Unknown(ValueError):
    """A length that depends on values, or is written in a way that is not read."""


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "Integer": lambda a: a,
    "Rational": Fraction,
    "Identity": lambda a: a,
    "Add": lambda *a: sum(a),
    "Mul": lambda *a: prod(a),
    "Max": lambda *a: max(a),
    "Min": lambda *a: min(a),
    "FloorDiv": lambda a, b: a // b,
    "CleanDiv": lambda a, b: a // b,
    "CeilDiv": lambda a, b: -(-a // b),
    "Mod": lambda a, b: a % b,
    "PythonMod": lambda a, b: a % b,
    "floor": floor,
    "ceiling": ceil,
    "FloorToInt": floor,
    "CeilToInt": ceil,
    "Pow": lambda a, b: Fraction(a) ** _exponent(b),
    "PowByNatural": lambda a, b: a ** _exponent(b),
    "IntTrueDiv": lambda a, b: Fraction(a) / Fraction(b),
}
_OPERATORS: dict[type, str] = {
    ast.Add: "Add",
    ast.Mult: "Mul",
    ast.FloorDiv: "FloorDiv",
    ast.Div: "IntTrueDiv",
    ast.Mod: "Mod",
    ast.Pow: "Pow",
}


class Formula:
    """A length as a program writes it, either as SymPy shows it or as it can be typed.

    >>> formula = Formula("Mul(Integer(2), Symbol('s5', positive=True, integer=True))")
    >>> formula.at({"s5": 4}), formula.symbols, str(formula), Formula("2*s5").at({"s5": 3})
    (8, ('s5',), '2*s5', 6)
    """

    def __init__(self, text: str) -> None:
        try:
            self._tree = ast.parse(text, mode="eval").body if len(text) <= _LONGEST else None
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            self._tree = None
        self._text = text
        names = {} if self._tree is None else dict.fromkeys(map(_symbol, ast.walk(self._tree)))
        self.symbols = tuple(name for name in names if name is not None)

    def at(self, numbers: Mapping[str, int]) -> int:
        """Its value where the symbols have these; raises `Unknown` where that is no whole number."""
        try:
            value = _value(self._tree, numbers)
        except (ArithmeticError, TypeError, ValueError, RecursionError):
            raise Unknown(self._text) from None
        if value != int(value):
            raise Unknown(self._text)
        return int(value)

    def __str__(self) -> str:
        if self._tree is None:
            return "?"
        try:
            return _told(self._tree)
        except RecursionError:
            return "?"


def _symbol(node: ast.AST | None) -> str | None:
    """The symbol that a part of a formula is."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Symbol" and node.args:
        name = node.args[0]
        return name.value if isinstance(name, ast.Constant) and isinstance(name.value, str) else None
    return node.id if isinstance(node, ast.Name) and node.id not in (*_FUNCTIONS, "Symbol") else None


def _value(node: ast.AST | None, numbers: Mapping[str, int]) -> Number:
    symbol = _symbol(node)
    if symbol is not None:
        if symbol not in numbers:
            raise Unknown(symbol)
        return numbers[symbol]
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_value(node.operand, numbers)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub):
        return _value(node.left, numbers) - _value(node.right, numbers)
    name, parts = _parts(node)
    if name not in _FUNCTIONS:
        raise Unknown(name)
    made: Number = _FUNCTIONS[name](*(_value(part, numbers) for part in parts))
    if not -_MOST <= made <= _MOST:
        raise Unknown(name)
    return made


def _parts(node: Any) -> tuple[str, list[ast.expr]]:
    """A function's name, and what it is of."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return node.func.id, node.args
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        return _OPERATORS[type(node.op)], [node.left, node.right]
    raise Unknown(type(node).__name__)


def _told(node: ast.AST) -> str:
    symbol = _symbol(node)
    if symbol is not None:
        return symbol
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        parts = [_told(part) for part in node.args]
        joint = {"Integer": "", "Add": " + ", "Mul": "*", "FloorDiv": "//"}.get(node.func.id)
        if joint is None:
            return f"{node.func.id}({', '.join(parts)})"
        return joint.join(f"({part})" if " + " in part and node.func.id != "Add" else part for part in parts)
    return ast.unparse(node)


def _exponent(b: Number) -> int:
    if b != int(b) or not -64 <= b <= 64:
        raise Unknown(f"a power of {b}")
    return int(b)
