"""The catalogue: its names, parameters and claims, and entries of one's own."""

import copy
import pickle
import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Barrier, Event

import numpy as np
import pytest

from layoutbridge import Rearrangement, catalog, op, prove, register, unregister
from layoutbridge.errors import LayoutBridgeError, ParameterError, PatternError, UnknownNameError
from layoutbridge.operations.catalog import entry
from layoutbridge.operations.entry import CatalogEntry
from layoutbridge.recognition.naming import Match, matches, names_at

WITH_STRIDE = [
    "darknet_reorg",
    "darknet_reorg_reverse",
    "darknet_reorg3d",
    "darknet_reorg3d_reverse",
    "space_to_depth",
    "space_to_depth_crd",
    "depth_to_space",
    "depth_to_space_crd",
    "pixel_shuffle",
    "pixel_unshuffle",
    "focus",
    "focus_row_major",
    "leimao_reorg",
    "leimao_reorg_reverse",
]
WITHOUT_PARAMETERS = ["darknet_flatten", "darknet_unflatten"]
TRANSPOSES = ["nchw_to_nhwc", "nhwc_to_nchw"]
PROMISED = [*WITH_STRIDE, *WITHOUT_PARAMETERS, *TRANSPOSES, "channel_shuffle"]


@pytest.fixture
def registered():
    """Registers entries, and takes them out again."""
    names = []

    def add(name, pattern, **more):
        made = register(name, pattern, **more)
        names.append(name)
        return made

    yield add
    for name in names:
        if name in catalog():
            unregister(name)


def test_every_promised_name_is_there_and_no_other():
    assert set(catalog()) >= set(PROMISED)


@pytest.mark.parametrize("name", PROMISED)
def test_every_entry_says_what_it_is(name):
    found = catalog()[name]
    assert found.name == name and found == entry(name)
    for text in (found.summary, found.provenance, found.pattern):
        assert text and len(text.splitlines()) == 1
    assert op(name).name == name
    assert name in repr(op(name)) and name in op(name).label


@pytest.mark.parametrize("name", WITH_STRIDE)
def test_stride_is_two_unless_given(name):
    assert op(name).parameters == (("stride", 2),)
    assert op(name) == op(name, stride=2) != op(name, stride=3)
    assert op(name, stride=np.int64(3)).parameters == (("stride", 3),)
    with pytest.raises(ParameterError, match=re.escape(f"{name} does not take groups=2; it takes stride")):
        op(name, groups=2)


def test_channel_shuffle_takes_groups():
    assert op("channel_shuffle").parameters == (("groups", 2),)
    assert op("channel_shuffle", groups=3).table((6, 1, 1)).tolist() == [0, 2, 4, 1, 3, 5]
    with pytest.raises(ParameterError, match="channel_shuffle does not take stride=2; it takes groups"):
        op("channel_shuffle", stride=2)


@pytest.mark.parametrize("name", WITHOUT_PARAMETERS)
def test_entries_without_parameters_take_none(name):
    assert op(name).parameters == () and op(name).label == name
    with pytest.raises(ParameterError, match=f"{name} does not take stride=2; it takes no parameter"):
        op(name, stride=2)


@pytest.mark.parametrize("name", TRANSPOSES)
def test_transposes_take_no_stride(name):
    assert op(name).parameters == () and op(name).label == name
    with pytest.raises(ParameterError, match=f"{name} does not take stride=2; it takes spatial"):
        op(name, stride=2)


@pytest.mark.parametrize(
    "value",
    [0, -1, 2**63, 10**30, 10**5000, 2.0, "2", None, True, False, [2], (2,), float("inf")],
    ids=lambda value: type(value).__name__,
)
def test_a_parameter_out_of_range_is_refused_whatever_was_asked_before(value):
    for good in (1, 2):  # what is remembered for 1 and 2 must not answer for True and 2.0
        op("space_to_depth", stride=good)
        op("channel_shuffle", groups=good)
    for name, parameter in (("space_to_depth", "stride"), ("channel_shuffle", "groups")):
        with pytest.raises(ParameterError) as error:
            op(name, **{parameter: value})
        message = str(error.value)
        assert f"{parameter} of {name} must be" in message
        assert len(message.splitlines()) == 1 and len(message) < 300
        with pytest.raises(ParameterError):
            catalog()[name].build(**{parameter: value})


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("darknet_rorg", "darknet_reorg"),
        ("space-to-depth", "space_to_depth"),
        ("pixelshuffle", "pixel_shuffle"),
        ("Focus", "focus"),
        ("nchw2nhwc", "nchw_to_nhwc"),
        ("chanel_shuffle", "channel_shuffle"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(wrong, right):
    with pytest.raises(UnknownNameError, match=f"did you mean .*{right}") as error:
        op(wrong)
    assert repr(wrong) in str(error.value)


@pytest.mark.parametrize("wrong", ["", "zzzzzz", "x" * 10**5, None, 5, ["focus"], b"focus", {"focus"}, "focus\n", "🙂"])
def test_a_name_like_no_other_is_answered_with_all_in_one_line(wrong):
    with pytest.raises(UnknownNameError) as error:
        op(wrong)
    assert len(str(error.value).splitlines()) == 1 and len(str(error.value)) < 700


def names_in(text):
    """The catalogue's names in a sentence, the longest spelling first."""
    return [name for name in re.findall(r"\w+", text) if name in catalog()]


@pytest.mark.parametrize("name", PROMISED)
def test_what_an_entry_is_said_to_equal_is_proved(name):
    said = catalog()[name].equals
    plain = said.split(";")[0]
    if plain.startswith("the inverse of "):
        (other,) = names_in(plain)
        assert prove(op(name), op(other).inverse()).for_all_sizes
    elif plain.endswith("under another shape"):
        (other,) = names_in(plain)
        assert "under another shape" in prove(op(name), op(other)).explain()
    elif " of the input seen as " in plain:
        check_views(name, plain)
    elif name == "focus":
        check_the_blocks_of_focus()
    else:
        assert bool(names_in(plain)) == bool(plain)
        for other in names_in(plain):
            for stride in (2, 3):
                assert prove(op(name, stride=stride), op(other, stride=stride)).for_all_sizes
    for clause in said.split(";")[1:]:
        check_clause(name, clause.strip())


def check_clause(name, clause):
    if clause.startswith("the inverse of "):
        (other,) = names_in(clause)
        assert prove(op(name), op(other).inverse()).for_all_sizes
    elif clause.startswith("undone by "):
        (other,) = names_in(clause)
        assert op(name).then(op(other)).is_identity
    elif clause.startswith("undoes "):
        undone, kept = names_in(clause)
        assert op(undone).then(op(name)).is_identity and not op(kept).then(op(name)).is_identity
    else:
        assert clause == "nothing else"
        others = [other for other in PROMISED if other != name and prove(op(name), op(other))]
        assert others == []


def check_views(name, plain):
    """What equals another entry once the flat input gets another shape."""
    views = {
        "darknet_reorg": ("space_to_depth of the input seen as [C/s², H·s, W·s]", "space_to_depth"),
        "darknet_unflatten": ("nhwc_to_nchw of the input seen as [H, W, C]", "nhwc_to_nchw"),
    }
    said, other = views[name]
    assert plain == said
    for s in (2, 3):
        c, h, w = 2 * s * s, 4 * s, 3 * s
        seen = (h, w, c) if name == "darknet_unflatten" else (c // s**2, h * s, w * s)
        made, like = (catalog()[n].build_at(s) for n in (name, other))
        np.testing.assert_array_equal(made.table((c, h, w)), like.table(seen))


def check_the_blocks_of_focus():
    x = np.random.default_rng(0).standard_normal((3, 4, 6))
    blocks = op("space_to_depth")(x).reshape(4, 3, 2, 3)
    np.testing.assert_array_equal(op("focus")(x), blocks[[0, 2, 1, 3]].reshape(12, 2, 3))


@pytest.mark.parametrize("name", PROMISED)
def test_equal_entries_are_named_by_each_other(name):
    """Where two entries prove equal at a stride above 1, each says so, or the other does."""
    made = op(name)
    for other in PROMISED:
        if other != name and prove(made, op(other)):
            assert other in names_in(catalog()[name].equals) or shares_a_claim(name, other)


def shares_a_claim(name, other):
    return bool({*names_in(catalog()[name].equals), name} & {*names_in(catalog()[other].equals), other})


def test_focus_is_the_concatenation_of_its_slices():
    x = np.random.default_rng(1).standard_normal((2, 3, 6, 8))
    slices = [x[..., ::2, ::2], x[..., 1::2, ::2], x[..., ::2, 1::2], x[..., 1::2, 1::2]]
    np.testing.assert_array_equal(op("focus")(x), np.concatenate(slices, axis=1))
    np.testing.assert_array_equal(op("focus_row_major")(x), np.concatenate([slices[k] for k in (0, 2, 1, 3)], axis=1))


def test_layout_transposes_are_numpys():
    x = np.random.default_rng(2).standard_normal((2, 3, 4, 5))
    np.testing.assert_array_equal(op("nchw_to_nhwc")(x), x.transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(op("nhwc_to_nchw")(x), x.transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(op("darknet_flatten")(x), x.transpose(0, 2, 3, 1).reshape(x.shape))


def test_the_catalogue_cannot_be_written_to():
    with pytest.raises(TypeError):
        catalog()["mine"] = catalog()["focus"]
    with pytest.raises(TypeError):
        catalog()["focus"].parameters["stride"] = 3
    with pytest.raises(AttributeError):
        catalog()["focus"].pattern = "a -> a"


# ---------------------------------------------------------------------------------- one's own entries


def test_a_registered_entry_is_known_by_name_everywhere(registered):
    made = registered("column_blocks", "c (h p:s) (w q:s) -> (c q p) h w", stride=2, summary="mine", provenance="here")
    assert isinstance(made, CatalogEntry) and catalog()["column_blocks"] is made
    assert (made.summary, made.provenance) == ("mine", "here")
    assert op("column_blocks").parameters == (("stride", 2),)
    assert op("column_blocks", stride=3).out_shape((2, 6, 9)) == (18, 2, 3)
    assert not prove(op("column_blocks"), op("space_to_depth_crd"))
    bound = op("column_blocks").bind((3, 4, 6))
    assert names_at(2, bound.digits, bound.in_shape, bound.out_shape) == ("column_blocks",)
    with pytest.raises(UnknownNameError, match="column_blocks"):
        op("column_block")
    unregister("column_blocks")
    assert "column_blocks" not in catalog()
    with pytest.raises(UnknownNameError):
        op("column_blocks")


def test_a_name_registered_anew_is_the_new_one_everywhere(registered):
    registered("mine", "c h w -> w h c")
    old = op("mine").bind((2, 3, 4))
    assert "mine" in names_at(2, old.digits, old.in_shape, old.out_shape)
    unregister("mine")
    registered("mine", "c h w -> h c w")
    new = op("mine").bind((2, 3, 4))
    assert new.out_shape == (3, 2, 4)
    assert "mine" not in names_at(2, old.digits, old.in_shape, old.out_shape)
    assert "mine" in names_at(2, new.digits, new.in_shape, new.out_shape)


def test_registered_entries_take_groups_and_defaults(registered):
    registered("halves", "(c k:g) h w -> (k c) h w", groups=4)
    assert op("halves").parameters == (("groups", 4),)
    assert prove(op("halves"), op("channel_shuffle", groups=4).inverse()).for_all_sizes
    registered("as_written", "c (h s) w -> (s c) h w", stride=3)
    assert op("as_written").out_shape((1, 6, 1)) == (3, 2, 1)


@pytest.mark.parametrize(
    ("name", "pattern", "parameters", "error", "what"),
    [
        ("focus", "a b -> b a", {}, ParameterError, "in the catalogue already"),
        ("two words", "a b -> b a", {}, ParameterError, "letters, digits and underscores"),
        ("", "a b -> b a", {}, ParameterError, "letters, digits and underscores"),
        ("2d", "a b -> b a", {}, ParameterError, "letters, digits and underscores"),
        (None, "a b -> b a", {}, ParameterError, "letters, digits and underscores"),
        ("mine", "a b -> b", {}, PatternError, "missing on the right"),
        ("mine", None, {}, PatternError, "a pattern is text"),
        ("mine", "c (h p:s) -> c p h", {}, PatternError, "the name s has no size"),
        ("mine", "a b -> b a", {"stride": 2}, ParameterError, "a length is given for s"),
        ("mine", "c (h p:s) -> c p h", {"stride": 0}, ParameterError, "between 1 and"),
        ("mine", "c (h p:s) -> c p h", {"stride": 2.5}, ParameterError, "whole number"),
        ("mine", "c (h p:s) -> c p h", {"block": 2}, PatternError, "the name s has no size"),
    ],
)
def test_an_unusable_registration_changes_nothing(name, pattern, parameters, error, what):
    before = dict(catalog())
    with pytest.raises(error) as raised:
        register(name, pattern, **parameters)
    assert what in str(raised.value) and len(str(raised.value).splitlines()) == 1
    assert dict(catalog()) == before


def test_built_in_entries_stay():
    for name in PROMISED:
        with pytest.raises(ParameterError, match="built in and stays"):
            unregister(name)
    with pytest.raises(UnknownNameError):
        unregister("never_there")


def test_a_registered_operation_survives_pickling_under_its_name(registered):
    registered("mine", "c (h p:s) w -> (c p) h w", stride=2)
    made = op("mine", stride=3)
    for clone in (copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        assert clone == made and clone.label == "mine (stride 3)"


# ---------------------------------------------------------------------------------- names of a permutation


@pytest.mark.parametrize("name", PROMISED)
@pytest.mark.parametrize("value", [2, 3])
def test_an_entry_is_found_again_by_its_digits(name, value):
    made = catalog()[name].build_at(value)
    parameters = dict(made.parameters)
    shape = tuple(made.domain.divisor(axis) * k for axis, k in enumerate((2, 2, 3)))
    bound = made.bind(shape)
    found = matches(bound.digits, bound.in_shape, bound.out_shape)
    assert Match(name, parameters) in found
    for match in found:
        assert np.array_equal(match.op.table(shape), made.table(shape)), str(match)
        assert match.op.out_shape(shape) == made.out_shape(shape)
    equal = {
        other
        for other in PROMISED
        if set(dict(op(other).parameters)) == set(parameters) and prove(made, op(other, **parameters))
    }
    assert equal <= {match.name for match in found}
    assert names_at(value, bound.digits, bound.in_shape, bound.out_shape)


def test_nothing_is_found_for_digits_of_no_entry():
    bound = Rearrangement("c h w -> w h c").bind((2, 3, 5))
    assert matches(bound.digits, bound.in_shape, bound.out_shape) == ()
    assert names_at(2, bound.digits, bound.in_shape, bound.out_shape) == ()


def test_every_error_of_the_catalogue_is_of_one_family():
    for error in (ParameterError, PatternError, UnknownNameError):
        assert issubclass(error, LayoutBridgeError)


# ---------------------------------------------------------------------- threads


def test_threads_register_use_and_unregister():
    """What a name stands for is never what it stood for before, and nobody stumbles over another's registration."""
    patterns = ["c h w -> h w c", "c h w -> w c h", "c h w -> w h c"]
    start, done = Barrier(4), Event()

    def registers(number):
        start.wait()
        for turn in range(200):
            pattern = patterns[turn % len(patterns)]
            register(f"own_{number}", pattern)
            assert op(f"own_{number}") == Rearrangement(pattern)
            unregister(f"own_{number}")

    def looks(_):
        start.wait()
        wanted = Rearrangement("c h w -> h w c")
        while not done.is_set():
            for name in ("own_0", "own_1"):
                with suppress(UnknownNameError):
                    op(name)
            names = matches(wanted.bind((2, 3, 5)).digits, (2, 3, 5), (3, 5, 2))
            assert "nchw_to_nhwc" in {match.name for match in names}

    with ThreadPoolExecutor(4) as pool:
        looking = [pool.submit(looks, number) for number in range(2)]
        registering = [pool.submit(registers, number) for number in range(2)]
        for each in registering:
            each.result()
        done.set()
        for each in looking:
            each.result()
    assert not {"own_0", "own_1"} & set(catalog())


def test_of_threads_that_register_one_name_one_does():
    start = Barrier(8)

    def registers(_):
        start.wait()
        try:
            return register("own", "c h w -> h w c")
        except ParameterError as error:
            assert "own is in the catalogue already" in str(error)
            return None

    with ThreadPoolExecutor(8) as pool:
        made = [each for each in pool.map(registers, range(8)) if each is not None]
    assert made == [entry("own")]
    unregister("own")
