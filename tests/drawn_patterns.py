"""Patterns to draw, with a shape that each takes. Not a test itself."""

from math import prod

from hypothesis import strategies as st

from layoutbridge import Rearrangement


@st.composite
def rearrangements(draw, rank=3):
    """A random pattern of einops' kind over `rank` axes, and a shape that it takes."""
    letters = iter("abcdefghijklmnopqrstuvwxyz")
    groups, lengths, shape = [], {}, []
    for _ in range(rank):
        names = [next(letters) for _ in range(draw(st.integers(1, 3)))]
        given_sizes = {name: draw(st.integers(1, 4)) for name in names[1:]}
        lengths |= given_sizes
        draw(st.randoms()).shuffle(names)
        groups.append(names)
        shape.append(prod(given_sizes.values()) * draw(st.integers(1, 3)))
    names = list(draw(st.permutations([name for group in groups for name in group])))
    cuts = sorted(draw(st.lists(st.integers(0, len(names)), min_size=rank - 1, max_size=rank - 1)))
    parts = [names[a:b] for a, b in zip([0, *cuts], [*cuts, len(names)], strict=True)]
    sides = [" ".join(f"({' '.join(group)})" for group in side) for side in (groups, parts)]
    return Rearrangement(" -> ".join(sides), **lengths), tuple(shape)
