"""Rules: which tensors are rearranged, and how. From a TOML file, or from Python."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from layoutbridge.algebra.rearrangement import Rearrangement
from layoutbridge.checkpoints.names import Matches, matches_glob, matches_regex
from layoutbridge.errors import LayoutBridgeError, ParameterError, UnusableInputError, shown
from layoutbridge.inputs import PathLike, read_bytes
from layoutbridge.operations.catalog import entry, op

_LARGEST = 4 << 20  # bytes of a file
_MOST_RULES = 10_000
_OWN_KEYS = ("tensors", "regex", "apply", "pattern", "inverse")


@dataclass(frozen=True)
class Rule:
    """`operation` for every tensor that `matches`. `where` is what errors call it, `text` what it says of names.

    `has_batch` is off where the operation's pattern names every axis, so that one more in front does not fit.
    """

    where: str
    text: str
    matches: Matches
    operation: Rearrangement
    has_batch: bool


def read_rules(rules: PathLike | Sequence[Mapping[str, Any]]) -> tuple[Rule, ...]:
    """The rules in a TOML file, `[[rule]]` tables, or in as many mappings with the same keys.

    Each has `tensors`, names with `*` and `{a,b}`, or `regex`; and `apply`, a name of the catalogue or several (a list,
    or with "then"), with what they may be asked for as keys of their own, or `pattern` with its lengths. `inverse`
    turns it round. Raises `UnusableInputError` for a file that is no TOML, and `ParameterError`, `PatternError` or
    `UnknownNameError` that name the rule for what it does not say right.

    >>> (rule,) = read_rules([{"tensors": "conv.*", "pattern": "o i h w -> h w i o"}])
    >>> rule.matches("conv.weight"), rule.operation.out_shape((8, 3, 5, 5))
    (True, (5, 5, 3, 8))
    """
    if isinstance(rules, str | os.PathLike):
        told, tables = f"{os.fspath(rules)}, ", _tables(rules)
    else:
        told, tables = "", rules
    if not isinstance(tables, Sequence) or not tables or not all(isinstance(table, Mapping) for table in tables):
        raise ParameterError(f"{told or 'rules: '}there is no rule: each is a table [[rule]] with tensors and apply")
    if len(tables) > _MOST_RULES:
        raise ParameterError(f"{told}{len(tables):,} rules are more than {_MOST_RULES:,}")
    return tuple(_rule(f"{told}rule {number}", table) for number, table in enumerate(tables, 1))


def _tables(path: PathLike) -> Any:
    try:
        content = tomllib.loads(read_bytes(path, "file of rules", most=_LARGEST, pipe=True).decode())
    except (ValueError, RecursionError) as error:
        if isinstance(error, LayoutBridgeError):
            raise
        raise UnusableInputError(f"'{os.fspath(path)}' is no TOML: {str(error)[:200] or 'nested too deep'}") from None
    others = [key for key in content if key != "rule"]
    if others:
        raise ParameterError(
            f"{os.fspath(path)}: {shown(others[0])} means nothing here: all is said in [[rule]] tables"
        )
    return content.get("rule")


def _rule(where: str, table: Mapping[str, Any]) -> Rule:
    try:
        text = _one_of(table, "tensors", "regex")
        matches = matches_glob(text) if "tensors" in table else matches_regex(text)
        parameters = {key: value for key, value in table.items() if key not in _OWN_KEYS}
        steps = _steps(table)
        if "pattern" in table:
            made, batched = [Rearrangement(steps[0], **parameters)], True
        else:
            made, batched = _applied(steps, parameters)
        operation = made[0] if len(made) == 1 else _named(reduce(Rearrangement.then, made), made)
        inverse = table.get("inverse", False)
        if not isinstance(inverse, bool):
            raise ParameterError(f"inverse is true or false, not {shown(inverse)}")
        return Rule(where, text, matches, inverted(operation) if inverse else operation, batched)
    except LayoutBridgeError as error:
        raise type(error)(f"{where}: {error}") from None
    except TypeError as error:  # a length of another kind
        raise ParameterError(f"{where}: {error}") from None


def _one_of(table: Mapping[str, Any], first: str, second: str) -> str:
    given = [key for key in (first, second) if key in table]
    if len(given) != 1 or not isinstance(table[given[0]], str) or not table[given[0]]:
        raise ParameterError(
            f"it has one of {first} and {second}, a text, and says {', '.join(map(str, table)) or '-'}"
        )
    return str(table[given[0]])


def _steps(table: Mapping[str, Any]) -> list[str]:
    """What is done, one after another."""
    applied = table.get("apply")
    if isinstance(applied, list) and "pattern" not in table and applied and all(isinstance(s, str) for s in applied):
        return applied
    text = _one_of(table, "apply", "pattern")
    return [text] if "pattern" in table else [step.strip() for step in text.split(" then ")]


def _applied(steps: Sequence[str], parameters: Mapping[str, Any]) -> tuple[list[Rearrangement], bool]:
    """Each step as a rearrangement, and whether all take a batch; each entry takes the parameters that it declares."""
    entries = {step: entry(step) for step in steps if "->" not in step}
    for key in parameters:
        if not any(key in known.parameters for known in entries.values()):
            takes = "; ".join(
                f"{name} takes {', '.join(known.parameters) or 'none'}" for name, known in entries.items()
            )
            own = ", ".join(_OWN_KEYS)
            raise ParameterError(f"{shown(key)} is neither {own}, nor a parameter: {takes or 'a pattern has its own'}")
    made = [
        op(step, **{key: value for key, value in parameters.items() if key in entries[step].parameters})
        if step in entries
        else Rearrangement(step)
        for step in steps
    ]
    return made, all(known.has_batch for known in entries.values())


def _named(operation: Rearrangement, steps: Sequence[Rearrangement]) -> Rearrangement:
    return operation.named(" then ".join(step.label for step in steps))


def inverted(operation: Rearrangement) -> Rearrangement:
    """The inverse, named so."""
    return operation.inverse().named(f"inverse of {operation.label}")
