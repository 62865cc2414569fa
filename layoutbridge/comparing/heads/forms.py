"""The four numbers that say where a box is: centre and size, corners, one of these with y first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from layoutbridge.comparing.heads.entries import Array

Four = tuple[Array, Array, Array, Array]


@dataclass(frozen=True, slots=True)
class Form:
    """`to_box` makes x, y, w, h of numbers with these `names`, `of_box` them of these; `wrong` says what is wrong.

    A `plain` form only puts them in another order: then each number stands alone.
    """

    names: tuple[str, str, str, str]
    wrong: str
    to_box: Callable[[Array, Array, Array, Array], Four]
    of_box: Callable[[Array, Array, Array, Array], Four]

    @property
    def plain(self) -> bool:
        """Whether its numbers are x, y, w and h."""
        return set(self.names) == {"x", "y", "w", "h"}


CORNERS = Form(
    ("left", "top", "right", "bottom"), "",
    lambda left, top, right, bottom: ((left + right) / 2, (top + bottom) / 2, right - left, bottom - top),
    lambda x, y, w, h: (x - w / 2, y - h / 2, x + w / 2, y + h / 2),
)  # fmt: skip
FORMS = (
    Form(("x", "y", "w", "h"), "", lambda x, y, w, h: (x, y, w, h), lambda x, y, w, h: (x, y, w, h)),
    Form(("y", "x", "h", "w"), "", lambda y, x, h, w: (x, y, w, h), lambda x, y, w, h: (y, x, h, w)),
    CORNERS,
    Form(
        ("top", "left", "bottom", "right"), "",
        lambda top, left, bottom, right: ((left + right) / 2, (top + bottom) / 2, right - left, bottom - top),
        lambda x, y, w, h: (y - h / 2, x - w / 2, y + h / 2, x + w / 2),
    ),
    Form(
        ("left", "top", "width", "height"), "",
        lambda left, top, w, h: (left + w / 2, top + h / 2, w, h),
        lambda x, y, w, h: (x - w / 2, y - h / 2, w, h),
    ),
    Form(
        CORNERS.names, "corners: the centre taken for the left upper one",
        lambda x, y, right, bottom: (x, y, right - x, bottom - y),
        lambda x, y, w, h: (x, y, x + w, y + h),
    ),
    Form(
        CORNERS.names, "corners: the whole size on each side of the centre, not half of it",
        lambda left, top, right, bottom: (
            (left + right) / 2, (top + bottom) / 2, (right - left) / 2, (bottom - top) / 2,
        ),
        lambda x, y, w, h: (x - w, y - h, x + w, y + h),
    ),
)  # fmt: skip
