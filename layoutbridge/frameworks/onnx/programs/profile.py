"""What is known of a program that reads ONNX models: its limits, where they are documented, its forms of networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import reduce
from operator import or_

from layoutbridge.errors import UnsupportedError
from layoutbridge.frameworks.onnx.programs.forms import PLAIN, Forms
from layoutbridge.frameworks.onnx.programs.limits import UNLIMITED, Limits


@dataclass(frozen=True, slots=True)
class Documented:
    """Limits, or an `option` of networks that cannot be; where that is documented, and in a few words what is."""

    limits: Limits
    where: str
    what: str
    option: str = field(default="", kw_only=True)

    @property
    def told(self) -> str:
        """The limit in words.

        >>> Documented(Limits(max_rank=5), "https://...", "...").told, without_option("half", "", "").told
        ('at most 5 axes', 'no `half`')
        """
        return f"no `{self.option}`" if self.option else self.limits.told


@dataclass(frozen=True, slots=True)
class Profile:
    """A program that reads ONNX models: what people call it, and what is documented of its limits.

    Those `of_networks` are kept by networks that we write, which have other forms; a model of others may hold what they
    exclude, used in another way. `forms` are those that a network is written in, `batch` and `opset` stand for those
    left open, `head` is what a network returns that is not told otherwise, `head_with_nms` where it is to suppress its
    boxes.
    """

    title: str
    documented: tuple[Documented, ...] = ()
    of_networks: tuple[Documented, ...] = ()
    forms: Forms = PLAIN
    batch: int | None = None
    opset: int | None = None
    head: str = "darknet"
    head_with_nms: str = ""

    @property
    def limits(self) -> Limits:
        """Those of any model."""
        return reduce(or_, (each.limits for each in self.documented), UNLIMITED)

    @property
    def network_limits(self) -> Limits:
        """All of them, those of networks too."""
        return reduce(or_, (each.limits for each in self.of_networks), self.limits)

    def head_of(self, head: str | None, *, nms: bool) -> str:
        """What a network returns where `head` was asked for, or nothing was."""
        return head or (self.head_with_nms if nms else "") or self.head

    def refuse(self, given: Mapping[str, bool]) -> None:
        """Raise `UnsupportedError` for the first option that is given and cannot be; `given` says of each if it is."""
        for each in (*self.documented, *self.of_networks):
            if given.get(each.option):
                raise UnsupportedError(f"{self.title} does not take {each.option} ({each.what}): leave it out")
        if given.get("nms") and "NonMaxSuppression" in self.network_limits.without:
            raise UnsupportedError(
                f"{self.title} has no NonMaxSuppression: leave out nms, and suppress what the head boxes gives"
            )


def without(*operators: str) -> Limits:
    """Limits of operators alone."""
    return Limits(without=frozenset(operators))


def without_option(option: str, where: str, what: str) -> Documented:
    """An option of networks that cannot be."""
    return Documented(UNLIMITED, where, what, option=option)
