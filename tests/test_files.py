"""Files appear whole or not at all."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from layoutbridge.errors import UnusableInputError
from layoutbridge.files import refuse_overwriting, whole_file

ROOT = Path(__file__).resolve().parent.parent


def test_a_failure_leaves_what_was_there(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError), whole_file(path) as temporary:
        temporary.write_bytes(b"half")
        raise RuntimeError
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]
    with whole_file(path) as temporary:
        temporary.write_bytes(b"new")
    assert path.read_bytes() == b"new"


def test_links_pipes_and_modes_are_kept(tmp_path):
    target, link, pipe = tmp_path / "target", tmp_path / "link", tmp_path / "pipe"
    target.write_text("old")
    target.chmod(0o600)
    link.symlink_to(target)
    with whole_file(link) as temporary:
        temporary.write_text("new")
    assert link.is_symlink()
    assert target.read_text() == "new"
    assert target.stat().st_mode & 0o777 == 0o600
    os.mkfifo(pipe)
    reader = subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE)
    with whole_file(pipe) as temporary:
        temporary.write_text("through")
    assert reader.communicate()[0] == b"through"
    assert pipe.is_fifo()


def test_a_folder_can_be_written(tmp_path):
    with whole_file(tmp_path / "model") as temporary:
        temporary.mkdir()
        (temporary / "part").write_text("x")
    assert (tmp_path / "model" / "part").read_text() == "x"


def test_the_permissions_are_those_of_any_new_file(tmp_path):
    with whole_file(tmp_path / "a") as temporary:
        temporary.write_text("x")
    (tmp_path / "b").write_text("x")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


@pytest.mark.parametrize("path", ["no/such/folder/a", "", ".", "..", "/"])
def test_places_that_cannot_be_written(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnusableInputError), whole_file(path) as temporary:
        temporary.write_text("x")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", ["", ".", "..", "/", "-", "./", "net.onnx/"])
def test_what_is_no_file_name(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.cfg").write_text("x")
    said = rf"^'{path}' is no file name: say where to write$"
    with pytest.raises(UnusableInputError, match=said):
        refuse_overwriting(path, ["net.cfg"])
    with pytest.raises(UnusableInputError, match=said), whole_file(path):
        pass
    refuse_overwriting("folder/", ["net.cfg"])
    assert [p.name for p in tmp_path.iterdir()] == ["net.cfg"]


def test_the_temporary_path_bears_the_name_that_was_asked_for(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for there in (True, False):
        target, link = elsewhere / f"target{there}", tmp_path / f"net{there}.keras"
        if there:
            target.write_text("old")
        link.symlink_to(target)
        with whole_file(link) as temporary:
            assert temporary.name == link.name
            temporary.write_text("new")
        assert link.is_symlink()
        assert target.read_text() == "new"
    (tmp_path / "round").symlink_to(tmp_path / "round")
    with pytest.raises(UnusableInputError), whole_file(tmp_path / "round") as temporary:
        raise UnusableInputError
    assert len(list(elsewhere.iterdir())) == 2
    assert len(list(tmp_path.iterdir())) == 4


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="no device that is always full here")
def test_a_full_disk_is_told(tmp_path):
    link = tmp_path / "net.keras"
    link.symlink_to("/dev/full")
    said = r"^cannot write '.*{}': {}$"
    no_space = "No space left on device"
    with (
        pytest.raises(UnusableInputError, match=said.format("net.keras", no_space)),
        whole_file(link) as temporary,
    ):
        temporary.write_text("x")
    with (
        pytest.raises(UnusableInputError, match=said.format("net.keras", "Not a directory")),
        whole_file(link) as temporary,
    ):
        temporary.mkdir()
    for raised in (OSError(errno.ENOSPC, "in words"), RuntimeError("code 8: No space left on device; flush")):
        with pytest.raises(UnusableInputError, match=said.format("a", no_space)), whole_file(tmp_path / "a"):
            raise raised
    with pytest.raises(OSError, match="of something else"), whole_file(tmp_path / "a"):
        raise OSError(errno.EACCES, "of something else")
    assert [p.name for p in tmp_path.iterdir()] == ["net.keras"]


def test_a_folder_in_the_way_is_left_alone(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "precious").write_text("x")
    with pytest.raises(UnusableInputError), whole_file(tmp_path / "a") as temporary:
        temporary.write_text("x")
    with pytest.raises(UnusableInputError), whole_file(tmp_path / "a") as temporary:
        temporary.mkdir()
        (temporary / "other").write_text("y")
    assert (tmp_path / "a" / "precious").read_text() == "x"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_killed_export_leaves_no_half_file(tmp_path, number):
    script = (
        "import signal, sys, time\nfrom layoutbridge.files import refuse_overwriting, whole_file\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a parent in the background has it ignored
        f"with whole_file({str(tmp_path / 'a.bin')!r}) as temporary:\n"
        "    with temporary.open('wb') as file:\n        file.write(b'half')\n        file.flush()\n"
        "        print('writing', flush=True)\n        time.sleep(60)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT
    )
    assert process.stdout.readline() == b"writing\n"
    time.sleep(0.05)
    os.kill(process.pid, number)
    process.wait()
    assert not (tmp_path / "a.bin").exists()
    with whole_file(tmp_path / "a.bin") as temporary:
        temporary.write_bytes(b"whole")
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]


def test_a_terminated_command_cleans_up(tmp_path):
    script = (
        "import sys, time\nfrom layoutbridge import cli, files\n"
        "real = files._take\n"
        "def slow(*places):\n    print('writing', flush=True)\n    time.sleep(60)\n    real(*places)\n"
        "files._take = slow\n"
        f"sys.exit(cli.main(['table', 'focus', '--shape', '3,4,4', '-o', {str(tmp_path / 'a.npy')!r}]))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT
    )
    assert process.stdout.readline() == b"writing\n"
    process.terminate()
    assert process.wait() == 143
    assert list(tmp_path.iterdir()) == []
