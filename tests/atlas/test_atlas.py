"""The atlas as files and commands: what is published, what changed, what is X called in Y."""

import json
from dataclasses import replace
from importlib.resources import files
from typing import get_args

import pytest

import layoutbridge as lb
from layoutbridge.atlas import surveys
from layoutbridge.atlas.answers import Atlas, read_atlas
from layoutbridge.atlas.changes import changes
from layoutbridge.atlas.descriptions.subject import Role
from layoutbridge.atlas.porting import port, published
from layoutbridge.atlas.surveys import survey
from layoutbridge.atlas.table import NOT_MEASURED, SUBJECTS
from layoutbridge.report.atlas import atlas_page, badge, upstream_text
from tests.command_line import refused, run
from tests.conftest import FIXTURES

DOCS = FIXTURES.parent / "docs"


@pytest.fixture(scope="module")
def torch_atlas(tmp_path_factory):
    pytest.importorskip("torch", reason="PyTorch is not installed")
    return survey(["torch"], environments=tmp_path_factory.mktemp("environments"))


def test_what_is_published_is_what_its_schema_says():
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    told = json.loads(files("layoutbridge.atlas").joinpath("atlas.json").read_text("utf-8"))
    jsonschema.validate(told, json.loads((DOCS / "atlas.schema.json").read_text()))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(told | {"format": 9}, json.loads((DOCS / "atlas.schema.json").read_text()))


def test_the_page_is_that_of_what_is_published():
    assert (DOCS / "atlas.md").read_text() == atlas_page(published())
    assert (DOCS / "atlas.svg").read_text() == badge(published())


def test_what_is_known_of_runtimes_is_found():
    by_key = {each.key: each.names for each in published().answers}
    assert "space_to_depth_crd" in by_key["ncnn:Reorg:0"] and "space_to_depth" in by_key["ncnn:Reorg:1"]
    assert "depth_to_space_crd" in by_key["torch:pixel_shuffle"]


def test_an_atlas_comes_back_from_its_file(torch_atlas, tmp_path):
    (tmp_path / "a.json").write_text(torch_atlas.to_json())
    assert read_atlas(tmp_path / "a.json") == torch_atlas


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"format": 1, "answers": [{}], "missing": {}}', "[[[", '{"format": 7}']
)
def test_a_file_that_is_no_atlas(text, tmp_path):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(lb.LayoutBridgeError, match=r"a\.json' (is no atlas|has format 7)"):
        read_atlas(tmp_path / "a.json")


def test_nothing_is_measured_twice(torch_atlas, tmp_path, monkeypatch):
    before = survey(["torch"], environments=tmp_path)
    monkeypatch.setattr(surveys, "measure", None)  # which would fail if it were called
    assert survey(["torch"], environments=tmp_path) == before == torch_atlas


def test_what_changed_is_told(torch_atlas):
    assert changes(torch_atlas, torch_atlas) == ()
    first, *rest = torch_atlas.answers
    moved = replace(first, names=("focus",), dtypes=first.dtypes[1:], version="torch 9")
    found = changes(torch_atlas, Atlas((moved, *rest), {}))
    assert [(each.key, each.what, each.after) for each in found] == [
        ("torch:pixel_shuffle", "map", "focus"), ("torch:pixel_shuffle", "dtypes", ", ".join(first.dtypes[1:])),
    ]  # fmt: skip
    assert [each.what for each in changes(torch_atlas, Atlas(tuple(rest), {}))] == ["there"]
    assert changes(torch_atlas, Atlas((), {"torch": "gone"})) == ()


@pytest.mark.slow
def test_verify_against_an_atlas(torch_atlas, tmp_path, capfd):
    path = tmp_path / "a.json"
    path.write_text(torch_atlas.to_json())
    assert run(capfd, "verify", "--against", str(path))[0] == 0
    first, *rest = torch_atlas.answers
    path.write_text(Atlas((replace(first, names=("focus",)), *rest), {}).to_json())
    code, out, _ = run(capfd, "verify", "--against", str(path))
    assert code == 1 and "torch:pixel_shuffle: map: focus → pixel_shuffle" in out
    for more in (["--frameworks", "torch"], ["--ops", "focus"]):
        assert "leave --frameworks and --ops out" in refused(capfd, "verify", "--against", str(path), *more)


def test_what_is_it_called_elsewhere():
    assert "pixel_shuffle" in {each.op for each in port(None, "ncnn:PixelShuffle:0", "torch").answers}
    assert port("pixel_unshuffle", "ncnn:Reorg:0", "torch").answers[0].op == "pixel_unshuffle"
    written = port("darknet_reorg", None, "torch")
    assert written.answers == () and "import torch" in written.code
    assert "np." in port(None, "ncnn:ShuffleChannel:reverse", "numpy").code


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("darknet_reorg", "ncnn:Reorg:0", "torch"), "ncnn:Reorg:0 is pixel_unshuffle, space_to_depth_crd, and not"),
        ((None, "ncnn:Reorgs", "torch"), "near it are ncnn:Reorg"),
        ((None, "ncnn:Reorg:0", "nowhere"), "nothing in the atlas is called 'nowhere'"),
        ((None, None, "torch"), "say what is to be ported"),
        (("nothing", None, "torch"), "nothing"),
    ],
)
def test_what_cannot_be_ported(asked, said):
    with pytest.raises(lb.LayoutBridgeError, match=said):
        port(*asked)


def test_a_finding_can_be_filed():
    for finding in published().findings:
        text = upstream_text(finding)
        for part in (finding.shown, finding.version, finding.program, finding.source, finding.documented):
            assert part in text


def test_much_is_published():
    subjects = {role: {each.subject for each in published().answers if each.role == role} for role in get_args(Role)}
    assert len(subjects["runtime"]) >= 12 and len(subjects["converter"]) >= 6
    assert {each for found in subjects.values() for each in found} | set(published().missing) == {
        *SUBJECTS,
        *NOT_MEASURED,
    }
    for each in published().answers:  # what has no name did something else, or says why not
        assert each.names or each.detail
        assert each.dtypes or each.refused


def test_what_is_asked_for_by_name_and_not_there(capfd, tmp_path):
    assert "nothing in the atlas is called 'nonsense'" in refused(capfd, "atlas", "torch", "nonsense")
    assert "mnn: its environment is not set up" in refused(capfd, "atlas", "mnn", "-o", str(tmp_path / "a.json"))
    assert not list(tmp_path.iterdir())


def test_an_op_of_another_runtime_is_asked_for_as_a_name_is(capfd):
    code, out, _ = run(capfd, "port", "ncnn:Reorg:1", "--to", "onnxruntime")
    assert code == 0 and "SpaceToDepth opset 13" in out
    assert run(capfd, "port", "--from", "ncnn:Reorg:1", "--to", "onnxruntime")[:2] == (code, out)
