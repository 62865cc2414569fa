"""What a target does not take: tensors of more axes than so many, operators that it lacks, opsets above its own."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """`max_rank`: the most axes of a tensor; `without`: operators that must not stand; `max_opset`: the highest opset.

    None is no limit. Equal limits are equal, in whatever order the operators were named.
    """

    max_rank: int | None = None
    without: frozenset[str] = frozenset()
    max_opset: int | None = None

    def __bool__(self) -> bool:
        """Whether there is any limit at all."""
        return self != UNLIMITED

    def __or__(self, other: Limits) -> Limits:
        """What both take.

        >>> Limits(max_rank=5, without=frozenset({"Gather"})) | Limits(max_rank=4, max_opset=11)
        Limits(max_rank=4, without=frozenset({'Gather'}), max_opset=11)
        """
        return Limits(
            _least(self.max_rank, other.max_rank), self.without | other.without, _least(self.max_opset, other.max_opset)
        )

    def allows(self, operator: str) -> bool:
        """Whether a node of this operator may stand."""
        return operator not in self.without

    def allows_rank(self, rank: int) -> bool:
        """Whether a tensor may have so many axes."""
        return self.max_rank is None or rank <= self.max_rank

    @property
    def told(self) -> str:
        """The limits in words.

        >>> Limits(max_rank=4, without=frozenset({"Gather", "Einsum"})).told
        'at most 4 axes, without Einsum and Gather'
        """
        axes = () if self.max_rank is None else (f"at most {self.max_rank} {'axis' if self.max_rank == 1 else 'axes'}",)
        *others, last = sorted(self.without) or ("",)
        named = f"{', '.join(others)} and {last}" if others else last
        opset = () if self.max_opset is None else (f"opset {self.max_opset} at most",)
        return ", ".join((*axes, *((f"without {named}",) if named else ()), *opset)) or "no limits"


UNLIMITED = Limits()


def _least(a: int | None, b: int | None) -> int | None:
    return min((each for each in (a, b) if each is not None), default=None)
