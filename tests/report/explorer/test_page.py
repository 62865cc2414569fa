"""The page as a file: what it holds, what it may do, how large it is, what is refused."""

import json
import re
from html.parser import HTMLParser

import pytest

import layoutbridge as lb
from layoutbridge.errors import ParameterError, ShapeError, UnusableInputError
from layoutbridge.report.explorer.links import link
from layoutbridge.report.explorer.pages import explorer_page


class Parts(HTMLParser):
    """Its elements, each with attributes and text."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append([tag, dict(attrs), ""])

    def handle_data(self, data):
        if self.found:
            self.found[-1][2] += data

    def all(self, tag):
        return [(attributes, text) for name, attributes, text in self.found if name == tag]


def test_it_is_under_500_kilobytes():
    assert len(explorer_page().encode()) < 500_000


def test_it_names_nothing_outside_itself():
    parts = Parts(explorer_page())
    assert not [attributes for _, attributes, _ in parts.found if {"src", "href", "action"} & set(attributes)]
    assert "@import" not in parts.all("style")[0][1] and "url(" not in parts.all("style")[0][1]
    addresses = set(re.findall(r"https?://[^\s\"'`]+", explorer_page()))
    assert addresses == {"http://www.w3.org/2000/svg"}  # a name, which nobody fetches


def test_only_its_own_script_may_run():
    policy = next(
        attributes["content"] for attributes, _ in Parts(explorer_page()).all("meta") if "http-equiv" in attributes
    )
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy


def test_its_catalogue_is_the_library_s():
    (held,) = [json.loads(text) for attributes, text in Parts(explorer_page()).all("script") if attributes]
    assert [entry["name"] for entry in held["entries"]] == list(lb.catalog())
    for record, entry in zip(held["entries"], lb.catalog().values(), strict=True):
        assert [form["pattern"] for form in record["forms"]] == [form.pattern for form in entry.forms]
        assert (record["summary"], record["provenance"]) == (entry.summary, entry.provenance)


def test_what_a_registered_entry_says_stays_text():
    hostile = "</script><script>alert(1)</script><!-- {{script}} & \u2028"
    lb.register("hostile", "a b -> b a", summary=hostile, provenance=hostile)
    try:
        parts = Parts(explorer_page())
    finally:
        lb.unregister("hostile")
    assert len(parts.all("script")) == 2
    held = json.loads(parts.all("script")[0][1])
    assert held["entries"][-1]["summary"] == hostile


def test_a_link_begins_with_an_entry_or_a_pattern():
    assert link(lb.op("focus", stride=3), lb.op("space_to_depth"), (3, 6, 6)) == (
        "op=focus&p.stride=3&with=space_to_depth&q.stride=2&shape=3%2C6%2C6"
    )
    assert link(lb.op("qkv_rows_grouped", heads=32, groups=8)).startswith("pattern=")
    assert link(lb.Rearrangement("a b -> b a")) == "pattern=a+b+-%3E+b+a"


@pytest.mark.parametrize(
    ("arguments", "error", "told"),
    [
        ({"op": lb.op("focus"), "shape": (3, 5, 4)}, ShapeError, "H = 5 is not a multiple of 2"),
        ({"op": lb.op("focus"), "compare": lb.op("darknet_reorg"), "shape": (3, 4, 4)}, ShapeError, "C = 3"),
        ({"op": lb.op("focus"), "shape": (2**30, 2**20, 2**4)}, ShapeError, "2^53"),
        ({"shape": (3, 4, 4)}, ParameterError, "give one"),
        ({"op": "focus"}, ParameterError, "lb.op"),
    ],
)
def test_refusals(tmp_path, arguments, error, told):
    with pytest.raises(error, match=re.escape(told)):
        lb.explore(tmp_path / "a.html", **arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", ["a.pdf", "a", "", "/nowhere/at/all/a.html", "\0.html", "x" * 300 + ".html"])
def test_paths_that_cannot_be(path):
    with pytest.raises(UnusableInputError):
        lb.explore(path)
