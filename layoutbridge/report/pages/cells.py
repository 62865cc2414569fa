"""Where two maps of elements part: what is found beside what is expected, element by element, at a small shape."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np

from layoutbridge.algebra.proof import prove
from layoutbridge.algebra.rearrangement import Rearrangement
from layoutbridge.report.pages.parts import text

_LONGEST = 24  # rows and columns of a plane
_PLANES = 12
_APART = ' class="apart"'


def cells_apart(
    found: Rearrangement, expected: Rearrangement, words: tuple[str, str] = ("found", "expected")
) -> list[str]:
    """The results of both at the smallest shape at which they differ; nothing where they do not.

    Each element is told by the number of the input's element that it is, and each result by one of the `words`.

    >>> from layoutbridge.operations.catalog import op
    >>> made = cells_apart(op("space_to_depth"), op("darknet_reorg"))
    >>> "space_to_depth" in "".join(made), 'class="apart"' in "".join(made)
    (True, True)
    """
    example = prove(found, expected).counterexample
    if example is None:
        return []
    lengths = example.shape
    tables = [each.table(lengths).tolist() for each in (found, expected)]
    shapes = [tuple(each.out_shape(lengths)) for each in (found, expected)]
    alike = shapes[0] == shapes[1]
    apart = {place for place, pair in enumerate(zip(*tables, strict=False)) if pair[0] != pair[1]} if alike else set()
    told = f"An input {list(lengths)}, its elements numbered from 0: where each is in the result." + (
        f" {len(apart)} of {len(tables[0])} are elsewhere: outlined and bold." if alike else " The shapes differ."
    )
    made = ["<figure>", f"<figcaption>{text(told)}</figcaption>"]
    for what, operation, table, out_shape in zip(words, (found, expected), tables, shapes, strict=True):
        made.append(f'<h3>{what}: {text(operation.label)}</h3><div class="cells">')
        made += [*_planes(table, out_shape, apart), "</div>"]
    return [*made, "</figure>"]


def _planes(table: Sequence[int], shape: Sequence[int], apart: set[int]) -> Iterator[str]:
    """The result in planes of its last two axes that are longer than 1."""
    long = [axis for axis, length in enumerate(shape) if length > 1]
    plane, outside = long[-2:], long[:-2]
    starts = list(product(*(range(shape[axis]) for axis in outside)))
    numbers = np.arange(len(table)).reshape(shape)
    for start in starts[:_PLANES]:
        index = tuple(
            slice(_LONGEST) if axis in plane else dict(zip(outside, start, strict=True)).get(axis, 0)
            for axis in range(len(shape))
        )
        place = ", ".join(":" if isinstance(each, slice) else str(each) for each in index)
        yield f"<table><caption><code>[{place}]</code></caption><tbody>"
        for row in np.atleast_2d(numbers[index]).tolist():
            cells = (f"<td{_APART if flat in apart else ''}>{table[flat]}</td>" for flat in row)
            yield f"<tr>{''.join(cells)}</tr>"
        yield "</tbody></table>"
    if len(starts) > _PLANES or any(shape[axis] > _LONGEST for axis in plane):
        yield "<p>and more</p>"
