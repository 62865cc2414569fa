"""Operations as text: names with parameters, patterns, inverses, and these one after another."""

import time

import pytest

import layoutbridge as lb
from layoutbridge import LayoutBridgeError, Rearrangement, op, prove
from layoutbridge.operations import catalog
from layoutbridge.operations.entry import CatalogEntry
from layoutbridge.operations.expressions import read_expression
from layoutbridge.operations.parameters import Form


@pytest.fixture
def identity(monkeypatch):
    """The entry that moves nothing."""
    if "identity" not in lb.catalog():
        made = CatalogEntry("identity", (Form("c h w -> c h w"),), "nothing moves", "here")
        monkeypatch.setitem(catalog._registry, "identity", made)


FOCUS, UNSHUFFLE = op("focus"), op("pixel_unshuffle")
LAST = Rearrangement("c h w -> h w c")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("focus", FOCUS),
        ("  focus ", FOCUS),
        ("focus()", FOCUS),
        ("focus(stride=4)", op("focus", stride=4)),
        ("focus( stride = 2x4 )", op("focus", stride=(2, 4))),
        ("focus(stride=(2, 4))", op("focus", stride=(2, 4))),
        ("focus(stride=(2, 4), spatial=2)", op("focus", stride=(2, 4))),
        ("focus (spatial=3)", op("focus", spatial=3)),
        ("inverse(focus)", FOCUS.inverse()),
        ("inverse( inverse( focus ) )", FOCUS),
        ("pixel_unshuffle(stride=2) then inverse(focus)", UNSHUFFLE.then(FOCUS.inverse())),
        ("inverse(focus(stride=4) then nchw_to_nhwc)", op("focus", stride=4).then(LAST).inverse()),
        ("c h w -> h w c", LAST),
        ("'c h w -> h w c'", LAST),
        ('"c h w -> h w c"', LAST),
        ("inverse(c h w -> h w c)", LAST.inverse()),
        ("inverse('c h w -> h w c')", LAST.inverse()),
        ("c h w -> h w c then nhwc_to_nchw then focus", FOCUS),
        ("'c h w -> h w c' then nhwc_to_nchw\n then\tfocus", FOCUS),
        ("c (h p:s) (w q:s) -> (q p c) h w, s=2 then 'c h w -> h w c'", FOCUS.then(LAST)),
        ("inverse(c (h p) (w q) -> (q p c) h w, p=2, q=2)", FOCUS.inverse()),
        ("c h w -> h w c then h w c -> c h w", Rearrangement("c h w -> c h w")),
        ("inverse(a b) -> (b a), a=2", None),
    ],
)
def test_what_texts_mean(text, expected):
    if expected is None:  # a pattern with an axis of that name is none in front of a bracket
        with pytest.raises(LayoutBridgeError, match="pattern"):
            read_expression(text).build()
    else:
        assert read_expression(text).build() == expected


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "a name or a pattern is missing"),
        ("focus then", r"missing \(character 11 of 'focus then'\)"),
        ("then focus", "missing"),
        ("focus then then focus", "missing"),
        ("focuss", "did you mean focus"),
        ("focus then pixel_shufle", r"did you mean pixel_shuffle.*\(character 12 of"),
        ("inverse()", r"missing \(character 9 of"),
        ("inverse(focus", r"bracket is not closed.*\(character 8 of"),
        ("focus) then focus", "nothing|unbalanced|arrow"),
        ("inverse(focus, stride=2)", r"inverse\(focus\(stride=2\)\) \(character 14 of"),
        ("focus(2)", r"by name, as in focus\(stride=2\) \(character 7 of"),
        ("focus(strid=2)", r"focus takes no strid; it takes stride \(character 7 of"),
        ("darknet_flatten(stride=2)", "nor any other parameter"),
        ("focus(stride=2, stride=3)", r"stride is given twice \(character 17 of"),
        ("focus(stride=two)", r"stride of focus must be a whole number, not 'two' \(character 14 of"),
        ("focus(stride=)", "whole number"),
        ("focus(stride=2,)then focus", "follows"),
        ("'c h w -> h w c", r"a quote is not closed \(character 1 of"),
        ("'focus'", "has no '->'"),
        ("'c h w -> h w c' focus", r"'then' must stand between two terms \(character 17 of"),
        ("focus focus", "arrow"),
        ("focus then nchw_to_nhwc then c h -> h c", "3 axes and the second takes 2"),
        ("c h w -> h w d then focus", "unknown"),
        ("focus(stride=0)", "between 1"),
    ],
)
def test_what_is_refused_and_where(text, says):
    with pytest.raises(LayoutBridgeError, match=says) as caught:
        read_expression(text).build()
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600


@pytest.mark.parametrize(
    "text",
    [
        "x" * 20_000,
        " then ".join(["focus"] * 33),
        " then ".join(["a b -> b a"] * 33),
        "'" + " then ".join(["a b -> b a"] * 33) + "'",
        "inverse(" * 17 + "focus" + ")" * 17,
        "inverse(" * 1500 + "focus" + ")" * 1500,
        "(" * 16_000,
        "inverse(" * 2000,
        "(then " * 2700,
        "focus(" + "stride=2," * 1500 + ")",
        "focus(" + "," * 16_000 + ")",
        "' then " * 2300,
        " then " * 2700,
        " then ".join(["depth_to_space(stride=2)", "space_to_depth(stride=3)"] * 300),
    ],
)
def test_hostile_texts_are_refused_at_once(text):
    started = time.perf_counter()
    with pytest.raises(LayoutBridgeError):
        read_expression(text).build()
    assert time.perf_counter() - started < 1


def test_the_longest_chain_is_built_and_proved_in_time():
    steps = ["depth_to_space(stride=2)", "space_to_depth(stride=3)", "depth_to_space(stride=5)", "focus(stride=7)"]
    started = time.perf_counter()
    made = read_expression(" then ".join(steps * 8)).build()
    assert made.inverse().then(made).is_identity
    assert prove(made, made).for_all_sizes
    assert time.perf_counter() - started < 5


def test_identity_takes_the_rank_of_what_stands_beside_it(identity):
    for text, rank in (
        ("'a b c d e -> e d c b a' then 'e d c b a -> a b c d e'", 5),
        ("focus(spatial=1) then inverse(focus(spatial=1))", 2),
        ("focus then inverse(focus)", 3),
        ("'h w c:3 -> c h w' then 'c h w -> h w c'", 3),
        ("'a -> a'", 1),
    ):
        made = read_expression(text).build()
        assert made.rank == rank
        for verdict in (prove(made, op("identity")), prove(op("identity"), made)):
            assert verdict.equal and verdict.for_all_sizes, verdict.explain()
    for text in ("a b c d e -> e d c b a", "a b -> (a b)", "c h w -> c w h", "c h w -> h w c | c h w"):
        verdict = prove(read_expression(text).build(), op("identity"))
        assert not verdict.equal and verdict.counterexample is not None
    chained = read_expression("identity then 'a b c d -> d c b a' then inverse(identity) then identity").build()
    assert chained == Rearrangement("a b c d -> d c b a")
    assert read_expression("identity then inverse(identity)").build().is_identity


def test_what_reports_call_it():
    for text, title in (
        ("focus", "focus (stride 2)"),
        ("focus(stride=2x4)", "focus (stride 2×4)"),
        ("c h w -> h w c", "'c h w -> h w c'"),
        ("focus  then\nnchw_to_nhwc", "focus then nchw_to_nhwc"),
        ("inverse(focus)", "inverse(focus)"),
    ):
        expression = read_expression(text)
        assert expression.title(expression.build()) == title
