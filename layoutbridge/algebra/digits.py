"""Permutations of mixed-radix digits: the one mechanism under every layout operation.

Read a flat index as digits (outermost first, each with its size), write the same digits in another order,
and read them as a flat index again. That map is a `DigitStep`. Its normal form has no digit of size 1 and
no two digits that stay neighbours; it is unique, so two steps are the same map exactly when their normal
forms are equal. Example: [C, H, W] to [H, W, C] has the digits (C, H*W) and the order (1, 0).

Sizes are symbolic (`Size`), so one equality speaks for all shapes at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from layoutbridge.algebra.sizes import ONE, Domain, Size, product


@dataclass(frozen=True, slots=True)
class DigitStep:
    """A digit permutation: `sizes` in source order, `order[i]` the source digit written i-th.

    >>> half = Size.axis(1) / Size.constant(2)
    >>> step = DigitStep((Size.axis(0), half, Size.constant(2)), (2, 0, 1))
    >>> step.inverse().inverse() == step
    True
    """

    sizes: tuple[Size, ...]
    order: tuple[int, ...]

    @property
    def written_sizes(self) -> tuple[Size, ...]:
        """The digit sizes in the order in which they are written."""
        return tuple(self.sizes[source] for source in self.order)

    def inverse(self) -> DigitStep:
        """The step that undoes this one."""
        back = [0] * len(self.order)
        for target, source in enumerate(self.order):
            back[source] = target
        return DigitStep(self.written_sizes, tuple(back))

    def map_sizes(self, substitution: dict[int, Size]) -> DigitStep:
        """The same step with axis lengths replaced."""
        return DigitStep(tuple(size.substitute(substitution) for size in self.sizes), self.order)

    def normalized(self) -> DigitStep:
        """The normal form: digits of size 1 dropped, digits that stay neighbours merged."""
        written: list[list[int]] = []
        kept = [source for source in self.order if not self.sizes[source].is_one]
        rank = {source: position for position, source in enumerate(sorted(kept))}
        for source in kept:
            if written and rank[written[-1][-1]] + 1 == rank[source]:
                written[-1].append(source)
            else:
                written.append([source])
        groups = sorted(written)
        sizes = tuple(product([self.sizes[source] for source in group]) for group in groups)
        return DigitStep(sizes, tuple(groups.index(group) for group in written))

    @property
    def is_identity(self) -> bool:
        """Whether a normalized step moves nothing."""
        return len(self.sizes) <= 1


def common_refinement(
    left: Sequence[Size], right: Sequence[Size], domain: Domain
) -> tuple[list[Size], list[int], list[int]] | None:
    """Cut two factorizations of one product into common digits.

    Returns the common digit sizes (outermost first) and, for each, which digit of `left` and of `right` it
    belongs to; None where a cut falls inside a digit that it does not divide for every accepted shape.
    """
    pieces: list[tuple[Size, int, int]] = []
    i, j = len(left) - 1, len(right) - 1
    a, b = (left[i] if left else ONE), (right[j] if right else ONE)
    while i >= 0 and j >= 0:
        if a == b:
            pieces.append((a, i, j))
            a, b = ONE, ONE
        elif domain.implies_whole(b / a):
            pieces.append((a, i, j))
            a, b = ONE, b / a
        elif domain.implies_whole(a / b):
            pieces.append((b, i, j))
            a, b = a / b, ONE
        else:
            return None
        while a.is_one and i >= 0:
            i -= 1
            a = left[i] if i >= 0 else ONE
        while b.is_one and j >= 0:
            j -= 1
            b = right[j] if j >= 0 else ONE
    if i >= 0 or j >= 0:
        return None
    pieces.reverse()
    return [p[0] for p in pieces], [p[1] for p in pieces], [p[2] for p in pieces]


def compose(first: DigitStep, second: DigitStep, domain: Domain) -> DigitStep | None:
    """`second` after `first` as one normalized step, or None where their digits have no common cut."""
    refined = common_refinement(first.written_sizes, second.sizes, domain)
    if refined is None:
        return None
    sizes, in_first, in_second = refined
    between = range(len(sizes))
    # a piece keeps its place inside its digit on both sides; stable sorting keeps that order
    source = sorted(between, key=lambda piece: first.order[in_first[piece]])
    place = {digit: target for target, digit in enumerate(second.order)}
    target = sorted(between, key=lambda piece: place[in_second[piece]])
    position = {piece: index for index, piece in enumerate(source)}
    return DigitStep(tuple(sizes[piece] for piece in source), tuple(position[piece] for piece in target)).normalized()


def same_map(left: Sequence[DigitStep], right: Sequence[DigitStep], domain: Domain) -> bool:
    """Whether two reduced chains are the same map by symbols: alike, or one undone by the other's inverse."""
    if tuple(left) == tuple(right):
        return True
    if len(left) <= 1 and len(right) <= 1:
        return False  # single steps in normal form are the same only when they are alike
    return not reduce_chain([*left, *(step.inverse() for step in reversed(right))], domain)


def reduce_chain(steps: Sequence[DigitStep], domain: Domain) -> tuple[DigitStep, ...]:
    """Steps one after another in fewest steps: neighbours composed where they can be, identities dropped."""
    chain: list[DigitStep] = []
    for step in steps:
        following: DigitStep | None = step.normalized()
        while following is not None and not following.is_identity:
            merged = compose(chain[-1], following, domain) if chain else None
            if merged is None:
                chain.append(following)
                following = None
            else:
                chain.pop()
                following = merged
    return tuple(chain)
