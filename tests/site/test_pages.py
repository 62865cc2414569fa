"""The site's pages: all that is public is on one, names are spelt right, and links that lead nowhere are found."""

import json
from itertools import chain
from pathlib import Path

import pytest

import layoutbridge as lb
from docs.making import catalogue, commands, functions, layers, links, names, navigation, notebooks, shown, staging
from layoutbridge.cli.commands import COMMANDS
from layoutbridge.darknet.meaning import MEANINGS
from layoutbridge.darknet.ports.table import TARGETS

ROOT = Path(__file__).resolve().parent.parent.parent


def test_every_command_has_a_page_with_its_options():
    pages = commands.pages()
    for name in chain(*COMMANDS.values()):
        page = pages[f"commands/{name}.md"]
        assert all(option in page for option in commands.options(name)), name
        assert f"[`{name}`]({name}.md)" in pages["commands/index.md"]


def test_help_keeps_its_brackets_and_its_code():
    page = commands.pages()["commands/map.md"]
    assert "`detector map`" in page
    assert "\\[required\\]" in page


@pytest.mark.parametrize("module", list(functions.MODULES))
def test_every_public_name_has_a_page(module):
    page = functions.pages()[f"functions/{module.rpartition('.')[2]}.md"]
    public = functions.public(module)
    assert public
    assert [name for name, path in public.items() if f"::: {path}\n" not in f"{page}\n"] == []


def test_what_is_exported_is_public():
    for module in (lb, lb.darknet):
        left_out = set(module.__all__) - set(functions.public(module.__name__))
        assert left_out <= {"__version__", "darknet"}


def test_what_results_hold_has_a_page():
    held = functions.held("layoutbridge")
    assert held["Place"] == "layoutbridge.scanning.places.Place"
    assert not set(held) & set(lb.__all__)
    assert "::: layoutbridge.scanning.places.Place\n" in functions.pages()["functions/layoutbridge.md"]


def test_every_operation_is_in_the_catalogue():
    page = catalogue.pages()["catalogue.md"]
    for name, entry in lb.catalog().items():
        assert f"### {name} {{#{name}}}" in page
        assert f"`{entry.pattern}`" in page


def test_every_layer_was_measured_in_every_target():
    held = json.loads(layers.MEASURED.read_text())
    assert tuple(held["targets"]) == TARGETS
    assert held["networks"] == len(layers.recorded())
    assert set(MEANINGS) - set(held["kinds"]) == {"contrastive", "cost", "history", "iseg"}  # none is recorded
    assert all(set(each["worst"]) == set(TARGETS) for each in held["kinds"].values())
    assert max(worst for each in held["kinds"].values() for worst in each["worst"].values()) < 1e-5


def test_layers_are_measured_against_darknets_own_outputs():
    pytest.importorskip("onnxruntime", reason="a network is run in it")
    found = layers.measure([ROOT / "fixtures" / "nets" / "pjreddie" / "passthrough"], ["onnx"])
    assert {kind: each["layers"] for kind, each in found.items()} == {
        "convolutional": 5, "region": 1, "reorg": 1, "route": 2
    }  # fmt: skip
    assert all(0 < each["worst"]["onnx"] < 1e-5 for each in found.values())


# ---------------------------------------------------------------------- names


def test_names_on_pages_are_spelt_as_they_are():
    pages = {str(path.relative_to(ROOT)): path.read_text() for path in staging.sources() if path.name != "atlas.md"}
    pages |= {name: (ROOT / name).read_text() for name in staging.OWN}
    assert names.misspelled(pages) == []


@pytest.mark.parametrize(
    ("page", "wrong"),
    [
        ("`lb.prove`, `lb.darknet.load`, `lb.Scan.places`, `layoutbridge.testing.plugin`", []),
        ("`lb.darknet.lod(cfg)`", ["lb.darknet.lod"]),
        ("    layoutbridge scan a.onnx --shape 1,3,8,8 --expect focus", []),
        ("    layoutbridge scann a.onnx", ["layoutbridge has no command scann"]),
        ("```\nlayoutbridge scan a.onnx --expct focus\n```", ["layoutbridge scan has no --expct"]),
        ("    layoutbridge table focus --shape 1,3,8,8 --stride 2 --order pqc", []),
        ("    layoutbridge scan a.onnx --stride 2", ["layoutbridge scan has no --stride"]),
        ("the option `--expct`", ["--expct"]),
        ("`pip --index-url x`, `layouts.html` and `a_file.onnx`", []),
        ("`space_to_depht` moves", ["space_to_depht"]),
        ("```python\n>>> my_own_port = 1\n```\nHere `my_own_port` is", []),
        ("<!-- site: layoutbridge scan a.onnx --htm a.html -->", ["layoutbridge scan has no --htm"]),
    ],
)
def test_what_is_no_name_is_found(page, wrong):
    assert [line.partition(": ")[2] for line in names.misspelled({"a.md": page})] == wrong


def test_a_misspelling_is_told_with_its_line():
    assert names.misspelled({"a.md": "# A\n\n```\none\n```\n\n`lb.prov`"}) == ["a.md:7: lb.prov"]


# ---------------------------------------------------------------------- links


def test_links_of_pages_lead_to_files_or_to_generated_pages():
    generated = {(staging.DOCS / name) for part in (commands, functions, catalogue, layers) for name in part.pages()}
    for path in [*staging.sources(), *(ROOT / name for name in staging.OWN)]:
        targets = [(path.parent / link[2]).resolve() for link in staging.links_of(path.read_text())]
        assert [str(each) for each in targets if not each.exists() and each not in generated] == [], path.name


def test_links_of_the_readme_lead_to_files():
    """It is read where nothing was generated."""
    targets = [link[2] for link in staging.links_of((ROOT / "README.md").read_text())]
    assert len(targets) > 30
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_links_that_leave_the_pages_are_followed():
    pages = staging.pages()
    assert "](../start/index.md)" in pages["project/readme.md"]
    assert "](contributing.md)" in pages["project/readme.md"]
    assert "](sources/benchmarks/test_scan_speed.py.md)" in pages["speed.md"]
    assert "def test_" in pages["sources/benchmarks/test_scan_speed.py.md"]


def test_dead_links_are_found(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "a.html").write_text(
        '<h2 id="one">1</h2><a href="in/b.html#two">b</a><a href="#one">1</a><a href="https://example.org/">out</a>'
        '<a href="in/c.html">c</a><a href="in/b.html#three">b</a><img src="no.svg"><script src="https://example.org/x.js">'
    )
    (tmp_path / "in" / "b.html").write_text('<a id="two" href="../a.html">a</a>')
    assert links.dead_links(tmp_path) == [
        "a.html: links to in/c.html, which is not there",
        "a.html: links to in/b.html#three, an anchor that is not there",
        "a.html: links to no.svg, which is not there",
        "a.html: loads https://example.org/x.js",
    ]


# ---------------------------------------------------------------------- their order, and what they show


def test_every_page_is_in_the_navigation():
    generated = {name: "" for part in (commands, functions, catalogue, layers) for name in part.pages()}
    generated |= {f"notebooks/{path.stem}.md": "" for path in notebooks.notebooks()}
    places = [*staging.pages(), *generated, "a_new_page.md"]
    text = json.dumps(navigation.navigation(places))
    assert [place for place in places if f'"{place}"' not in text and not place.startswith("sources/")] == [
        "project/license.md"
    ]


def test_the_program_writes_what_pages_show(tmp_path):
    page = "Before.\n\n<!-- site: layoutbridge table focus --shape 1,3,4,4 -o table.npy -->\n\nAfter."
    found = shown.shown({"in/a.md": page}, tmp_path)
    assert (tmp_path / "in" / "table.npy").exists()
    assert "](table.npy)" in found["in/a.md"]
    assert found["in/a.md"].startswith("Before.")
