"""What results show of themselves in a notebook: HTML with the verdict in it, that is well formed and runs nothing."""

from html.parser import HTMLParser

import pytest

import layoutbridge as lb

NET = "fixtures/nets/alexey/passthrough/net.cfg"
VOID = {"br", "meta", "input"}


class Checked(HTMLParser):
    """Raises for tags that are not closed in their order; collects the text and the tags."""

    def __init__(self, html):
        super().__init__()
        self.open, self.words, self.tags = [], [], set()
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.add(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def shown(result):
    checked = Checked(result._repr_html_())
    assert not checked.tags & {"script", "style", "link", "img"}
    return checked, " ".join(" ".join(checked.words).split())


@pytest.mark.parametrize("name", lb.catalog())
def test_rearrangements_show_where_elements_go(name):
    op = lb.op(name)
    checked, words = shown(op)
    assert op.pattern in words and op.label in words
    assert {"svg", "rect"} <= checked.tags


def test_operations_that_have_no_figure_show_their_pattern():
    op = lb.op("space_to_depth", stride=2**31)
    checked, words = shown(op)
    assert op.pattern in words and "svg" not in checked.tags


def test_proofs():
    for verdict in (lb.prove("darknet_reorg", "space_to_depth"), lb.prove("focus", "focus")):
        _, words = shown(verdict)
        assert str(verdict) in words
        assert all(line in words for line in verdict.argument)


def test_identifications():
    checked, words = shown(lb.identify(lb.op("focus").table((4, 4, 4)), (4, 4, 4)))
    assert "focus (stride 2), at [4, 4, 4]" in words and "svg" in checked.tags
    checked, words = shown(lb.identify(lambda x: x * 2, (1, 4, 4, 4)))
    assert "changes values" in words and "svg" not in checked.tags
    assert "inside: layer 4 (reorg): darknet_reorg" in shown(lb.identify(NET))[1]


def test_verifications():
    lb.register("of_mine", "c (h p:s) w -> (p c) h w", stride=2)
    try:
        result = lb.verify(("numpy",), ("of_mine", "focus"), strides=(2,))
    finally:
        lb.unregister("of_mine")
    assert str(result) in shown(result)[1]
    row = next(row for row in result.rows if row.emitted)
    wrong = type(result)((type(row)(**{**{n: getattr(row, n) for n in row.__slots__}, "status": "differs",
                                          "detail": "<b>"}),) * 60)  # fmt: skip
    checked, words = shown(wrong)
    assert "60 of them findings" in words and "and 10 more" in words and "b" not in checked.tags


def test_scans_and_comparisons():
    _, words = shown(lb.scan(NET))
    assert "net.cfg (Darknet, 9 nodes): 1 place" in words and "darknet_reorg" in words
    pytest.importorskip("onnxruntime", reason="onnxruntime, which runs both models, is not installed")
    models = [lb.emit(lb.op(name), "onnx", shape=(1, 4, 4, 4)) for name in ("darknet_reorg", "space_to_depth")]
    _, words = shown(lb.compare(*models))
    assert "the first that differs" in words and "to do: put darknet_reorg (stride 2) there" in words
    assert "equal: " in shown(lb.compare(models[0], models[0]))[1]
