"""The file of a tree of classes: from which folders it is read, and that nothing of it is told."""

import os
import threading

import pytest

from layoutbridge.darknet import load
from layoutbridge.errors import CfgError

NET = "[net]\nwidth=4\nheight=4\nchannels=1\n[connected]\noutput=3\n[softmax]\ntree="
TREE = "animal -1\ndog 0\ncat 0\n"


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """A Darknet folder, one outside it, and a current folder elsewhere."""
    for name in ("darknet/cfg", "darknet/data", "outside", "here"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path


def written(path, content):
    path.write_text(content)
    return path


def read(cfg, tree, **options):
    return load(written(cfg, f"{NET}{tree}\n"), **options).layers[-1].settings.tree.names


@pytest.mark.parametrize("place", ["here/data", "darknet/cfg/data", "darknet/data"])
def test_a_tree_lies_in_the_current_folder_beside_the_cfg_or_beside_darknets_cfg_folder(folders, place):
    (folders / place).mkdir(exist_ok=True)
    written(folders / place / "9k.tree", TREE)
    assert read(folders / "darknet/cfg/net.cfg", "data/9k.tree") == ("animal", "dog", "cat")
    assert read(folders / "darknet/cfg/net.cfg", folders / place / "9k.tree") == ("animal", "dog", "cat")


def test_a_folder_of_another_name_does_not_open_the_one_above_it(folders):
    (folders / "darknet/nets").mkdir()
    written(folders / "darknet/data/9k.tree", TREE)
    with pytest.raises(CfgError, match="not found here nor beside the cfg"):
        read(folders / "darknet/nets/net.cfg", "data/9k.tree")


OUTSIDE = {
    "absolute": lambda tree, cfg: tree,
    "upwards": lambda tree, cfg: "../outside/secret",
    "far upwards": lambda tree, cfg: os.path.relpath(tree, cfg.parent),
    "a link": lambda tree, cfg: (cfg.parent / "link").symlink_to(tree) or "link",
    "a linked folder": lambda tree, cfg: (cfg.parent / "link").symlink_to(tree.parent) or "link/secret",
}


@pytest.mark.parametrize("name", OUTSIDE.values(), ids=OUTSIDE)
def test_a_tree_outside_is_refused_unless_its_folder_is_allowed(folders, name):
    cfg = folders / "darknet/cfg/net.cfg"
    tree = name(written(folders / "outside/secret", TREE), cfg)
    with pytest.raises(CfgError, match=r"outside the folder of the cfg and the current one: .*--allow-path"):
        read(cfg, tree)
    assert read(cfg, tree, allow_paths=[folders / "outside"]) == ("animal", "dog", "cat")
    assert read(cfg, "secret", allow_paths=[folders / "outside"]) == ("animal", "dog", "cat")


def test_the_root_of_all_folders_allows_nothing(folders, monkeypatch):
    secret = written(folders / "outside/secret", TREE)
    monkeypatch.chdir("/")
    with pytest.raises(CfgError, match="--allow-path"):
        read(folders / "darknet/cfg/net.cfg", secret)


@pytest.mark.parametrize("content", ["root:$6$salt:19000\n", "root 12345678901\n", "a -1\nroot 77\n", "root\n"])
def test_an_error_quotes_nothing_of_the_file(folders, content):
    written(folders / "here/x.tree", content)
    with pytest.raises(CfgError, match="of its tree") as caught:
        read(folders / "here/net.cfg", "x.tree")
    assert not any(word in str(caught.value) for word in ("root", "salt", "1234", "77"))


def test_a_pipe_a_device_or_a_large_file_is_no_tree(folders):
    os.mkfifo(folders / "here/pipe")
    (folders / "here/zero").symlink_to("/dev/zero")
    with (folders / "here/large").open("wb") as file:
        file.truncate(1 << 40)
    for name in ("pipe", "zero"):
        with pytest.raises(CfgError, match="not found"):
            read(folders / "here/net.cfg", name, allow_paths=["/dev"])
    with pytest.raises(CfgError, match="a tree at most 8,388,608"):
        read(folders / "here/net.cfg", "large")


def test_a_cfg_from_a_pipe_has_no_folder(folders):
    """What lies beside it, in /dev/fd, are other open files."""
    written(folders / "darknet/9k.tree", TREE)
    pipe = folders / "darknet/pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=(f"{NET}9k.tree\n",))
    writer.start()
    with pytest.raises(CfgError, match="not found here nor beside the cfg"):
        load(pipe)
    writer.join()
    written(folders / "here/9k.tree", TREE)
    writer = threading.Thread(target=pipe.write_text, args=(f"{NET}9k.tree\n",))
    writer.start()
    assert load(pipe).sources == {}
    writer.join()
