"""Digits as lanes: followed from where they begin to where they end, they move an array as the operation does."""

import re
from io import StringIO
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

import layoutbridge as lb
from layoutbridge.report.figures.panels import small_shape
from layoutbridge.report.figures.terminal import show_figure
from tests.drawn_patterns import rearrangements

NAMESPACE = "{http://www.w3.org/2000/svg}"


def followed(crossings, flat):
    """A flat array moved as the lanes are drawn: NumPy's reshape, indexing and transpose."""
    for crossing in crossings:
        x = flat.reshape([digit.size for digit in crossing.digits])
        for axis, digit in enumerate(crossing.digits):
            if digit.reading:
                order = [int(word) for word in digit.reading[1:-1].split()] if "::" not in digit.reading else None
                x = np.flip(x, axis) if order is None else x.take(order, axis)
        flat = x.transpose(crossing.order).ravel()
    return flat


def check(op, shape):
    figure = lb.plot(op, shape, digits=True)
    wanted = op(np.arange(np.prod(shape)).reshape(shape))
    assert (followed(figure.crossings, np.arange(np.prod(shape))) == wanted.ravel()).all()
    for crossing, in_shape, out_shape in (
        (figure.crossings[0], shape, None),
        (figure.crossings[-1], None, wanted.shape),
    ):
        for groups, lengths in ((crossing.read_axes, in_shape), (crossing.written_axes, out_shape)):
            if lengths is not None:
                told = [int(part.split(" = ")[1]) for group in groups for part in group.words.split(", ")]
                assert tuple(told) == tuple(lengths)
            assert [group.start for group in groups[1:]] == [group.end for group in groups[:-1]]
            assert groups[-1].end == len(crossing.digits)
    return figure


@pytest.mark.parametrize("name", lb.catalog())
def test_lanes_of_every_entry(name):
    op = lb.op(name)
    check(op, small_shape([op]))
    if op.has_batch:
        check(op, (3, *small_shape([op])))


@settings(max_examples=40)
@given(data=st.data(), rank=st.integers(1, 6))
def test_lanes_of_any_pattern(data, rank):
    op, shape = data.draw(rearrangements(rank))
    check(op, shape)


def test_lanes_of_several_steps():
    op = lb.op("darknet_reorg").then(lb.op("darknet_reorg"))
    check(op, (64, 8, 8))
    check(lb.Rearrangement("c (h p) w -> (p c) h w, p=2 then a (b q) w -> (q a) b w, q=2"), (2, 4, 2))


def test_lanes_begin_and_end_at_the_boxes_of_their_digits():
    figure = lb.plot("darknet_reorg", (64, 26, 26), digits=True)
    at = {}
    for box in figure.scene.boxes:
        at.setdefault(box.words, []).append(box)
    lanes = [curve for curve in figure.scene.curves if not curve.is_thin]
    assert [box.words for box in figure.scene.boxes[1::2]] == ["p: 2", "q: 2", "c: 16", "h: 26", "w: 26"]
    for lane in lanes:
        (begin,) = [b for b in figure.scene.boxes if (b.at[0] + b.size[0], b.at[1] + b.size[1] / 2) == lane.start]
        (end,) = [b for b in figure.scene.boxes if (b.at[0], b.at[1] + b.size[1] / 2) == lane.end]
        assert (begin.words, begin.fill, lane.stroke) == (end.words, end.fill, begin.fill)
    desc = ElementTree.fromstring(figure.svg).find(NAMESPACE + "desc").text
    assert "digits read as c: 16, h: 26, p: 2, w: 26, q: 2; written as p: 2, q: 2, c: 16, h: 26, w: 26" in desc


def test_lanes_on_a_terminal():
    console = Console(width=120, record=True, file=StringIO())
    show_figure(console, lb.plot("darknet_reorg", (64, 26, 26), digits=True))
    words = [re.findall(r"[chpwq]: \d+", line) for line in console.export_text().splitlines()]
    assert [pair for pair in words if pair] == [
        ["c: 16", "p: 2"], ["h: 26", "q: 2"], ["p: 2", "c: 16"], ["w: 26", "h: 26"], ["q: 2", "w: 26"]
    ]  # fmt: skip


def test_lanes_on_a_narrow_terminal():
    for width, seen in ((60, "axis 2 = 13"), (40, "w: 26")):
        console = Console(width=width, record=True, file=StringIO())
        show_figure(console, lb.plot("darknet_reorg", (64, 26, 26), digits=True))
        text = console.export_text()
        words = [re.findall(r"[chpwq]: \d+", line) for line in text.splitlines()]
        assert [pair for pair in words if pair][4] == ["q: 2", "w: 26"]
        assert seen in text and "written as" in text
        assert ("a file has more" in text.replace("\n", " ")) == (width == 40)
    console = Console(width=40, record=True, file=StringIO())
    show_figure(console, lb.plot("a b -> (a b)", (1, 1), digits=True))  # an axis that has no digit of its own
    assert "axis 0 = 1" in console.export_text()


@pytest.mark.parametrize("pattern", ["1 -> 1 1", "1 1 -> 1", "1 -> 1 then 1 -> 1 1"])
def test_patterns_without_digits_have_no_lanes(pattern):
    figure = lb.plot(pattern, digits=True)
    assert [crossing.order for crossing in figure.crossings] == [()] * (1 + pattern.count("then"))
    assert figure.svg.count("<path") == 6 * len(figure.crossings)  # brackets alone
    console = Console(width=80, record=True, file=StringIO())
    show_figure(console, figure)
    assert "written as" in console.export_text()
