"""Figures of cells, read back from the SVG: every number where NumPy, or the real Darknet, puts that element."""

import re
import time
from itertools import pairwise, product
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import layoutbridge as lb
from layoutbridge.errors import ParameterError, ShapeError
from layoutbridge.report.figures.panels import MOST_CELLS, small_shape, window
from layoutbridge.report.figures.scene import text_width
from tests.drawn_patterns import rearrangements

NAMESPACE = "{http://www.w3.org/2000/svg}"


def elements(svg, name):
    return list(ElementTree.fromstring(svg).iter(NAMESPACE + name))


def cells(svg):
    return [group for group in elements(svg, "g") if group.get("class") == "cell"]


def results(svg):
    """The cells of results: (position in the result, position in the input, the number that is seen, the tooltip)."""
    return [
        (int(cell.get("data-output")), int(cell.get("data-input")), cell.find(NAMESPACE + "text").text,
         cell.find(NAMESPACE + "title").text)
        for cell in cells(svg) if cell.get("data-output") is not None
    ]  # fmt: skip


def check_against(svg, moved):
    """Whether the cells of a figure's one result are those of `moved`, the input's flat positions moved by NumPy."""
    in_shape, out_shape = moved.base_shape, moved.array.shape
    flat = moved.array.ravel()
    drawn = results(svg)
    for output, source, seen, told in drawn:
        assert source == flat[output]
        assert seen == str(source)
        places = [
            list(map(int, np.unravel_index(at, shape))) for at, shape in ((output, out_shape), (source, in_shape))
        ]
        assert told == f"output {places[0]} = input {places[1]}"
    assert len({output for output, *_ in drawn}) == len(drawn)
    inputs = [cell for cell in cells(svg) if cell.get("data-position") is not None]
    for cell in inputs:
        assert cell.find(NAMESPACE + "text").text == cell.get("data-position")
    if flat.size <= MOST_CELLS and max(in_shape[-1], out_shape[-1]) <= 128:
        assert sorted(output for output, *_ in drawn) == list(range(flat.size))
        assert sorted(int(cell.get("data-position")) for cell in inputs) == list(range(flat.size))


class Moved:
    """An array of flat positions, moved."""

    def __init__(self, op, shape):
        self.base_shape = tuple(shape)
        self.array = op(np.arange(np.prod(shape)).reshape(shape))


def shapes_for(op):
    small = small_shape([op])
    yield small
    if op.has_batch:
        yield (2, *small)


@pytest.mark.sample(25)
@pytest.mark.parametrize("name", lb.catalog())
def test_every_entry_is_drawn_as_it_moves(name):
    entry = lb.catalog()[name]
    numbers = dict.fromkeys(entry.forms[0].letters)
    for parameters in ({}, dict.fromkeys(numbers, 2), dict.fromkeys(numbers, 3)):
        op = lb.op(name, **parameters)
        for shape in shapes_for(op):
            check_against(lb.plot(name, shape, **parameters).svg, Moved(op, shape))
    for form in entry.forms[1:6]:  # other numbers of axes, other words
        op = form.at([2] * len(form.numbers))
        check_against(lb.plot(op, small_shape([op])).svg, Moved(op, small_shape([op])))


def test_reorgs_are_drawn_as_the_real_darknet_moves(golden_cases):
    names = {("reorg", False): "darknet_reorg", ("reorg", True): "darknet_reorg_reverse",
             ("reorg3d", False): "darknet_reorg3d", ("reorg3d", True): "darknet_reorg3d_reverse"}  # fmt: skip
    count = 0
    for case in golden_cases:
        name = names.get((case["layer"], case["reverse"]))
        shape = (case["batch"], *case["in_shape"])
        if name is None or case["gradient"] or not case["bijective"] or np.prod(shape) > MOST_CELLS:
            continue
        svg = lb.plot(name, shape, stride=case["stride"]).svg
        drawn = {output: source for output, source, *_ in results(svg)}
        assert [drawn[position] for position in range(len(drawn))] == case["table"].tolist()
        count += 1
    assert count > 10


@settings(max_examples=40)
@given(data=st.data(), rank=st.integers(1, 6))
def test_patterns_of_any_rank(data, rank):
    op, shape = data.draw(rearrangements(rank))
    check_against(lb.plot(op, shape).svg, Moved(op, shape))


@pytest.mark.parametrize("parameter", ["shape", "theme", "title", "steps", "block", "name", "op", "stride"])
def test_entries_of_users_with_parameters_of_any_name(parameter):
    letter = {"stride": "s"}.get(parameter, parameter)
    lb.register("of_mine", f"c (h p:{letter}) w -> (p c) h w", **{parameter: 3})
    try:
        text = f"of_mine({parameter}=2)"
        check_against(lb.plot(text, (2, 4, 3)).svg, Moved(lb.op("of_mine", **{parameter: 2}), (2, 4, 3)))
        check_against(lb.plot("of_mine", (2, 6, 3)).svg, Moved(lb.op("of_mine"), (2, 6, 3)))
        check_against(lb.plot(lb.op("of_mine")).svg, Moved(lb.op("of_mine"), (2, 9, 2)))
    finally:
        lb.unregister("of_mine")


def test_what_a_name_holds_stays_text():
    op = lb.op("focus").named("<script>alert(1)</script>&\x1b\"'")
    figure = lb.plot(op, title=None)
    assert figure.title.startswith("<script>")
    for text in (figure.svg, figure._repr_html_(), op._repr_html_()):
        assert "<script" not in text and "\x1b" not in text
        ElementTree.fromstring(text)


# ---------------------------------------------------------------------- comparisons and steps


@pytest.mark.parametrize(
    ("first", "second", "shape"),
    [
        ("darknet_reorg", "space_to_depth", (4, 4, 4)),
        ("focus", "focus_row_major", (2, 3, 4, 4)),
        ("nchw_to_nhwc", "darknet_flatten", (2, 3, 4)),
        ("darknet_reorg", "space_to_depth", (64, 26, 26)),
        ("space_to_depth", "darknet_reorg3d", (4, 4, 4)),
    ],
)
def test_cells_that_differ_are_marked(first, second, shape):
    svg = lb.plot(first, shape, compare=second).svg
    tables = [lb.op(name).table(shape) for name in (first, second)]
    drawn = [cell for cell in cells(svg) if cell.get("data-output") is not None]
    half = len(drawn) // 2
    for number, part in enumerate((drawn[:half], drawn[half:])):
        assert all(int(cell.get("data-input")) == tables[number][int(cell.get("data-output"))] for cell in part)
    assert not any(cell.get("data-differs") for cell in drawn[:half])
    marked = {int(cell.get("data-output")) for cell in drawn[half:] if cell.get("data-differs")}
    wanted = {int(cell.get("data-output")) for cell in drawn[half:]} & set(np.flatnonzero(tables[0] != tables[1]))
    assert marked == wanted
    note = f"Marked: {len(marked)} of the {half} cells" if marked else f"All {half} cells"
    assert note in elements(svg, "desc")[0].text
    if lb.op(first).out_shape(shape) != lb.op(second).out_shape(shape):
        assert "The shapes differ" in elements(svg, "desc")[0].text


def reorg_cpu(x, c, h, w, s, forward):
    """Darknet's loop, for one picture."""
    out = np.empty_like(x)
    for k, j, i in product(range(c), range(h), range(w)):
        channel, offset = k % (c // s**2), k // (c // s**2)
        here = i + w * (j + h * k)
        there = (i * s + offset % s) + w * s * ((j * s + offset // s) + h * s * channel)
        out[there if forward else here] = x[here if forward else there]
    return out


@pytest.mark.parametrize(
    ("expression", "sizes", "forwards"),
    [
        ("darknet_reorg then inverse(darknet_reorg)", (4, 4, 4), (0, 1)),
        ("darknet_reorg_reverse then inverse(darknet_reorg_reverse)", (4, 4, 4), (1, 0)),
        ("leimao_reorg then leimao_reorg_reverse", (16, 2, 2), (0, 1)),
        ("leimao_reorg_reverse then leimao_reorg", (4, 4, 4), (1, 0)),
    ],
)
def test_the_four_experiments_of_the_blog(expression, sizes, forwards):
    figure = lb.plot(expression, (4, 4, 4), steps=True, title="An experiment")
    once = reorg_cpu(np.arange(64), *sizes, 2, forwards[0])
    twice = reorg_cpu(once, *sizes, 2, forwards[1])
    held = [{cell.position: cell.source for cell in panel.cells} for panel in figure.picture.panels]
    assert [[own[k] for k in range(64)] for own in held] == [list(range(64)), once.tolist(), twice.tolist()]
    assert twice.tolist() == list(range(64))
    assert ElementTree.fromstring(figure.svg).find(NAMESPACE + "title").text == "An experiment"
    seen = [seen for *_, seen, _ in results(figure.svg)]
    by_place = [str(own[cell.position]) for own, panel in zip(held[1:], figure.picture.panels[1:], strict=True)
                for cell in panel.cells]  # fmt: skip
    assert seen == by_place


# ---------------------------------------------------------------------- what is too large to be read


@pytest.mark.parametrize("shape", [(64, 26, 26), (8, 64, 26, 26), (4, 2000, 2000), (2**12, 512, 512)])
def test_large_tensors_are_drawn_in_part_and_it_is_said(shape):
    figure = lb.plot("darknet_reorg", shape)
    drawn = results(figure.svg)
    assert 50 < len(drawn) <= 256
    reads = lb.op("darknet_reorg").bind(shape).read_position
    assert all(source == reads(output) for output, source, *_ in drawn)
    for panel in figure.picture.panels:
        planes, rows, columns = window(panel.shape)
        assert f"{rows} × {columns} of {panel.shape[-2]:,} × {panel.shape[-1]:,}" in panel.part
        assert panel.part in figure.svg
        assert planes == np.prod(panel.shape[:-2]) or f"the first {planes} of" in panel.part


@pytest.mark.parametrize("shape", [(4, 4, 4), (16, 8, 8), (64, 26, 26), (1, 64, 26, 26), (2, 1024, 100, 100)], ids=str)
def test_a_figure_is_quick(shape):
    lb.plot("darknet_reorg").svg
    start = time.process_time()
    lb.plot("darknet_reorg", shape, compare="space_to_depth").svg
    assert time.process_time() - start < 1


@pytest.mark.parametrize("shape", [(2**20, 2**20, 2**20), (2**62, 4, 4), (4, 2**15, 2**15)])
def test_what_no_table_could_be_compared_with_is_refused(shape):
    with pytest.raises(ShapeError, match=r"2\^31 are the most|2\^63 - 1 that can be counted"):
        lb.plot("darknet_reorg", shape)


# ---------------------------------------------------------------------- the picture itself


def test_nothing_lies_over_anything_else():
    long = lb.Rearrangement("a b c d e f g -> g f e d c b a")
    for name, shape in (
        ("darknet_reorg", (4, 4, 4)),
        ("oihw_to_hwio", (2, 3, 4, 5)),
        ("patchify", (2, 32, 16)),
        (long, (1, 2, 2, 2, 2, 2, 2)),
    ):
        figure = lb.plot(name, shape)
        labels = sorted((label for label in figure.scene.labels), key=lambda label: label.at[::-1])
        for one, other in pairwise(labels):
            assert one.at[1] < other.at[1] or one.at[0] + text_width(one) <= other.at[0], (one, other)
        assert all(label.at[0] + text_width(label) <= figure.scene.size[0] for label in labels)
        places = {}
        for box in figure.scene.boxes:
            assert box.at not in places, name
            places[box.at] = box
            assert box.at[0] >= 0 and box.at[0] + box.size[0] <= figure.scene.size[0]
            assert box.at[1] >= 0 and box.at[1] + box.size[1] <= figure.scene.size[1]
        for one, other in product(figure.scene.boxes[:40], figure.scene.boxes):
            if one is not other:
                apart = [abs(one.at[axis] - other.at[axis]) >= one.size[axis] - 1e-6 for axis in (0, 1)]
                assert any(apart), (name, one, other)


def test_the_colour_of_an_element_is_the_same_in_every_panel():
    for name in ("darknet_reorg", "transpose", "interleaved_to_planar", "bayer_to_planes"):
        colours = {}
        for panel in lb.plot(name).picture.panels:
            for cell in panel.cells:
                assert colours.setdefault(cell.source, cell.colour) == cell.colour
        assert len(set(colours.values())) > 1


def test_themes():
    auto, light, dark = (lb.plot("focus", theme=theme) for theme in ("auto", "light", "dark"))
    assert "prefers-color-scheme: dark" in auto.svg
    assert "prefers-color-scheme" not in light.svg + dark.svg
    assert [re.search(r'class="ground".*fill="(#\w+)"', each.svg)[1] for each in (light, dark)] == [
        "#ffffff",
        "#0d1117",
    ]
    assert 'class="ground"' not in auto._repr_html_() and "currentColor" in auto._repr_html_()
    with pytest.raises(ParameterError, match="theme must be one of auto, light, dark, not 'blue'"):
        lb.plot("focus", theme="blue")


def test_what_does_not_go_together_is_refused():
    for options in (
        {"steps": True, "compare": "focus"},
        {"steps": True, "digits": True},
        {"digits": True, "animate": True},
    ):
        with pytest.raises(ParameterError, match="leave"):
            lb.plot("focus", **options)
    with pytest.raises(ParameterError, match="plot: focus takes no strid; it takes stride"):
        lb.plot("focus", strid=2)
    with pytest.raises(ShapeError, match="multiple of"):
        lb.plot("focus", (3, 5, 4))
    with pytest.raises(ParameterError, match="title must be text, not 5"):
        lb.plot("focus", title=5)
