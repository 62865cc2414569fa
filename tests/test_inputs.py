"""Opening files that nobody vouches for: each kind of wrong path is one line, and nothing waits or grows."""

import os
import threading

import pytest

from layoutbridge.errors import CfgError, LayoutBridgeError, ParameterError, UnusableInputError
from layoutbridge.inputs import (
    exists,
    file_size,
    is_folder,
    is_regular_file,
    memory_allowed,
    opened,
    read_bytes,
    seconds_allowed,
)

WRONG_PATHS = {
    "missing": ("nowhere/there", "there is no table 'nowhere/there'"),
    "folder": (".", "cannot read '.': it is a folder"),
    "NUL": ("a\0b", "cannot read 'a\\x00b': embedded null byte"),
    "too long": ("a" * 5000, "cannot read 'aaa"),
    "a half character": ("\ud800", "cannot read '\\ud800'"),
    "below a file": (f"{__file__}/x", "cannot read"),
    "device": ("/dev/zero", "cannot read '/dev/zero': it is a pipe or a device, and a regular file is wanted"),
}


@pytest.mark.parametrize("path,told", WRONG_PATHS.values(), ids=WRONG_PATHS)
def test_wrong_paths(path, told):
    for read in (
        lambda: file_size(path, "table"),
        lambda: read_bytes(path, "table", most=10),
        lambda: opened(path, "table").__enter__(),
    ):
        with pytest.raises(UnusableInputError) as caught:
            read()
        assert str(caught.value).startswith(told)
    assert not is_regular_file(path)
    assert is_folder(path) == (path == ".")
    assert exists(path) == (path in (".", "/dev/zero"))


def test_a_pipe_is_read_where_it_makes_sense_and_no_further_than_the_limit(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(UnusableInputError, match="a pipe or a device"):
        read_bytes(pipe, most=10)

    def write(content):
        with pipe.open("wb") as file:
            file.write(content)

    for content, limit in ((b"0123456789", 10), (b"0123456789a", 10)):
        writer = threading.Thread(target=write, args=(content,))
        writer.start()
        if len(content) <= limit:
            assert read_bytes(pipe, most=limit, pipe=True) == content
        else:
            with pytest.raises(CfgError, match=r"has more than 10 bytes, and a cfg at most 10"):
                read_bytes(pipe, "cfg", most=limit, pipe=True, error=CfgError)
        writer.join()
    with pytest.raises(UnusableInputError, match="more than 1,000 bytes"):
        read_bytes("/dev/zero", most=1000, pipe=True)


def test_limits_and_unreadable_files(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"12345")
    assert read_bytes(path, most=5) == b"12345"
    with pytest.raises(UnusableInputError, match=r"has 5 bytes, and a file at most 3"):
        read_bytes(path, most=3)
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything")
    with pytest.raises(UnusableInputError, match="Permission denied"):
        read_bytes(path, most=5)


def test_errors_show_what_could_steer_a_terminal():
    told = LayoutBridgeError("a\x1b[31mb\x07\u202e\ud800\nc é")
    assert str(told) == "a\\x1b[31mb\\x07\\u202e\\ud800\\nc é"
    assert str(CfgError("net.cfg, line 1: \x1b]0;x\x07")) == "net.cfg, line 1: \\x1b]0;x\\x07"


@pytest.mark.parametrize("text", ["", "many", "nan", "-1", "0", "1e99"])
def test_a_limit_in_the_environment_is_a_number(monkeypatch, text):
    monkeypatch.setenv("LAYOUTBRIDGE_MEGABYTES", text)
    monkeypatch.setenv("LAYOUTBRIDGE_SECONDS", text)
    for read, usual in ((memory_allowed, 1), (seconds_allowed, 60)):
        with pytest.raises(ParameterError, match="in the environment must be a number above 0"):
            read(usual)


def test_limits_are_lifted_by_the_environment(monkeypatch):
    assert memory_allowed(10) == 300_000_040
    assert seconds_allowed(60) == 60
    monkeypatch.setenv("LAYOUTBRIDGE_MEGABYTES", "2000")
    monkeypatch.setenv("LAYOUTBRIDGE_SECONDS", "0.5")
    assert memory_allowed(10) == 2_000_000_040
    assert seconds_allowed(60) == 0.5
