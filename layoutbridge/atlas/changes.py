"""What a new measurement has otherwise than an atlas of before: a release that moved what an op means, most of all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from layoutbridge.atlas.answers import Answer, Atlas


@dataclass(frozen=True, slots=True)
class Change:
    """What of an op is not as it was: `what` is "map", "dtypes", "strides", "gradient" or "there"."""

    key: str
    what: str
    before: str
    after: str
    version_before: str
    version_after: str


def changes(before: Atlas, after: Atlas) -> tuple[Change, ...]:
    """What differs of the subjects that both measured; ops that one alone has are told as well."""
    measured = {each.subject for each in before.answers} & {each.subject for each in after.answers}
    old, new = ({each.key: each for each in atlas.answers if each.subject in measured} for atlas in (before, after))
    found: list[Change] = []
    for key in dict.fromkeys((*old, *new)):
        found += _changes_of(key, old.get(key), new.get(key))
    return tuple(found)


def _changes_of(key: str, before: Answer | None, after: Answer | None) -> Iterator[Change]:
    versions = ("" if before is None else before.version, "" if after is None else after.version)
    if before is None or after is None:
        yield Change(key, "there", "no" if before is None else "yes", "no" if after is None else "yes", *versions)
        return
    for what, one, two in (
        ("map", _map(before), _map(after)),
        ("dtypes", ", ".join(before.dtypes), ", ".join(after.dtypes)),
        ("strides", ", ".join(map(str, before.strides)), ", ".join(map(str, after.strides))),
        ("gradient", before.gradient, after.gradient),
    ):
        if one != two:
            yield Change(key, what, one, two, *versions)


def _map(answer: Answer) -> str:
    return ", ".join(answer.names) or answer.detail or "another map"
