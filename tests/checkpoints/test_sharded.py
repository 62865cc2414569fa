"""Checkpoints in shards: a folder that is there whole, or not at all."""

import json

import numpy as np
import pytest

import layoutbridge as lb
from layoutbridge.errors import LayoutBridgeError

safetensors = pytest.importorskip("safetensors.numpy")
RULES = [{"tensors": "*.q", "pattern": "(h e r:2) d -> (h r e) d", "h": 2}]
SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
INDEX = "model.safetensors.index.json"


@pytest.fixture
def folder(tmp_path):
    made, owners = tmp_path / "in", {}
    made.mkdir()
    draw = np.random.default_rng(1)
    for number, shard in enumerate(SHARDS):
        tensors = {f"layers.{number}.{name}": draw.random((8, 3)).astype("f4") for name in "qkv"}
        safetensors.save_file(tensors, made / shard, metadata={"format": "pt"})
        owners |= dict.fromkeys(tensors, shard)
    index = {"metadata": {"total_size": 576}, "weight_map": owners}
    (made / INDEX).write_text(json.dumps(index, indent=2) + "\n")
    (made / "config.json").write_text("{}")
    return made


def test_all_shards_are_rearranged_and_come_back(folder, tmp_path):
    told = []
    for number, source in enumerate((folder, folder / INDEX)):
        out = tmp_path / f"out-{number}"
        done = lb.rearrange_checkpoint(source, out, RULES, progress=lambda *each: told.append(each))
        assert [change.name for change in done.changes] == ["layers.0.q", "layers.1.q"]
        assert sorted(path.name for path in out.iterdir()) == sorted([*SHARDS, INDEX])
        assert (out / INDEX).read_bytes() == (folder / INDEX).read_bytes()
        assert told[-1] == (sum((folder / shard).stat().st_size for shard in SHARDS),) * 2
        for shard in SHARDS:
            before, after = (safetensors.load_file(where / shard) for where in (folder, out))
            for name, array in before.items():
                expected = array.reshape(2, 2, 2, 3).swapaxes(1, 2).reshape(8, 3) if name.endswith("q") else array
                assert np.array_equal(after[name], expected)
        back = tmp_path / f"back-{number}"
        lb.rearrange_checkpoint(out, back, RULES, undo=True)
        assert all((back / name).read_bytes() == (folder / name).read_bytes() for name in (*SHARDS, INDEX))


def broken_index(folder, change):
    index = json.loads((folder / INDEX).read_text())
    change(index)
    (folder / INDEX).write_text(json.dumps(index))


BAD = {
    "no map": (lambda f: broken_index(f, lambda i: i.pop("weight_map")), "no weight_map"),
    "an empty map": (lambda f: broken_index(f, lambda i: i["weight_map"].clear()), "no weight_map"),
    "numbers": (lambda f: broken_index(f, lambda i: i["weight_map"].update(a=1)), "no weight_map"),
    "no JSON": (lambda f: (f / INDEX).write_text("{"), "no weight_map"),
    "nested deep": (lambda f: (f / INDEX).write_text("[" * 100_000), "no weight_map"),
    "a file elsewhere": (
        lambda f: broken_index(f, lambda i: i["weight_map"].update(a="../x.safetensors")),
        "same folder",
    ),
    "an absolute file": (
        lambda f: broken_index(f, lambda i: i["weight_map"].update(a="/x.safetensors")),
        "same folder",
    ),
    "a name that no file has": (
        lambda f: broken_index(f, lambda i: i["weight_map"].update(a="m" * 5000 + ".safetensors")),
        "same folder",
    ),
    "another file": (lambda f: broken_index(f, lambda i: i["weight_map"].update(a="config.json")), "same folder"),
    "a missing shard": (lambda f: (f / SHARDS[1]).unlink(), "there is no safetensors file"),
    "a tensor that is nowhere": (lambda f: broken_index(f, lambda i: i["weight_map"].update(a=SHARDS[0])), "does not"),
    "a tensor in two shards": (lambda f: (f / SHARDS[1]).write_bytes((f / SHARDS[0]).read_bytes()), "lies in"),
    "two indexes": (lambda f: (f / f"b{INDEX}").write_text("{}"), "2 indexes"),
    "a shard cut short": (lambda f: (f / SHARDS[1]).write_bytes((f / SHARDS[1]).read_bytes()[:-1]), "no whole"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_checkpoint_is_refused_and_nothing_is_there(folder, tmp_path, name):
    change, told = BAD[name]
    change(folder)
    with pytest.raises(LayoutBridgeError, match=told):
        lb.rearrange_checkpoint(folder, tmp_path / "out", RULES)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_where_a_folder_cannot_be_written(folder, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a").touch()
    (tmp_path / "file").touch()
    for output, told in (("full", "not empty"), ("file", "new folder"), ("a.safetensors", "new folder"),
                         ("in", "not empty"), ("in/" + SHARDS[0], "overwrite")):  # fmt: skip
        with pytest.raises(LayoutBridgeError, match=told):
            lb.rearrange_checkpoint(folder, tmp_path / output, RULES)
    (tmp_path / "empty").mkdir()
    lb.rearrange_checkpoint(folder, tmp_path / "empty", RULES)
    assert len(list((tmp_path / "empty").iterdir())) == 3
