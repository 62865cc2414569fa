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
from layoutbridge.operations.expressions import Expression, read_expression, unused

_LARGEST = 4 << 20  # bytes of a file
_MOST_RULES = 10_000
_OWN_KEYS = ("tensors", "regex", "apply", "pattern", "inverse")


@dataclass(frozen=True)
class Rule:
    """`operation` for every tensor that `matches`. `where` is what errors call it, `text` what it says of names.

    `has_batch` is off where the operation's pattern names every axis, so that one more in front does not fit; `takes`
    are the parameters that its entries may be asked for.
    """

    where: str
    text: str
    matches: Matches
    operation: Rearrangement
    has_batch: bool
    takes: tuple[str, ...] = ()


def read_rules(rules: PathLike | Sequence[Mapping[str, Any]]) -> tuple[Rule, ...]:
    """The rules in a TOML file, `[[rule]]` tables, or in as many mappings with the same keys.

    Each has `tensors`, names with `*` and `{a,b}`, or `regex`; and `apply`, a name of the catalogue, an expression or a
    list of these, with what the entries may be asked for as keys of their own, or `pattern` with its lengths. `inverse`
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
        steps, takes = _steps(table), tuple[str, ...]()
        if "pattern" in table:
            operation, batched = Rearrangement(steps[0], **parameters), True
        else:
            read = [read_expression(step) for step in steps]
            operation, batched = _applied(read, parameters)
            takes = tuple(name for step in read for known in step.entries for name in known.parameters)
        inverse = table.get("inverse", False)
        if not isinstance(inverse, bool):
            raise ParameterError(f"inverse is true or false, not {shown(inverse)}")
        return Rule(where, text, matches, inverted(operation) if inverse else operation, batched, takes)
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
    return [_one_of(table, "apply", "pattern")]


def _applied(steps: Sequence[Expression], parameters: Mapping[str, Any]) -> tuple[Rearrangement, bool]:
    """The steps as one, and whether all take a batch; each entry takes those of the parameters that it declares."""
    entries = list({known.name: known for step in steps for known in step.entries}.values())
    lost = unused([*parameters], steps)
    if lost:
        takes = "; ".join(f"{known.name} takes {', '.join(known.parameters) or 'none'}" for known in entries)
        own = ", ".join(_OWN_KEYS)
        raise ParameterError(f"{shown(lost[0])} is neither {own}, nor a parameter: {takes or 'a pattern has its own'}")
    _refuse_unsaid(steps, parameters)
    made = [
        step.build(lambda known: {key: value for key, value in parameters.items() if key in known.parameters})
        for step in steps
    ]
    title = " then ".join(step.title(each) for step, each in zip(steps, made, strict=True))
    operation = reduce(Rearrangement.then, made)
    batched = all(known.has_batch for known in entries)
    return (operation if operation.label == title else operation.named(title)), batched


def _refuse_unsaid(steps: Sequence[Expression], said: Mapping[str, Any]) -> None:
    """Raise where an entry would take its usual number for what the network alone knows."""
    for step in steps:
        for term in step.terms:
            if term.inverted is not None:
                _refuse_unsaid([term.inverted], said)
            elif term.entry is not None:
                parameters = term.entry.parameters
                given = {name: said[name] for name in parameters if name in said} | dict(term.parameters)
                others = {name: value for name, value in given.items() if not parameters[name].is_of_network}
                for name in dict(term.entry.build(**others).parameters):  # those of the form that is asked for
                    known = parameters[name]
                    if known.is_of_network and name not in given:
                        raise ParameterError(
                            f"{term.entry.name} takes {name} ({known.meaning}), which no shape tells: "
                            f"add a line {name} = …"
                        )


def inverted(operation: Rearrangement) -> Rearrangement:
    """The inverse, named so."""
    return operation.inverse().named(f"inverse of {operation.label}")
