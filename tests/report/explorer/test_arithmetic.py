"""What the page computes, in the browser, against the library: tables, shapes, names, what is refused."""

from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings

import layoutbridge as lb
from layoutbridge.algebra.proof import prove
from layoutbridge.errors import LayoutBridgeError
from tests.drawn_patterns import rearrangements
from tests.numpy_moves import CHAINS
from tests.pasted_code import READ, forms, shapes, with_batch

ANSWERS = "asked => asked.map(([side, shape]) => layoutbridge.answer(side, shape))"
REFUSED = """asked => asked.map(([side, shape]) => {
    try { layoutbridge.answer(side, shape); return null; } catch (error) { return error.message; }
})"""


def entry_side(operation):
    values = {name: list(value) if isinstance(value, tuple) else value for name, value in operation.parameters}
    return {"entry": operation.name, "values": values}


def pattern_side(operation):
    return {"pattern": operation.pattern}


def check(page, asked):
    """Each (operation, side, shape) as the page answers it."""
    found = page.evaluate(ANSWERS, [[side, list(shape)] for _, side, shape in asked])
    for (operation, _, shape), answer in zip(asked, found, strict=True):
        assert tuple(answer["outShape"]) == operation.out_shape(shape), (operation, shape)
        assert answer["table"] == operation.table(shape).tolist(), (operation, shape)
    return found


@pytest.mark.slow
def test_every_form_of_every_entry(page):
    asked = [
        (operation, entry_side(operation), batch + item)
        for operation in forms()
        for item in shapes(operation)
        for batch in ((), (2,))
    ]
    for (operation, _, _), answer in zip(asked, check(page, asked), strict=True):
        assert answer["label"] == operation.label
        assert {"name": operation.name, "forAllSizes": True} in [
            {key: name[key] for key in ("name", "forAllSizes")} for name in answer["names"]
        ]


def test_every_entry_at_larger_numbers(page):
    sizes = {"stride", "groups", "patch", "window", "block", "parts"}
    larger = [
        lb.op(name, **{parameter: number})
        for name, entry in lb.catalog().items()
        for parameter in entry.forms[0].letters
        for number in (3, 4)
        if sizes.issuperset(entry.forms[0].letters)  # others fix lengths that these numbers may not divide
    ]
    assert len(larger) > 40
    check(page, [(operation, entry_side(operation), shape) for operation in larger for shape in shapes(operation)])


FIRST_SHAPES = """names => names.map(name => {
    const explorer = layoutbridge.explorer;
    explorer.set({ a: { entry: name, values: {} }, shape: null });
    return [explorer.state.shape, Object.values(explorer.problems).join("")];
})"""


def test_the_shape_that_is_shown_first_fits(page):
    found = page.evaluate(FIRST_SHAPES, list(lb.catalog()))
    for (name, entry), (shape, problems) in zip(lb.catalog().items(), found, strict=True):
        assert entry.build().domain.accepts(tuple(shape)), (name, shape)
        assert problems == "", name


def test_patterns_and_chains(page):
    operations = [*map(lb.Rearrangement, READ), *CHAINS]
    check(
        page, [(operation, pattern_side(operation), shape) for operation in operations for shape in shapes(operation)]
    )


INVERSES = """names => names.map(name => {
    const explorer = layoutbridge.explorer;
    explorer.set({ a: { entry: name, values: {} }, shape: null });
    const shape = explorer.state.shape;
    explorer.invert();
    const inverse = { side: explorer.state.a, shape: explorer.state.shape };
    return [shape, inverse.side.pattern, layoutbridge.answer(inverse.side, inverse.shape)];
})"""


def test_inverses(page):
    found = page.evaluate(INVERSES, list(lb.catalog()))
    for (name, entry), (shape, pattern, answer) in zip(lb.catalog().items(), found, strict=True):
        there = entry.build().table(shape)
        assert tuple(answer["outShape"]) == tuple(shape), (name, pattern)
        assert there[answer["table"]].tolist() == list(range(len(there))), (name, pattern)
        assert (lb.Rearrangement(pattern).table(entry.build().out_shape(shape)) == answer["table"]).all(), (
            name,
            pattern,
        )


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rearrangements())
def test_drawn_patterns(page, made_and_shape):
    operation, shape = made_and_shape
    (answer,) = check(page, [(operation, pattern_side(operation), shape)])
    for name in answer["names"]:
        named = lb.op(name["name"], **{key: plain(value) for key, value in name["values"].items()})
        assert (named.table(shape) == operation.table(shape)).all(), name
        assert named.out_shape(shape) == operation.out_shape(shape), name
        if name["forAllSizes"]:
            assert prove(named, operation).for_all_sizes, name


def plain(value):
    """A parameter as the library takes it: the page has numbers in lists."""
    if not isinstance(value, list):
        return value
    return tuple(value) if len(value) > 1 else value[0]


def test_names_for_all_sizes_are_those_that_prove_equal(page):
    operations = [
        lb.op(name) for name in ("space_to_depth", "pixel_unshuffle", "darknet_reorg", "nchw_to_nhwc", "transpose_hw")
    ]
    asked = [(operation, entry_side(operation), next(iter(shapes(operation)))) for operation in operations]
    others = [lb.op(name) for name, entry in lb.catalog().items() if entry.build().rank == 3]
    for (operation, _, _), answer in zip(asked, check(page, asked), strict=True):
        proven = {each.name for each in others if prove(operation, each).for_all_sizes}
        told = {each["name"] for each in answer["names"] if each["forAllSizes"]}
        assert proven <= told, operation


def test_two_that_differ_at_other_sizes_alone_are_told_so(at):
    shown = at("op=space_to_depth&with=pixel_unshuffle&shape=1,4,4")
    assert "Equal at [1, 4, 4], all 16 elements; other sizes are not settled" in shown.inner_text("#verdict")
    assert not prove(lb.op("space_to_depth"), lb.op("pixel_unshuffle")).equal


@pytest.mark.parametrize("name", ["space_to_depth", "darknet_reorg", "focus", "pixel_unshuffle", "nchw_to_nhwc"])
def test_a_comparison_counts_what_differs(at, name):
    first, second, shape = lb.op("space_to_depth"), lb.op(name), (8, 4, 6)
    verdict = at(f"op=space_to_depth&with={name}&shape=8,4,6").inner_text("#verdict")
    if first.out_shape(shape) != second.out_shape(shape):
        assert "the results have shapes [32, 2, 3] and [4, 6, 8]" in verdict
        return
    count = int((first.table(shape) != second.table(shape)).sum())
    assert verdict.startswith(f"{count} of 192 elements differ" if count else "The same map for all sizes")
    if count:
        smallest = int((first.table(shape) != second.table(shape)).argmax())
        assert f"output {place(smallest, first.out_shape(shape))} holds input " in verdict
        for table in (first.table(shape), second.table(shape)):
            assert str(place(int(table[smallest]), shape)) in verdict


LARGE = [
    ("a b -> b a", "a b -> a b", (3000, 3000)),
    ("a (b c:1000) d -> c a b d", "a (b c:1000) d -> a c b d", (4, 2000, 500)),
    ("(g:4 d) e -> (g[0 1 3 2] d) e", "(g:4 d) e -> (g[0 3 1 2] d) e", (4000, 1000)),
    ("(g:4 d) e -> (g[0 1 3 2] d) e", "(g d) e -> (g d) e, g=4", (4000, 1000)),
    ("a b c -> a c[::-1] b", "a b c -> a c b[::-1]", (200, 100, 100)),
]


@pytest.mark.parametrize(("one", "other", "shape"), LARGE)
def test_the_first_difference_of_many_elements(at, one, other, shape):
    first, second = lb.Rearrangement(one), lb.Rearrangement(other)
    page = at(f"pattern={quote(one)}&with-pattern={quote(other)}&shape={','.join(map(str, shape))}")
    verdict = page.inner_text("#verdict")
    if first.out_shape(shape) == second.out_shape(shape):
        smallest = int((first.table(shape) != second.table(shape)).argmax())
        assert verdict.startswith("They differ. The first: output " + str(place(smallest, first.out_shape(shape))))


def test_what_is_too_long_to_compare_is_settled_by_digits_or_told(at):
    same = "pattern=" + quote("a (b c:2) -> (c a) b") + "&with-pattern=" + quote("x (y z:2) -> (z x) y")
    assert at(f"{same}&shape=4000,4000").inner_text("#verdict") == "The same map for all sizes that both take"
    chain = quote("a b -> b a then a b -> b a")
    page = at(f"pattern={chain}&with-pattern={quote('a b -> a b')}&shape=4000,4000")
    assert page.inner_text("#verdict").startswith("Not settled at [4000, 4000]")


def place(index, shape):
    coordinates = []
    for length in reversed(shape):
        index, coordinate = divmod(index, length)
        coordinates.append(coordinate)
    return coordinates[::-1]


def test_what_does_not_fit_is_refused_in_the_same_words(page):
    asked = []
    for operation in (lb.op("focus"), lb.op("darknet_reorg"), lb.op("rgb_to_bgr"), lb.op("split_heads")):
        item = next(iter(shapes(operation)))
        for axis in range(operation.rank):
            shape = tuple(length + (place == axis) for place, length in enumerate(item))
            if not operation.domain.accepts(shape):
                asked.append((operation, shape))
    assert len(asked) == 7
    told = page.evaluate(REFUSED, [[entry_side(operation), list(shape)] for operation, shape in asked])
    for (operation, shape), message in zip(asked, told, strict=True):
        with pytest.raises(LayoutBridgeError) as error:
            operation.out_shape(shape)
        reason = message.rpartition(": ")[2]
        assert reason in str(error.value), (operation, shape, message)


UNREADABLE = [
    "", "a", "a -> b", "a b -> a", "a -> a a", "a a -> a", "(a b) -> a b", "a (b c -> a b c", "a ((b)) -> a b",
    "a | b | c -> a", "a:2.5 -> a", "a:0 -> a", "-> a", "a ->", "a[0 0] -> a", "a -> a[0 2]", "a:3 -> a[1 0]",
    "a -> a[::-2]", "a, b=2 -> a", "a -> a, b=2", "A B | a:A -> a | A B", "A | a:A -> a | A*2", "(a p:3) -> a p, p",
    "a ... -> ... a", "1a -> 1a", "a -> a -> a", "A | a:A/ -> a | A", "A B | a b -> a b | A B", "a -> a[::-1",
    "a:99999999999999999999 -> a",
]  # fmt: skip


def test_what_is_no_pattern_here_is_none_there(page):
    told = page.evaluate(REFUSED, [[{"pattern": text}, [6]] for text in UNREADABLE])
    for text, message in zip(UNREADABLE, told, strict=True):
        with pytest.raises(LayoutBridgeError):
            lb.Rearrangement(text)
        assert message, text


def test_registered_entries_are_there(desk, tmp_path):
    shown, heard = desk
    heard.clear()
    made = lb.register("mine", "c (h p:s) (w q:t) -> (q c p) h w", stride=2, t=3)
    try:
        lb.explore(tmp_path / "mine.html", lb.op("mine", stride=4), shape=(2, 8, 6))
    finally:
        lb.unregister("mine")
    operation = made.build(stride=4)
    shown.goto((tmp_path / "mine.html").as_uri())
    assert shown.evaluate("layoutbridge.explorer.state.shape") == [2, 8, 6]
    assert "mine (stride 4, t 3)" in shown.inner_text("#verdict")
    check(shown, [(operation, {"entry": "mine", "values": {"stride": 4}}, (2, 8, 6))])
    assert heard == []


def test_with_batch_is_what_entries_say(at):
    for name in ("focus", "window_partition", "oihw_to_hwio", "lstm_gates"):
        assert at(f"op={name}").is_checked("#batch") == with_batch(lb.op(name))
