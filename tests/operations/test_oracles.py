"""Independent oracles: einops reads the same patterns, and CuTe's layout algebra the same digits."""

import random
from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layoutbridge import Rearrangement, catalog, factorize, op
from tests.pictures import pictures

einops = pytest.importorskip("einops", reason="einops is not installed")

EINOPS = {
    "darknet_reorg3d": "n c (h p) (w q) -> n (p q c) h w",
    "darknet_reorg_reverse": "n (p q c) h w -> n c (h p) (w q)",
    "space_to_depth": "n c (h p) (w q) -> n (p q c) h w",
    "space_to_depth_crd": "n c (h p) (w q) -> n (c p q) h w",
    "depth_to_space": "n (p q c) h w -> n c (h p) (w q)",
    "depth_to_space_crd": "n (c p q) h w -> n c (h p) (w q)",
    "pixel_shuffle": "n (c p q) h w -> n c (h p) (w q)",
    "pixel_unshuffle": "n c (h p) (w q) -> n (c p q) h w",
    "focus": "n c (h p) (w q) -> n (q p c) h w",
    "focus_row_major": "n c (h p) (w q) -> n (p q c) h w",
    "leimao_reorg": "n c (h p) (w q) -> n (p q c) h w",
    "leimao_reorg_reverse": "n (p q c) h w -> n c (h p) (w q)",
    "nchw_to_nhwc": "n c h w -> n h w c",
    "nhwc_to_nchw": "n h w c -> n c h w",
    "channel_shuffle": "n (k c) h w -> n (c k) h w",
}
ACROSS_AXES = {"darknet_reorg", "darknet_reorg3d_reverse", "darknet_flatten", "darknet_unflatten"}


def lengths_for(pattern, stride):
    names = {"p": stride, "q": stride, "k": stride}
    return {name: value for name, value in names.items() if name in pattern}


def sample(shape):
    return np.random.default_rng(prod(shape)).permutation(prod(shape)).reshape(shape)


# ---------------------------------------------------------------------------------- einops


def test_einops_covers_all_entries_but_those_that_cross_axes():
    assert set(EINOPS) | ACROSS_AXES == set(pictures())


@pytest.mark.parametrize("name", EINOPS)
@pytest.mark.parametrize("stride", [1, 2, 3, 4, 5])
def test_einops_moves_the_catalogues_entries_alike(name, stride):
    pattern = EINOPS[name]
    made = catalog()[name].build_at(stride)
    for factors in [(1, 1, 1), (2, 1, 3), (1, 3, 2)]:
        shape = (2, *(made.domain.divisor(axis) * factor for axis, factor in enumerate(factors)))
        x = sample(shape)
        expected = einops.rearrange(x, pattern, **lengths_for(pattern, stride))
        np.testing.assert_array_equal(made(x), expected)
        np.testing.assert_array_equal(x.ravel()[made.table(shape)], expected.ravel())
        assert made.out_shape(shape) == expected.shape


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_einops_with_views_moves_the_entries_that_cross_axes_alike(stride):
    s, (c, h, w) = stride, (2, 3, 4)
    x = sample((2, c * s * s, h * s, w * s))
    seen = x.reshape(2, c, h * s * s, w * s * s)
    expected = einops.rearrange(seen, "n c (h p) (w q) -> n (p q c) h w", p=s, q=s).reshape(2, -1, h, w)
    np.testing.assert_array_equal(op("darknet_reorg", stride=s)(x), expected)

    y = sample((2, c * s**4, h, w))
    seen = y.reshape(2, s * s * c, h * s, w * s)
    expected = einops.rearrange(seen, "n (p q c) h w -> n c (h p) (w q)", p=s, q=s).reshape(2, c * s * s, h * s, w * s)
    np.testing.assert_array_equal(op("darknet_reorg3d_reverse", stride=s)(y), expected)

    flat = einops.rearrange(x, "n c h w -> n h w c").reshape(x.shape)
    np.testing.assert_array_equal(op("darknet_flatten")(x), flat)
    np.testing.assert_array_equal(op("darknet_unflatten")(flat), x)


@st.composite
def einops_patterns(draw):
    """A random pattern both sides of which have groups, lone axes and axes of length one."""
    names = list("abcdefgh"[: draw(st.integers(1, 6))])
    sizes = {name: draw(st.integers(1, 4)) for name in names}
    left = draw(st.permutations(names))
    right = draw(st.permutations(names))

    def grouped(order):
        groups, start = [], 0
        while start < len(order):
            length = draw(st.integers(1, 3))
            groups.append(list(order[start : start + length]))
            start += length
        for _ in range(draw(st.integers(0, 2))):
            groups.insert(draw(st.integers(0, len(groups))), [])
        return groups

    def text(groups):
        shown = []
        for group in groups:
            if not group:
                shown.append(draw(st.sampled_from(["1", "()"])))
            else:
                shown.append(group[0] if len(group) == 1 and draw(st.booleans()) else f"({' '.join(group)})")
        return " ".join(shown)

    source = grouped(left)
    pattern = f"{text(source)} -> {text(grouped(right))}"
    given_lengths = {name: sizes[name] for group in source for name in group[1:]}
    return pattern, given_lengths, tuple(prod(sizes[name] for name in group) for group in source)


@settings(max_examples=200)
@given(einops_patterns())
def test_einops_reads_random_patterns_alike(case):
    pattern, lengths, shape = case
    x = sample(shape)
    expected = einops.rearrange(x, pattern, **lengths)
    made = Rearrangement(pattern, **lengths)
    np.testing.assert_array_equal(made(x), expected)
    assert made.out_shape(shape) == expected.shape
    np.testing.assert_array_equal(made.table(shape), np.argsort(x.ravel())[expected.ravel()])
    left, right = pattern.split("->")
    batched = einops.rearrange(np.stack([x, -x]), f"batch {left} -> batch {right}", **lengths)
    np.testing.assert_array_equal(made(np.stack([x, -x])), batched)


@settings(max_examples=100)
@given(einops_patterns())
def test_einops_back_and_forth_is_the_inverse(case):
    pattern, lengths, shape = case
    x = sample(shape)
    y = einops.rearrange(x, pattern, **lengths)
    table = Rearrangement(pattern, **lengths).table(shape)
    restored = np.empty(x.size, x.dtype)
    restored[table] = y.ravel()
    np.testing.assert_array_equal(restored.reshape(shape), x)


# ---------------------------------------------------------------------------------- CuTe's layout algebra


def cute_layout(tensor_layouts, digits):
    """The map from written index to read position. CuTe counts the first mode fastest, so innermost first."""
    inner_first = list(reversed(digits)) or [(1, 1)]
    return tensor_layouts.Layout(tuple(size for size, _ in inner_first), tuple(stride for _, stride in inner_first))


def values(layout, size):
    return [layout(k) for k in range(size)]


def some_bound(name, value):
    made = catalog()[name].build_at(value)
    return made, tuple(made.domain.divisor(axis) * factor for axis, factor in enumerate((2, 2, 3)))


@pytest.fixture(scope="module")
def cute():
    return pytest.importorskip("tensor_layouts", reason="tensor-layouts is not installed")


@pytest.mark.parametrize("name", pictures())
@pytest.mark.parametrize("value", [2, 3])
def test_cute_evaluates_our_digits_to_our_tables(cute, name, value):
    made, shape = some_bound(name, value)
    bound, table = made.bind(shape), made.table(shape)
    layout = cute_layout(cute, bound.digits)
    assert cute.size(layout) == table.size == cute.cosize(layout)
    assert values(layout, table.size) == table.tolist()


@pytest.mark.parametrize("name", pictures())
@pytest.mark.parametrize("value", [2, 3])
def test_our_digits_are_cutes_coalesced_form(cute, name, value):
    """Neither merges what the other keeps apart: the normal forms agree digit for digit."""
    made, shape = some_bound(name, value)
    layout = cute_layout(cute, made.bind(shape).digits)
    assert cute.coalesce(layout) == layout
    assert factorize(made.table(shape)).digits == made.bind(shape).digits


@pytest.mark.parametrize("name", pictures())
@pytest.mark.parametrize("value", [2, 3])
def test_cutes_inverses_are_ours(cute, name, value):
    made, shape = some_bound(name, value)
    layout = cute_layout(cute, made.bind(shape).digits)
    inverse = made.inverse().bind(made.out_shape(shape))
    for inverted in (cute.right_inverse(layout), cute.left_inverse(layout)):
        assert values(inverted, cute.size(layout)) == made.inverse().table(made.out_shape(shape)).tolist()
    assert cute.coalesce(cute.right_inverse(layout)) == cute_layout(cute, inverse.digits)


def test_cutes_composition_is_ours(cute):
    draw = random.Random(7)
    names = sorted(pictures())
    compared = 0
    for _ in range(60):
        first, second = (op(draw.choice(names)) for _ in range(2))
        both = first.then(second)
        shape = tuple(both.domain.divisor(axis) * draw.randint(1, 2) for axis in range(3))
        if prod(shape) > 5000 or both.bind(shape).digits is None:
            continue
        inner, outer = (
            cute_layout(cute, first.bind(shape).digits),
            cute_layout(cute, second.bind(first.out_shape(shape)).digits),
        )
        composed = cute.compose(inner, outer)
        assert values(composed, prod(shape)) == both.table(shape).tolist()
        compared += 1
    assert compared > 30


@settings(max_examples=80)
@given(st.lists(st.integers(2, 5), min_size=1, max_size=5), st.data())
def test_cute_agrees_on_random_digits(cute, sizes, data):
    order = data.draw(st.permutations(range(len(sizes))))
    table = np.arange(prod(sizes)).reshape(sizes).transpose(order).reshape(-1)
    strides = [prod(sizes[k + 1 :]) for k in range(len(sizes))]
    written = cute_layout(cute, [(sizes[k], strides[k]) for k in order])
    assert values(written, table.size) == table.tolist()
    assert cute.coalesce(written) == cute.coalesce(cute_layout(cute, factorize(table).digits))
