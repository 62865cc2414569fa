"""Where two maps of elements part: the figure of what is found and of what is expected, at a small shape."""

from __future__ import annotations

from layoutbridge.algebra.proof import prove
from layoutbridge.algebra.rearrangement import Rearrangement
from layoutbridge.report.figures.plotting import Subject, figure_of


def cells_apart(
    found: Rearrangement, expected: Rearrangement, words: tuple[str, str] = ("found", "expected")
) -> list[str]:
    """The figure of both at the smallest shape at which they differ; nothing where they do not.

    Each result is told by one of the `words`, and the second's cells that differ from the first's are marked.

    >>> from layoutbridge.operations.catalog import op
    >>> made = cells_apart(op("space_to_depth"), op("darknet_reorg"))
    >>> "found: space_to_depth" in "".join(made), "data-differs" in "".join(made)
    (True, True)
    """
    example = prove(found, expected).counterexample
    if example is None:
        return []
    told = [f"{word}: {operation.label}" for word, operation in zip(words, (found, expected), strict=True)]
    subjects = [Subject(title, operation, ()) for title, operation in zip(told, (found, expected), strict=True)]
    return ["<figure>", figure_of(subjects, example.shape)._repr_html_(), "</figure>"]
