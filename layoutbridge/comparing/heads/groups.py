"""What may stand in a port's columns, for all boxes of one head or of several one behind the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from layoutbridge.comparing.heads.columns import Column
from layoutbridge.comparing.heads.confidences import Style, styles, wrong_classes, wrong_objectness
from layoutbridge.comparing.heads.entries import Array, Entries
from layoutbridge.comparing.heads.sides import Options, limit, right_side, wrong_side

_LEAST = 0.02  # a probability that counts as a largest one: frameworks' logistics are off by shares of 1, not of it
Styles = tuple[Style, ...]  # one of each head


@dataclass(frozen=True, slots=True)
class Option:
    """What a column, or a block of them, may be; `wrong` says what is wrong with it, "" where nothing is."""

    wrong: str
    columns: tuple[Column, ...]


class Group:
    """The boxes of `heads`, head after head, with the `others` of the network; what is made of them is kept."""

    def __init__(self, heads: Sequence[Entries], others: Sequence[Entries]) -> None:
        self.heads = tuple(heads)
        self._others = {each.layer.name: tuple(other for other in others if other is not each) for each in heads}
        self._sides: dict[tuple[int, str, bool], tuple[Option, ...]] = {}
        self._styles: dict[bool, Mapping[str, Styles]] = {}

    @property
    def boxes(self) -> int:
        """How many there are of one picture."""
        return sum(each.boxes for each in self.heads)

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return self.heads[0].classes

    def limit(self, axis: int, unit: str) -> float:
        """How long the picture is, in pixels or shares."""
        return limit(self.heads[0], axis, unit)

    def side(self, side: int, unit: str, *, right_only: bool) -> tuple[Option, ...]:
        """What may stand in the column of x, y, w or h; right ones come first."""
        key = side, unit, right_only
        if key not in self._sides:
            made = [Option("", (self._joined(each),)) for each in zip(*(right_side(e, side, unit) for e in self.heads),
                                                                      strict=True)]  # fmt: skip
            if not right_only:
                made += [
                    Option(told, (self._joined(each),))
                    for told, each in _common(
                        [wrong_side(e, self._others[e.layer.name], side, unit) for e in self.heads]
                    )
                ]
            self._sides[key] = tuple(made)
        return self._sides[key]

    def styles(self, with_deviations: bool) -> Mapping[str, Styles]:
        """The right ways to give confidences, by name, each of every head."""
        if with_deviations not in self._styles:
            found = [styles(each, with_deviations) for each in self.heads]
            self._styles[with_deviations] = {name: tuple(each[name] for each in found) for name in found[0]}
        return self._styles[with_deviations]

    def objectness(self, style: Styles, *, right_only: bool) -> Iterator[Option]:
        """What may stand in the column of the objectness."""
        yield Option("", (self._joined([each.objectness for each in style], _LEAST),))
        if not right_only:
            for told, parts in _in_step([wrong_objectness(*each) for each in zip(self.heads, style, strict=True)]):
                yield Option(told, (self._joined(parts, _LEAST),))

    def scores(self, style: Styles, *, right_only: bool, best: bool) -> Iterator[Option]:
        """What may stand in the columns of the classes, or in the one of the best class."""
        rights = [each.times[:, :, None] * each.classes for each in style]
        yield Option("", self._classes(rights, best))
        if not right_only:
            for told, parts in _in_step([wrong_classes(*each) for each in zip(self.heads, style, strict=True)]):
                yield Option(told, self._classes(parts, best))

    def deviations(self, *, right_only: bool) -> Iterator[Option]:
        """What may stand in the columns of the deviations of x, y, w, h."""
        yield Option("", self._rows([each.done[:, :, -4:] for each in self.heads]))
        if not right_only:
            yield Option("no logistic", self._rows([each.raw[:, :, -4:] for each in self.heads]))

    def own(self, is_done: bool) -> tuple[Column, ...]:
        """All entries in the head's own order, as it leaves them or as it is fed them."""
        return self._rows([each.own[is_done] for each in self.heads])

    def labels(self) -> Iterator[tuple[Array, Array]]:
        """The best class of each box by each style, and by how much of the largest it is better than the next."""
        for style in self.styles(False).values():
            columns = np.stack([each.values for each in next(self.scores(style, right_only=True, best=False)).columns])
            best = columns.argmax(axis=0)
            ordered = np.partition(columns, -2, axis=0) if len(columns) > 1 else np.stack([best, best + np.inf])
            yield best, (ordered[-1] - ordered[-2]) / max(float(np.abs(columns).max()), _LEAST)

    def _joined(self, parts: Sequence[Array], least: float = 0.0) -> Column:
        """[N, boxes] of what each head has, [N, boxes of a place, H, W]."""
        with np.errstate(over="ignore", invalid="ignore"):
            held = [
                np.broadcast_to(part, (each.raw.shape[0], each.raw.shape[1], *each.raw.shape[3:]))
                for part, each in zip(parts, self.heads, strict=True)
            ]
        return Column(np.concatenate([each.reshape(len(each), -1) for each in held], axis=1), least)

    def _rows(self, parts: Sequence[Array]) -> tuple[Column, ...]:
        return tuple(self._joined([part[:, :, k] for part in parts], _LEAST) for k in range(parts[0].shape[2]))

    def _classes(self, parts: Sequence[Array], best: bool) -> tuple[Column, ...]:
        return (self._joined([part.max(axis=2) for part in parts], _LEAST),) if best else self._rows(parts)


def _in_step(heads: Sequence[Options]) -> Iterator[tuple[str, list[Array]]]:
    """What all heads have at one place under one name: nothing is made before it is asked for."""
    for each in zip(*heads, strict=False):
        if len({told for told, _ in each}) == 1:
            yield each[0][0], [values for _, values in each]


def _common(heads: Sequence[Options]) -> Iterator[tuple[str, list[Array]]]:
    """What all heads have under one name, wherever; of several in a head by one name each in turn."""
    numbered = [_numbered(each) for each in heads]
    for key in numbered[0]:
        if all(key in each for each in numbered):
            yield key[0], [each[key] for each in numbered]


def _numbered(options: Options) -> dict[tuple[str, int], Array]:
    counts: dict[str, int] = {}
    made: dict[tuple[str, int], Array] = {}
    for told, values in options:
        made[told, counts.get(told, 0)] = values
        counts[told] = counts.get(told, 0) + 1
    return made
