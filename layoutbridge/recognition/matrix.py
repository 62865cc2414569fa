"""Native ops against catalogue names: which are the same map, which differ, and by which smallest example."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from layoutbridge.algebra.proof import Counterexample, prove
from layoutbridge.operations.catalog import catalog, op
from layoutbridge.operations.entry import CatalogEntry
from layoutbridge.recognition.rows import Row

Relation = Literal["same", "other elements", "other shape"]
_TELLING_STRIDE = 2  # at stride 1 every space and depth operation moves nothing


@dataclass(frozen=True, slots=True)
class NativeOp:
    """One framework op, in one version and layout, with the catalogue names that fit it wherever it ran.

    `relations` says of every catalogue name how it compares with the op, `examples` the smallest difference.
    """

    framework: str
    version: str
    op: str
    layout: str
    names: tuple[str, ...]
    relations: Mapping[str, Relation]
    examples: Mapping[str, Counterexample]


def native_matrix(rows: Iterable[Row]) -> tuple[NativeOp, ...]:
    """One entry for each native op that ran at all, in the order of the rows."""
    by_op: dict[tuple[str, str, str, str], list[Row]] = {}
    for row in rows:
        if not row.emitted and row.op != "*" and row.direction == "forward" and row.status in ("matches", "differs"):
            by_op.setdefault((row.framework, row.version, row.op, row.layout), []).append(row)
    made = []
    for (framework, version, name, layout), own in by_op.items():
        names = _common_names(own)
        relations, examples = _compared(names)
        made.append(NativeOp(framework, version, name, layout, names, relations, examples))
    return tuple(made)


def comparable_maps(ops: Sequence[NativeOp]) -> tuple[tuple[str, ...], ...]:
    """Those of `same_maps` that one of these ops may be taken for: with its shapes, and of its kind."""
    return tuple(
        group for group in same_maps() if any(_is_comparable(native, name) for native in ops for name in group)
    )


def taken_for(native: NativeOp) -> tuple[str, Counterexample] | None:
    """The first entry that an op may be taken for and is not, and where they differ."""
    differing = ((name, example) for name, example in native.examples.items() if example.reads is not None)
    return next(((name, example) for name, example in differing if _is_comparable(native, name)), None)


def _is_comparable(native: NativeOp, name: str) -> bool:
    """Whether an entry has the op's shapes, and its family or its numbers: a flip is not taken for a shuffle."""
    entries = catalog()
    if name not in entries or native.relations[name] == "other shape":
        return False
    other = entries[name]
    own = [entries[each] for each in native.names if each in entries]
    return any(other.family == each.family or _numbers(other) == _numbers(each) for each in own)


def _numbers(entry: CatalogEntry) -> frozenset[str]:
    return frozenset(entry.forms[0].letters)


def same_maps() -> tuple[tuple[str, ...], ...]:
    """The catalogue's names, those of one map together, in the catalogue's order."""
    groups: dict[object, list[str]] = {}
    for name, entry in catalog().items():
        groups.setdefault(entry.build(), []).append(name)
    return tuple(tuple(group) for group in groups.values())


def _common_names(rows: Sequence[Row]) -> tuple[str, ...]:
    telling = [row for row in rows if row.stride >= _TELLING_STRIDE] or rows
    return tuple(name for name in telling[0].names if all(name in row.names for row in telling))


def _compared(names: tuple[str, ...]) -> tuple[dict[str, Relation], dict[str, Counterexample]]:
    relations: dict[str, Relation] = {}
    examples: dict[str, Counterexample] = {}
    for other, entry in catalog().items():
        relations[other], example = _related(names[0], entry) if names else ("other elements", None)
        if example is not None:
            examples[other] = example
    return relations, examples


def _related(name: str, other: CatalogEntry) -> tuple[Relation, Counterexample | None]:
    verdict = prove(op(name), other.build())
    if verdict.equal:
        return "same", None
    example = verdict.counterexample
    return "other shape" if example is None or example.position is None else "other elements", example
