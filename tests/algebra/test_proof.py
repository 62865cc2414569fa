"""`prove`: every verdict over the catalogue against tables, and the hard cases that users write."""

import itertools
import random
from functools import cache
from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layoutbridge import Rearrangement, catalog, op, prove
from layoutbridge.algebra.rearrangement import with_batch_axis
from layoutbridge.errors import LayoutBridgeError, ParameterError, PatternError, ShapeError
from tests.pictures import pictures

NAMES = tuple(pictures())
BOUND = 128  # elements: the shapes that brute force looks at


@cache
def shapes_up_to(rank, bound):
    """Every shape of at most `bound` elements, fewest elements first."""
    lengths = range(1, bound + 1)
    shapes = [()]
    for _ in range(rank):
        shapes = [(*shape, length) for shape in shapes for length in lengths if prod(shape) * length <= bound]
    return sorted(shapes, key=lambda shape: (prod(shape), shape))


_EVALUATED: dict[tuple, dict] = {}


def evaluated(made, rank, bound):
    """For every accepted shape of at most `bound` elements the table and the shape of the result."""
    key = made.pattern, rank, bound  # not the rearrangement: equal ones may refuse different shapes
    if key not in _EVALUATED:
        results = {}
        for shape in shapes_up_to(rank, bound):
            try:
                results[shape] = made.table(shape).tobytes(), made.out_shape(shape)
            except ShapeError:
                continue
        _EVALUATED[key] = results
    return _EVALUATED[key]


def check_by_brute_force(a, b, verdict, bound=BOUND):
    """The verdict against the tables of every common shape up to `bound` elements."""
    rank = max(a.rank, b.rank)
    left, right = evaluated(a, rank, bound), evaluated(b, rank, bound)
    smallest = next((shape for shape in left if shape in right and left[shape] != right[shape]), None)
    if verdict.equal:
        assert smallest is None, f"they differ at {smallest}"
        assert verdict.counterexample is None
        return
    found = verdict.counterexample
    if found is None:
        assert smallest is None and "without a common shape" in verdict.explain()
        return
    check_counterexample(a, b, found)
    if smallest is not None:
        assert prod(found.shape) == prod(smallest), f"{smallest} is smaller than {found.shape}"
        assert found.shape == smallest
    else:
        assert prod(found.shape) > bound


def check_counterexample(a, b, found):
    """That it is one, and that its position and its reads are those of the tables."""
    assert found.out_shapes == (a.out_shape(found.shape), b.out_shape(found.shape))
    if found.position is None:
        assert found.reads is None and found.out_shapes[0] != found.out_shapes[1]
        assert str(list(found.out_shapes[0])) in str(found)
        return
    tables = a.table(found.shape), b.table(found.shape)
    index = int(np.ravel_multi_index(found.position, found.out_shapes[0]))
    different = np.flatnonzero(tables[0] != tables[1])
    assert index == different[0], "the first element that differs"
    for table, read in zip(tables, found.reads, strict=True):
        assert read == tuple(int(k) for k in np.unravel_index(table[index], found.shape))
    x = np.arange(prod(found.shape)).reshape(found.shape)
    assert a(x)[found.position] == x[found.reads[0]] and b(x)[found.position] == x[found.reads[1]]
    assert str(list(found.position)) in str(found) and str(list(found.reads[1])) in str(found)


def at(name, value):
    return catalog()[name].build_at(value)


# ---------------------------------------------------------------------------------- the catalogue


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("left", "right"), [(2, 2), (3, 3), (2, 3)])
def test_every_pair_of_the_catalogue_is_settled_and_right(name, left, right):
    a = at(name, left)
    for other in NAMES:
        b = at(other, right)
        verdict = prove(a, b)
        assert verdict.equal == bool(verdict)
        assert verdict.for_all_sizes == verdict.equal, "settled by symbols or by an example"
        assert verdict.equal or verdict.counterexample is not None
        assert "symbols do not settle" not in verdict.explain()
        check_by_brute_force(a, b, verdict)
        if verdict.counterexample is not None and prod(verdict.counterexample.shape) < 100_000:
            check_counterexample(a, b, verdict.counterexample)


def test_a_verdict_does_not_depend_on_the_order_of_the_two():
    for a, b in itertools.combinations([at(name, 2) for name in NAMES], 2):
        one, other = prove(a, b), prove(b, a)
        assert one.equal == other.equal
        if one.counterexample is not None:
            assert one.counterexample.shape == other.counterexample.shape
            assert one.counterexample.position == other.counterexample.position
            assert (one.counterexample.reads or ())[::-1] == (other.counterexample.reads or ())


@pytest.mark.parametrize("stride", [2, 3, 4, 7])
def test_the_families_that_are_one_map(stride):
    families = [
        ("space_to_depth", "darknet_reorg3d", "leimao_reorg", "focus_row_major"),
        ("depth_to_space", "darknet_reorg_reverse", "leimao_reorg_reverse"),
        ("space_to_depth_crd", "pixel_unshuffle"),
        ("depth_to_space_crd", "pixel_shuffle"),
    ]
    for family, other in itertools.product(families, repeat=2):
        for a, b in itertools.product(family, other):
            verdict = prove(op(a, stride=stride), op(b, stride=stride))
            assert verdict.equal == (family is other), f"{a}, {b}"
            assert verdict.for_all_sizes == verdict.equal


@pytest.mark.parametrize("stride", [2, 3, 5])
def test_what_undoes_what(stride):
    def made(name):
        return op(name, stride=stride)

    assert prove(made("darknet_reorg").inverse(), made("darknet_reorg3d_reverse"))
    assert prove(made("darknet_reorg_reverse").inverse(), made("darknet_reorg3d"))
    assert not prove(made("darknet_reorg").inverse(), made("darknet_reorg_reverse"))
    assert not prove(made("darknet_reorg3d").inverse(), made("darknet_reorg3d_reverse"))
    assert prove(op("darknet_flatten").inverse(), op("darknet_unflatten"))


def test_the_useful_identity_of_reorg_holds_for_all_sizes():
    """[reorg] is a view, space_to_depth DCR and a view."""
    view = Rearrangement("C H W | c:C/4 h:H*2 w:W*2 -> c h w | C/4 H*2 W*2")
    back = Rearrangement("A B D | a:A b:B d:D -> a b d | 4*A B/2 D/2")
    composed = view.then(op("space_to_depth")).then(back)
    # the middle has C channels and H × W; the last view makes it [C·4, H/2, W/2]
    verdict = prove(composed, op("darknet_reorg"))
    assert verdict.equal and verdict.for_all_sizes


def test_at_stride_one_all_of_space_and_depth_are_equal():
    ones = [at(name, 1) for name in NAMES if "stride" in catalog()[name].parameters]
    for a, b in itertools.combinations(ones, 2):
        assert prove(a, b).for_all_sizes


def test_equal_order_under_another_shape_is_not_equal_and_said_so():
    verdict = prove(op("darknet_flatten"), op("nchw_to_nhwc"))
    assert not verdict.equal
    assert "under another shape" in verdict.explain()
    assert verdict.counterexample.position is None
    assert verdict.counterexample.shape == (1, 1, 2)


# ---------------------------------------------------------------------------------- patterns of users


SMALL_PATTERNS = [
    "a b c -> a b c",
    "a b c -> c b a",
    "a b c -> b c a",
    "a (b:2 c) d -> a (c b) d",
    "a (c b:2) d -> a (b c) d",
    "(a b:3) c d -> (b a) c d",
    "a b c -> a b c, b=4",
    "a b c -> a c b, b=4",
    "a b c -> a c b, a=2, b=3, c=2",
    "A B C | x:A y:B*C/6 z:6 -> x z y | A B C",
    "A B C | x:A*B/2 y:2 z:C -> y x z | A B C",
    "A B C | x:A*B*C/4 y:4 -> y x | A B C",
    "A B C | x:A*B*C/4 y:2 z:2 -> y z x | C B A",
    "A B C | x:A/B y:B*B z:C -> y x z | A B C",
]


@pytest.mark.parametrize(("a", "b"), list(itertools.combinations_with_replacement(SMALL_PATTERNS, 2)))
def test_patterns_with_conditions_and_fixed_axes_are_settled_right(a, b):
    left, right = Rearrangement(a), Rearrangement(b)
    verdict = prove(left, right)
    check_by_brute_force(left, right, verdict, 120)
    assert verdict.equal == verdict.for_all_sizes or verdict.counterexample is None


@st.composite
def grouped_patterns(draw):
    """Two patterns over [H, W] with digits of small sizes."""
    made = []
    for _ in range(2):
        p, q = draw(st.sampled_from([(1, 2), (2, 2), (2, 3), (4, 2), (6, 3)]))
        order = draw(st.permutations(["h", "p", "w", "q"]))
        left = (
            f"({' '.join(draw(st.permutations(['h', f'p:{p}'])))}) ({' '.join(draw(st.permutations(['w', f'q:{q}'])))})"
        )
        cut = draw(st.integers(1, 3))
        made.append(Rearrangement(f"{left} -> ({' '.join(order[:cut])}) ({' '.join(order[cut:])})"))
    return made


@settings(max_examples=150)
@given(grouped_patterns())
def test_random_patterns_are_settled_right(pair):
    a, b = pair
    check_by_brute_force(a, b, prove(a, b), 80)


def test_a_batch_axis_may_be_written_out():
    plain = Rearrangement("c (h p:2) (w q:2) -> (p q c) h w")
    written = Rearrangement("n c (h p:2) (w q:2) -> n (p q c) h w")
    verdict = prove(plain, written)
    assert verdict.equal and verdict.for_all_sizes
    assert prove(written, plain).equal and not prove(plain, written.inverse()).equal
    moved = Rearrangement("n c (h p:2) (w q:2) -> (n p q c) h w")
    assert prove(moved, plain).counterexample.position is None
    crossed = Rearrangement("n c h w -> c n h w")
    verdict = prove(crossed, Rearrangement("c h w -> c h w"))
    assert not verdict.equal
    check_counterexample(crossed, Rearrangement("c h w -> c h w"), verdict.counterexample)


def test_other_ranks_have_no_common_shape():
    for a, b in [("a b -> b a", "a b c d -> d c b a"), ("a -> a", "a b c -> a b c")]:
        verdict = prove(Rearrangement(a), Rearrangement(b))
        assert not verdict.equal and verdict.counterexample is None
        assert "no shape fits both" in verdict.explain()


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("a b -> b a, a=2", "a b -> b a, a=3"),
        ("a b -> b a, a=3", "(a p:2) b -> b (a p)"),
        ("a -> a, a=2", "a -> a, a=4"),
    ],
)
def test_fixed_lengths_that_do_not_suit_each_other(a, b):
    verdict = prove(Rearrangement(a), Rearrangement(b))
    assert not verdict.equal and not verdict.for_all_sizes and verdict.counterexample is None
    assert "no shape fits both" in verdict.explain()


def test_fixed_lengths_narrow_what_is_compared():
    free, fixed = Rearrangement("a b -> b a"), Rearrangement("a b -> b a, a=3")
    assert prove(free, fixed).for_all_sizes
    assert prove(Rearrangement("a b -> b a, a=1"), Rearrangement("a b -> (a b) 1")).for_all_sizes


def test_axes_that_conditions_force_to_be_equal_are_not_called_proved():
    """With A/B and B/A whole, A is B: the symbols cannot know."""
    a = Rearrangement("A B | k:A/B b:B c:B -> c k b | A B")
    b = Rearrangement("A B | k:B/A b:A c:A -> c k b | A B")
    verdict = prove(a, b)
    assert verdict.equal and not verdict.for_all_sizes
    assert "do not settle" in verdict.explain()


# ---------------------------------------------------------------------------------- chains


def chains():
    up, down = op("depth_to_space", stride=2), op("space_to_depth", stride=3)
    shuffle = op("space_to_depth", stride=2).then(op("channel_shuffle", groups=3))
    other = op("space_to_depth_crd", stride=2).then(op("channel_shuffle", groups=3))
    return [
        up.then(down),
        shuffle,
        other,
        op("channel_shuffle", groups=3).then(op("channel_shuffle", groups=2)),
        op("channel_shuffle", groups=2).then(op("channel_shuffle", groups=3)),
        op("darknet_reorg").then(op("depth_to_space", stride=3)),
        up.then(op("darknet_reorg", stride=3)),
    ]


@pytest.mark.parametrize(("i", "j"), list(itertools.combinations_with_replacement(range(7), 2)))
def test_chains_without_a_common_cut_are_settled_right(i, j):
    a, b = chains()[i], chains()[j]
    verdict = prove(a, b)
    same = i == j or (i, j) == (3, 4)  # shuffles in 2 and in 3 groups commute: both are the shuffle in 6
    assert verdict.equal == same and verdict.for_all_sizes == same
    check_by_brute_force(a, b, verdict, 100)
    if verdict.counterexample is not None:
        check_counterexample(a, b, verdict.counterexample)


def test_a_chain_and_its_inverse_are_proved_to_cancel():
    for made in chains():
        assert prove(made.then(made.inverse()), Rearrangement("c h w -> c h w")).for_all_sizes
        assert prove(made.inverse().inverse(), made).for_all_sizes


def test_chains_cut_differently_are_proved_equal():
    a, b, c = op("darknet_reorg"), op("depth_to_space"), op("depth_to_space")
    left, right = a.then(b).then(c), a.then(b.then(c))
    assert prove(left, right).for_all_sizes


def test_a_chain_that_differs_only_at_large_shapes_is_not_called_equal():
    """The smallest common shape has far more elements than a table can hold."""
    huge = op("depth_to_space", stride=1000).then(op("space_to_depth", stride=1001))
    shuffled = huge.then(op("channel_shuffle", groups=1001))
    verdict = prove(huge, shuffled)
    assert not verdict.equal
    found = verdict.counterexample
    assert found.position is not None and found.reads[0] != found.reads[1]
    assert prove(huge, huge).for_all_sizes


# ---------------------------------------------------------------------------------- large numbers, conditions


@pytest.mark.parametrize("stride", [1000, 100_000, 2**31, 2**62])
def test_huge_strides_are_settled_at_once(stride):
    for a, b in itertools.product(NAMES, repeat=2):
        if "stride" in catalog()[a].parameters and "stride" in catalog()[b].parameters:
            verdict = prove(op(a, stride=stride), op(b, stride=stride))
            assert verdict.equal == prove(op(a), op(b)).equal
            assert verdict.for_all_sizes == verdict.equal


def test_a_condition_on_several_axes_that_only_large_shapes_fulfil():
    """No shape of fewer than 100000 elements fits: equality must not be concluded from that."""
    crossing = Rearrangement("A B | x:A*B/100000 y:100000 -> y x | A B")
    verdict = prove(crossing, Rearrangement("a b -> a b"))
    assert not verdict.equal
    found = verdict.counterexample
    assert crossing.out_shape(found.shape) == found.out_shapes[0]
    assert found.position is not None and found.reads[0] != found.reads[1]


def test_a_smallest_example_across_axes_is_the_smallest():
    crossing = Rearrangement("A B C | x:A*B*C/30 y:30 -> y x | A B C")
    verdict = prove(crossing, Rearrangement("a b c -> a b c"))
    assert prod(verdict.counterexample.shape) == 60
    check_by_brute_force(crossing, Rearrangement("a b c -> a b c"), verdict, 60)


# ---------------------------------------------------------------------------------- what it says, what it refuses


def test_the_argument_is_numbered_and_tells_the_digits():
    equal = prove(op("darknet_reorg3d"), op("space_to_depth")).explain().splitlines()
    assert [line.split(". ")[0] for line in equal] == ["1", "2", "3", "4"]
    assert "both take [C, H, W] with H a multiple of 2, W a multiple of 2" in equal[0]
    assert equal[1].startswith("2. darknet_reorg3d reads digits") and equal[2].startswith("3. space_to_depth reads")
    assert "same map for all sizes" in equal[3]
    different = prove(op("darknet_reorg"), op("space_to_depth"))
    assert "C a multiple of 4" in different.explain()
    assert f"smallest example: {different.counterexample}" in different.explain()


def test_two_of_one_name_are_told_apart():
    text = prove(op("space_to_depth", stride=2), op("space_to_depth", stride=3)).explain()
    assert "space_to_depth (first)" in text and "space_to_depth (second)" in text
    text = prove(Rearrangement("a b -> b a"), Rearrangement("a b -> a b")).explain()
    assert "the first reads" in text and "the second moves nothing" in text


@pytest.mark.parametrize("other", [b"focus", None, 3, op, np.zeros(3)], ids=lambda other: type(other).__name__)
def test_what_is_no_rearrangement_is_refused(other):
    for pair in ((op("focus"), other), (other, op("focus"))):
        with pytest.raises(PatternError, match="prove takes two Rearrangements") as error:
            prove(*pair)
        assert len(str(error.value).splitlines()) == 1


def test_a_written_batch_axis_gets_a_name_of_its_own():
    made = Rearrangement("N M -> M N")
    wider = with_batch_axis(made, 3)
    assert len(set(wider.axes)) == 3
    both = with_batch_axis(Rearrangement("N batch -> batch N"), 3)
    assert len(set(both.axes)) == 3
    assert with_batch_axis(made, 2) is made


def test_random_compositions_are_settled_right():
    """Chains of two and three random entries: the verdict is never against the tables."""
    draw = random.Random(5)
    entries = [at(name, value) for name in NAMES for value in (2, 3)]
    for _ in range(60):
        try:
            made = [
                a.then(b)
                for a, b in [(draw.choice(entries), draw.choice(entries)), (draw.choice(entries), draw.choice(entries))]
            ]
        except (ShapeError, ParameterError):
            continue
        verdict = prove(*made)
        shape = tuple(np.lcm(made[0].domain.divisor(axis), made[1].domain.divisor(axis)) for axis in range(3))
        if prod(shape) > 10_000:
            continue
        for factor in [(1, 1, 1), (1, 2, 1), (2, 1, 3)]:
            full = tuple(int(a * b) for a, b in zip(shape, factor, strict=True))
            try:
                same = np.array_equal(made[0].table(full), made[1].table(full))
                same &= made[0].out_shape(full) == made[1].out_shape(full)
            except LayoutBridgeError:
                continue
            assert same or not verdict.equal
        if verdict.counterexample is not None and prod(verdict.counterexample.shape) < 100_000:
            check_counterexample(*made, verdict.counterexample)
