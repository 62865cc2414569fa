"""`Rearrangement` as a value: its laws, and what it does to arrays of every kind."""

import copy
import importlib.util
import pickle
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layoutbridge import Rearrangement, catalog, op
from layoutbridge.algebra.rearrangement import written_pattern
from layoutbridge.errors import PatternError, ShapeError
from tests.drawn_patterns import rearrangements
from tests.pictures import pictures

NAMES = tuple(pictures())


def entries(*values):
    """Every catalogue entry at every value of its parameter."""
    return [catalog()[name].build_at(v) for name in NAMES for v in values]


def small_shape(made, factor=(1, 1, 1)):
    """The smallest accepted shape, times `factor`."""
    return tuple(made.domain.divisor(axis) * factor[axis] for axis in range(made.rank))


# ---------------------------------------------------------------------------------- shapes and tables


@given(rearrangements(), st.integers(1, 3))
def test_the_table_the_array_and_the_shape_agree(made_and_shape, batch):
    made, shape = made_and_shape
    for full in (shape, (batch, *shape)):
        x = np.random.default_rng(0).permutation(prod(full)).reshape(full)
        y, table = made(x), made.table(full)
        assert table.dtype == np.int64 and table.shape == (x.size,)
        assert y.shape == made.out_shape(full) and y.flags.c_contiguous and not np.shares_memory(x, y)
        np.testing.assert_array_equal(y.ravel(), x.ravel()[table])
        np.testing.assert_array_equal(np.sort(table), np.arange(x.size))


@pytest.mark.parametrize("made", entries(2, 3), ids=lambda made: made.label)
def test_a_batch_is_many_items(made):
    shape = small_shape(made, (1, 2, 3))
    x = np.random.default_rng(1).standard_normal((3, *shape))
    np.testing.assert_array_equal(made(x), np.stack([made(item) for item in x]))
    assert made.out_shape((3, *shape)) == (3, *made.out_shape(shape))


@pytest.mark.parametrize("made", entries(1, 2, 3, 5), ids=lambda made: made.label)
def test_every_entry_is_a_permutation_that_its_inverse_undoes(made):
    shape = small_shape(made, (1, 2, 1))
    if prod(shape) > 100_000:
        shape = small_shape(made)
    back = made.inverse()
    x = np.arange(prod(shape)).reshape(shape)
    y = made(x)
    assert back.out_shape(y.shape) == shape
    np.testing.assert_array_equal(back(y), x)
    np.testing.assert_array_equal(np.argsort(made.table(shape)), back.table(y.shape))
    assert made.then(back).is_identity and back.then(made).is_identity
    assert back.inverse() == made and hash(back.inverse()) == hash(made)


def test_parameters_of_one_move_nothing():
    for made in entries(1):
        if made.parameters:
            assert made.is_identity, made.label


def test_a_shape_may_be_any_sequence_of_integers():
    made = op("space_to_depth")
    for shape in ([1, 2, 4], np.array([1, 2, 4]), (np.int8(1), np.uint16(2), 4)):
        assert made.out_shape(shape) == (4, 1, 2)
        assert all(type(length) is int for length in made.out_shape(shape))


@pytest.mark.parametrize(
    ("shape", "what"),
    [
        ((4, 3, 4), "H = 3 is not a multiple of 2"),
        ((4, 4, 7), "W = 7 is not a multiple of 2"),
        ((2, 4, 4, 5), "W = 5 is not a multiple of 2"),
        ((0, 4, 4), "at least 1"),
        ((4, 0, 4), "at least 1"),
        ((0, 4, 4, 4), "at least 1"),
        ((-4, 4, 4), "at least 1"),
        ((2**62, 2, 2), "more than the 2^63 - 1"),
        ((2**63, 1, 1), "more than the 2^63 - 1"),
        ((10**30, 2, 2), "more than the 2^63 - 1"),
        ((10**5000, 2, 2), "more than the 2^63 - 1"),
        ((-(10**5000), 2, 2), "at least 1"),
        ((4.0, 4, 4), "whole numbers"),
        ((4, 4, float("nan")), "whole numbers"),
        (("4", "4", "4"), "whole numbers"),
        ("444", "whole numbers"),
        ((4, 4, None), "whole numbers"),
        ((True, 4, 4), "whole numbers"),
        ((np.True_, 4, 4), "whole numbers"),
        ((4, 4, [4]), "whole numbers"),
        (4, "whole numbers"),
        (None, "whole numbers"),
        (np.zeros((3, 3)), "whole numbers"),
        ((), "takes 3 axes [C, H, W], or 4 with a batch axis in front, and shape () has 0"),
        ((4,), "has 1"),
        ((4, 4), "has 2"),
        ((1, 1, 4, 4, 4), "has 5"),
        ((1,) * 100_000, "has 100000"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_unusable_shape_is_refused_in_one_line_with_the_numbers(shape, what):
    made = op("space_to_depth")
    for call in (made.bind, made.out_shape, made.table):
        with pytest.raises(ShapeError) as error:
            call(shape)
        message = str(error.value)
        assert what in message and "space_to_depth (stride 2)" in message
        assert "\n" not in message and len(message) < 700


def test_a_fixed_length_is_wanted_exactly():
    made = Rearrangement("a (b c) -> c b a", b=2, c=3)
    assert made.out_shape((5, 6)) == (3, 2, 5)
    with pytest.raises(ShapeError, match="= 12 must be 6"):
        made.table((5, 12))


def test_tables_are_fresh_and_writeable():
    made = op("nchw_to_nhwc")
    first = made.table((2, 3, 4))
    first[:] = 0
    assert made.table((2, 3, 4)).max() == 23


def test_a_table_beyond_memory_is_refused_but_its_shape_is_known():
    made, shape = op("space_to_depth"), (2**20, 2**20, 2**20)
    assert made.out_shape(shape) == (2**22, 2**19, 2**19)
    with pytest.raises(ShapeError, match="GiB"):
        made.table(shape)


# ---------------------------------------------------------------------------------- then, inverse, equality


@settings(max_examples=60)
@given(rearrangements(), rearrangements())
def test_then_is_one_call_after_the_other(first_and_shape, second_and_shape):
    first, shape = first_and_shape
    second, _ = second_and_shape
    x = np.arange(prod(shape)).reshape(shape)
    try:
        expected = second(first(x))
    except ShapeError:
        return
    both = first.then(second)
    np.testing.assert_array_equal(both(x), expected)
    np.testing.assert_array_equal(both.table(shape), expected.ravel())
    assert both.out_shape(shape) == expected.shape
    batch = np.stack([x, x + x.size])
    np.testing.assert_array_equal(both(batch), second(first(batch)))
    out = np.empty_like(expected)
    assert both(x, out=out) is out
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("stride", [2, 3])
def test_then_over_all_pairs_of_the_catalogue(stride):
    compared = 0
    for a, b in product(entries(stride), repeat=2):
        both = a.then(b)
        shape = small_shape(both)
        if prod(shape) > 400_000:
            continue
        x = np.arange(prod(shape), dtype=np.int32).reshape(shape)
        expected = b(a(x))
        assert both.out_shape(shape) == expected.shape
        np.testing.assert_array_equal(both(x), expected, err_msg=f"{a.label} then {b.label}")
        np.testing.assert_array_equal(both.table(shape), expected.ravel(), err_msg=f"{a.label} then {b.label}")
        compared += 1
    assert compared > 300


@pytest.mark.parametrize("stride", [2, 3])
def test_then_accepts_exactly_the_shapes_that_both_accept(stride):
    shapes = [tuple(k + 1 for k in index) for index in np.ndindex(9, 6, 6)]
    for a, b in [
        (op("space_to_depth", stride=stride), op("channel_shuffle", groups=3)),
        (op("depth_to_space", stride=stride), op("space_to_depth", stride=stride + 1)),
        (op("darknet_reorg", stride=stride), op("darknet_reorg_reverse", stride=stride)),
        (op("nchw_to_nhwc"), op("space_to_depth", stride=stride)),
    ]:
        both = a.then(b)
        for shape in shapes:
            try:
                expected = b.out_shape(a.out_shape(shape))
            except ShapeError:
                with pytest.raises(ShapeError):
                    both.out_shape(shape)
            else:
                assert both.out_shape(shape) == expected


@settings(max_examples=60)
@given(rearrangements())
def test_the_inverse_undoes_where_the_shape_tells_it(made_and_shape):
    made, shape = made_and_shape
    x = np.arange(prod(shape)).reshape(shape)
    try:
        back = made.inverse()
    except PatternError as error:
        assert "does not tell its parts" in str(error)
        assert len(str(error).splitlines()) == 1
        return
    np.testing.assert_array_equal(back(made(x)), x)
    assert back.inverse() == made
    assert made.then(back).is_identity
    for refused in np.ndindex(6, 6, 6):
        result = tuple(k + 1 for k in refused)
        try:
            source = back.out_shape(result)
        except ShapeError:
            continue
        assert made.out_shape(source) == result


def test_an_inverse_that_the_shape_does_not_tell_is_refused():
    with pytest.raises(PatternError, match=r"length A\*B does not tell its parts"):
        Rearrangement("a b -> (b a)").inverse()
    told = Rearrangement("a b -> (b a)", b=3).inverse()
    assert told.out_shape((12,)) == (4, 3)


def test_compositions_without_a_common_cut_are_chains_and_still_right():
    up, down = op("depth_to_space", stride=2), op("space_to_depth", stride=3)
    both = up.then(down)
    assert len(both.steps) == 2
    shape = (8, 6, 3)
    x = np.arange(prod(shape)).reshape(shape)
    np.testing.assert_array_equal(both(x), down(up(x)))
    np.testing.assert_array_equal(both.table(shape), down(up(x)).ravel())
    np.testing.assert_array_equal(both.inverse()(both(x)), x)
    assert both.then(both.inverse()).is_identity
    assert both.bind(shape).digits is None
    shuffled = op("space_to_depth", stride=2).then(op("channel_shuffle", groups=3))
    x = np.arange(6 * 4 * 2).reshape(6, 4, 2)
    expected = op("channel_shuffle", groups=3)(op("space_to_depth")(x))
    np.testing.assert_array_equal(shuffled(x), expected)
    np.testing.assert_array_equal(shuffled(x[None])[0], expected)
    np.testing.assert_array_equal(shuffled(x, out=np.empty_like(expected)), expected)


@pytest.mark.parametrize("following", ["depth_to_space", "channel_shuffle", "nchw_to_nhwc", "darknet_reorg"])
def test_then_is_associative_also_where_chains_are_cut_differently(following):
    first = ("darknet_reorg", "depth_to_space", "space_to_depth", "focus", "nchw_to_nhwc")
    for a, b in product([*map(op, first), op("channel_shuffle", groups=3)], entries(2)):
        c = op(following)
        left, right = a.then(b).then(c), a.then(b.then(c))
        assert left == right, f"{a.label}, {b.label}, {c.label}"
        assert hash(left) == hash(right)


def test_then_refuses_what_cannot_follow():
    space, flat = op("space_to_depth"), Rearrangement("c h w -> (c h w)")
    with pytest.raises(ShapeError, match="gives 1 axes and the second takes 3"):
        flat.then(space)
    with pytest.raises(ShapeError, match="must be 3 for the second"):
        Rearrangement("c (h p) -> c h p", p=2).then(Rearrangement("a b c -> c b a", c=3))
    with pytest.raises(ShapeError, match="must be 3 for the second"):
        Rearrangement("c (h p) -> (c p) h", p=2).then(Rearrangement("a b -> b a", a=3))
    with pytest.raises(ShapeError, match="no shape fits both"):
        Rearrangement("c h -> h c", h=3).then(Rearrangement("(h p) c -> h p c", p=2))


def test_then_fixes_lengths_that_the_second_wants():
    both = Rearrangement("c (h p) -> (p c) h", p=2).then(Rearrangement("c h -> h c", c=6))
    assert both.out_shape((3, 8)) == (4, 6)
    with pytest.raises(ShapeError, match="C = 4 must be 3"):
        both.out_shape((4, 8))


def test_equality_is_by_meaning():
    assert op("darknet_reorg3d") == op("space_to_depth") == op("leimao_reorg") == op("focus_row_major")
    assert len({op("darknet_reorg3d"), op("space_to_depth"), op("leimao_reorg"), op("focus")}) == 2
    assert op("space_to_depth", stride=2) != op("space_to_depth", stride=3)
    assert op("darknet_flatten") != op("nchw_to_nhwc"), "the same order under another shape"
    assert op("space_to_depth") != "space_to_depth"
    assert op("space_to_depth").__eq__(3) is NotImplemented
    a, b = Rearrangement("a b -> b a"), Rearrangement("a b -> b a", a=3)
    assert a != b, "they take different shapes"


@settings(max_examples=60)
@given(rearrangements(), rearrangements())
def test_equal_rearrangements_have_equal_tables_and_hashes(one, other):
    (a, shape), (b, _) = one, other
    try:
        tables = a.table(shape).tolist(), b.table(shape).tolist()
    except ShapeError:
        return
    if a == b:
        assert hash(a) == hash(b)
        assert tables[0] == tables[1] and a.out_shape(shape) == b.out_shape(shape)


@settings(max_examples=80)
@given(rearrangements())
def test_the_written_pattern_reads_as_the_same_rearrangement(made_and_shape):
    made, shape = made_and_shape
    again = Rearrangement(written_pattern(made))
    assert again == made and hash(again) == hash(made)
    np.testing.assert_array_equal(again.table(shape), made.table(shape))
    assert again.out_shape(shape) == made.out_shape(shape)


@pytest.mark.parametrize("stride", [2, 3])
def test_written_patterns_of_the_catalogue_its_inverses_and_pairs_read_back(stride):
    for a, b in product(entries(stride), repeat=2):
        for made in (a, a.inverse(), a.then(b)):
            if len(made.steps) <= 1:
                again = Rearrangement(made.pattern)
                assert again == made, made.label
                assert Rearrangement(written_pattern(made)) == made


def test_a_rearrangement_cannot_be_changed():
    made = op("space_to_depth")
    for attribute in ("name", "steps", "domain", "pattern", "axes", "anything"):
        with pytest.raises(AttributeError, match="immutable"):
            setattr(made, attribute, None)
        with pytest.raises(AttributeError, match="immutable"):
            delattr(made, attribute)


@pytest.mark.parametrize(
    "made",
    [*entries(2), op("depth_to_space").then(op("space_to_depth", stride=3)), op("darknet_reorg").inverse()],
    ids=lambda made: made.label[:40],
)
def test_copies_and_pickles_are_equal_and_work(made):
    x = np.arange(prod(small_shape(made))).reshape(small_shape(made))
    expected = made(x)  # also fills its caches
    clones = [copy.copy(made), copy.deepcopy(made)]
    clones += [pickle.loads(pickle.dumps(made, protocol)) for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1)]
    for clone in clones:
        assert clone == made and hash(clone) == hash(made)
        assert (clone.name, clone.parameters, clone.pattern, clone.label) == (
            made.name,
            made.parameters,
            made.pattern,
            made.label,
        )
        np.testing.assert_array_equal(clone(x), expected)
        with pytest.raises(AttributeError):
            clone.name = "other"
    if made.name == "darknet_reorg":
        with pytest.raises(ShapeError, match="Darknet itself divides by zero"):
            clones[-1].table((1, 2, 2))


def test_a_rearrangement_shows_its_name_and_pattern():
    assert repr(op("focus")) == "<Rearrangement focus: c (h p:s) (w q:s) -> (q p c) h w, s=2>"
    assert op("focus").label == "focus (stride 2)"
    assert op("nchw_to_nhwc").label == "nchw_to_nhwc"
    assert repr(Rearrangement("a b -> b a")) == "<Rearrangement a b -> b a>"


# ---------------------------------------------------------------------------------- arrays

RECORD = np.dtype([("x", np.float32), ("y", np.int16), ("tag", "S3")])
DTYPES = [
    *[np.dtype(code) for code in "?bBhHiIlLqQefdgFDG"],
    np.dtype(">f4"),
    np.dtype(">i8"),
    np.dtype("S5"),
    np.dtype("U3"),
    np.dtype("V7"),
    np.dtype("M8[s]"),
    np.dtype("m8[ns]"),
    RECORD,
    np.dtype([("pair", np.float64, (2, 3))]),
]
if importlib.util.find_spec("ml_dtypes"):
    import ml_dtypes

    DTYPES += [
        np.dtype(getattr(ml_dtypes, name)) for name in ("bfloat16", "float8_e4m3fn", "float8_e5m2", "int4", "uint4")
    ]


def filled(shape, dtype):
    """An array of raw bytes read as `dtype`, so that also NaNs and padding must survive."""
    raw = np.random.default_rng(2).integers(0, 2 if dtype.kind == "b" else 256, prod(shape) * dtype.itemsize, np.uint8)
    if dtype.kind == "U":
        return np.array([chr(65 + k % 50) * (k % 4) for k in range(prod(shape))], dtype).reshape(shape)
    return np.frombuffer(raw.tobytes(), dtype).reshape(shape)


def raw_bytes(x):
    return np.ascontiguousarray(x).view(f"V{x.dtype.itemsize}" if x.dtype.itemsize > 1 else np.uint8)


@pytest.mark.parametrize(
    "name", ["space_to_depth", "darknet_reorg", "nchw_to_nhwc", "channel_shuffle", "pixel_shuffle"]
)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_dtype_moves_byte_for_byte(name, dtype):
    made = op(name)
    for shape in ((4, 4, 6), (2, 8, 2, 4), (1, 4, 34, 66)):
        x = filled(shape, dtype)
        table = made.table(shape)
        y = made(x)
        assert y.dtype == x.dtype and y.shape == made.out_shape(shape)
        np.testing.assert_array_equal(raw_bytes(y).ravel(), raw_bytes(x).ravel()[table])
        out = np.zeros(y.shape, dtype)
        assert made(x, out=out) is out
        np.testing.assert_array_equal(raw_bytes(out), raw_bytes(y))


def test_objects_and_strings_move_and_are_counted():
    made = op("space_to_depth")
    token = object()
    x = np.empty((1, 4, 4), object)
    x[:] = "other"
    x[0, 1, 2] = token
    held = sys.getrefcount(token)
    y = made(x)
    assert sys.getrefcount(token) == held + 1
    assert [item for item in y.ravel() if item is token] == [token]
    del y
    assert sys.getrefcount(token) == held
    words = np.array([f"word {k} of any length {'x' * k}" for k in range(16)], np.dtypes.StringDType()).reshape(1, 4, 4)
    assert made(words).ravel().tolist() == words.ravel()[made.table((1, 4, 4))].tolist()


def strided_views(x):
    """The same values in other memory layouts."""
    yield "fortran", np.asfortranarray(x)
    yield "negative", np.ascontiguousarray(x[..., ::-1])[..., ::-1]
    yield "negative first", np.ascontiguousarray(x[::-1])[::-1]
    wide = np.zeros((*x.shape[:-1], 2 * x.shape[-1]), x.dtype)
    wide[..., ::2] = x
    yield "every other", wide[..., ::2]
    yield (
        "transposed",
        np.ascontiguousarray(np.moveaxis(x, -3, -1)).transpose(*range(x.ndim - 3), x.ndim - 1, x.ndim - 3, x.ndim - 2),
    )
    packed = np.zeros(x.shape, np.dtype([("pad", np.uint8), ("value", x.dtype)]))
    packed["value"] = x
    yield "unaligned", packed["value"]
    frozen = x.copy()
    frozen.flags.writeable = False
    yield "read-only", frozen
    yield "matrix of bytes", np.frombuffer(x.tobytes(), x.dtype).reshape(x.shape)


@pytest.mark.parametrize("made", entries(2), ids=lambda made: made.label)
@pytest.mark.parametrize("shape", [(16, 4, 6), (3, 16, 6, 4), (2, 16, 32, 64)], ids=str)
def test_any_strides_in_and_out(made, shape):
    x = np.random.default_rng(3).standard_normal(shape).astype(np.float32)
    expected = x.ravel()[made.table(shape)].reshape(made.out_shape(shape))
    for kind, view in strided_views(x):
        before = view.copy()
        np.testing.assert_array_equal(made(view), expected, err_msg=kind)
        np.testing.assert_array_equal(view, before, err_msg=f"{kind}: the input was changed")
        for kind_out, target in strided_views(np.zeros_like(expected)):
            if target.flags.writeable:
                assert made(view, out=target) is target
                np.testing.assert_array_equal(target, expected, err_msg=f"{kind} into {kind_out}")


def test_broadcast_views_are_read_right():
    made = op("darknet_reorg")
    x = np.broadcast_to(np.arange(6, dtype=np.int16), (4, 4, 6))
    np.testing.assert_array_equal(made(x), made(x.copy()))
    same = np.broadcast_to(np.float32(3), (2, 4, 4, 6))
    np.testing.assert_array_equal(made(same), np.full((2, 16, 2, 3), 3, np.float32))


@pytest.mark.parametrize("name", ["darknet_flatten", "channel_shuffle", "darknet_unflatten"])
@pytest.mark.parametrize("shape", [(4, 3, 5), (2, 8, 40, 60)], ids=str)
def test_out_may_be_the_input_itself_or_overlap_it(name, shape):
    made = op(name)
    x = np.random.default_rng(4).standard_normal(shape).astype(np.float32)
    expected = made(x)
    inside = x.copy()
    assert made(inside, out=inside) is inside
    np.testing.assert_array_equal(inside, expected)
    room = np.zeros(x.size + 3, np.float32)
    room[: x.size] = x.ravel()
    made(room[: x.size].reshape(shape), out=room[3:].reshape(shape))
    np.testing.assert_array_equal(room[3:].reshape(shape), expected)


def test_an_out_that_does_not_fit_is_refused_with_what_is_wanted():
    made, x = op("space_to_depth"), np.zeros((1, 2, 4), np.float32)
    frozen = np.zeros((4, 1, 2), np.float32)
    frozen.flags.writeable = False
    wrong = [
        np.zeros((4, 2, 1), np.float32),
        np.zeros((1, 4, 1, 2), np.float32),
        np.zeros((4, 1, 2), np.float64),
        np.zeros((4, 1, 2), ">f4"),
        np.zeros(8, np.float32),
        frozen,
        [[0.0] * 8],
        "out",
        7,
    ]
    for out in wrong:
        with pytest.raises(ShapeError, match=r"out must be a writable NumPy array float32\[4, 1, 2\], not"):
            made(x, out=out)


@pytest.mark.parametrize(
    "x",
    [
        None,
        3,
        "text",
        [[[1, 2], [3, 4]]],
        b"1234",
        np.float32(2),
        memoryview(b"1234"),
        np.ma.zeros((1, 2, 2)),
        object(),
    ],
    ids=lambda x: type(x).__name__,
)
def test_what_is_no_plain_array_is_refused(x):
    with pytest.raises(ShapeError) as error:
        op("space_to_depth")(x)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("shape", [(), (4,), (2, 2), (1, 1, 1, 2, 2), (0, 2, 2), (1, 0, 2), (1, 3, 2)])
def test_an_array_of_another_rank_or_without_elements_is_refused(shape):
    with pytest.raises(ShapeError):
        op("space_to_depth")(np.zeros(shape))


def test_subclasses_of_arrays_are_taken_as_arrays(tmp_path):
    made = op("space_to_depth")
    x = np.arange(8, dtype=np.int32).reshape(1, 2, 4)
    mapped = np.memmap(tmp_path / "x.bin", np.int32, "w+", shape=(1, 2, 4))
    mapped[:] = x
    np.testing.assert_array_equal(made(mapped), made(x))
    target = np.memmap(tmp_path / "y.bin", np.int32, "w+", shape=(4, 1, 2))
    assert made(mapped, out=target) is target
    np.testing.assert_array_equal(np.fromfile(tmp_path / "y.bin", np.int32), made(x).ravel())
    assert type(made(x.view(np.recarray))) is np.ndarray


def test_many_shapes_do_not_pile_up():
    made = Rearrangement("a b -> b a")
    for length in range(1, 700):
        x = np.arange(2 * length).reshape(2, length)
        np.testing.assert_array_equal(made(x), x.T)
    assert len(made._copiers) <= 256


def test_one_rearrangement_serves_many_threads():
    made = Rearrangement("c (h p) (w q) -> (p q c) h w", p=2, q=2)
    shapes = [(c, 2 * h, 4) for c in range(1, 30) for h in range(1, 30)]

    def right(shape):
        x = np.arange(prod(shape)).reshape(shape)
        return np.array_equal(made(x).ravel(), made.table(shape))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(right, shapes))
