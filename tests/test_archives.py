"""Zip archives: what one may declare, and every way in which one can lie."""

import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from layoutbridge.archives import checked_zip
from layoutbridge.errors import CfgError, UnusableInputError


def written(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def changed(path: Path, signature: bytes, offset: int, value: bytes) -> Path:
    """The archive with `value` at `offset` of every header that begins with `signature`."""
    content = bytearray(path.read_bytes())
    at = content.find(signature)
    while at >= 0:
        content[at + offset : at + offset + len(value)] = value
        at = content.find(signature, at + 1)
    path.write_bytes(content)
    return path


def overlapping(path: Path) -> Path:
    """Every member's entry names the one kernel in front, as in Fifield's archives."""
    written(path, {f"m{k}": b"\0" * 1_000_000 for k in range(50)})
    return changed(path, b"PK\1\2", 42, struct.pack("<I", 0))


def test_a_whole_archive_gives_its_members(tmp_path):
    np.savez(tmp_path / "a.npz", input=np.zeros(3), layer00=np.zeros(4))
    np.savez_compressed(tmp_path / "b.npz", input=np.zeros(3))
    assert [member.filename for member in checked_zip(tmp_path / "a.npz")] == ["input.npy", "layer00.npy"]
    assert len(checked_zip(tmp_path / "b.npz")) == 1
    assert checked_zip(written(tmp_path / "empty.zip", {})) == ()


LIES = {
    "encrypted": (lambda p: changed(written(p, {"a": b"1"}), b"PK\1\2", 8, b"\1\0"), "'a' that is encrypted"),
    "another compression": (lambda p: written(p, {"a": b"1" * 99}, zipfile.ZIP_LZMA), "not read .number 14."),
    "bzip2": (lambda p: written(p, {"a": b"1" * 99}, zipfile.ZIP_BZIP2), "not read .number 12."),
    "upwards": (lambda p: written(p, {"../a": b"1"}), "lead out of the archive"),
    "upwards on Windows": (lambda p: written(p, {"b\\..\\..\\a": b"1"}), "lead out of the archive"),
    "absolute": (lambda p: written(p, {"/etc/a": b"1"}), "lead out of the archive"),
    "a drive": (lambda p: written(p, {"c:/a": b"1"}), "lead out of the archive"),
    "no zip": (lambda p: p.write_bytes(b"PK\3\4" + bytes(100)), "no whole npz"),
    "cut": (lambda p: p.write_bytes(written(p, {"a": b"12345" * 99}).read_bytes()[:-30]), "no whole npz"),
    "stored, and longer": (
        lambda p: changed(written(p, {"a": b"123"}, zipfile.ZIP_STORED), b"PK\1\2", 24, struct.pack("<I", 99)),
        "said to have 99 bytes, and holds 3",
    ),
    "several of one name": (
        lambda p: changed(written(p, {"a": b"1", "b": b"2"}), b"PK\1\2", 46, b"a"),
        "several members of one name",
    ),
    "overlapping": (overlapping, "lie over each other"),
    "many": (lambda p: written(p, {str(k): b"" for k in range(10_001)}), "10,001 members, and a npz at most 10,000"),
    "a long list": (lambda p: written(p, {f"{k:0300}": b"" for k in range(9_000)}), "more members than a npz may have"),
}


@pytest.mark.parametrize("make,told", LIES.values(), ids=LIES)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_what_lies_is_refused(tmp_path, make, told):
    make(tmp_path / "a.npz")
    with pytest.raises(UnusableInputError, match=told) as caught:
        checked_zip(tmp_path / "a.npz", "npz")
    assert "\n" not in str(caught.value)


def test_what_unpacks_to_far_more_than_its_size_is_refused_until_the_limit_is_lifted(tmp_path, monkeypatch):
    archive = written(tmp_path / "a.zip", {f"m{k}": bytes(2_000_000) for k in range(8)})
    monkeypatch.setenv("LAYOUTBRIDGE_MEGABYTES", "3")
    with pytest.raises(UnusableInputError, match=r"would take 16 MB .* may take 3: .*LAYOUTBRIDGE_MEGABYTES=16"):
        checked_zip(archive)
    with pytest.raises(CfgError, match="unpacks to 16,000,000 bytes, and a file to at most 9"):
        checked_zip(archive, "file", most=9, error=CfgError)
    monkeypatch.setenv("LAYOUTBRIDGE_MEGABYTES", "16")
    assert len(checked_zip(archive)) == 8
