"""NumPy's archives: what NumPy wrote comes back from NumPy moved, and undone as it was."""

import io
import zipfile

import numpy as np
import pytest

import layoutbridge as lb
from layoutbridge.errors import LayoutBridgeError

RULES = [{"tensors": "{w,f,big,s}*", "pattern": "a b -> b a"}]


def arrays():
    draw = np.random.default_rng(3)
    return {
        "w": draw.random((6, 5)).astype("f4"),
        "f": np.asfortranarray(draw.random((3, 4))),
        "big": np.arange(12, dtype=">i4").reshape(4, 3),
        "structured": np.zeros((2, 3), [("a", "i4"), ("b", "U2")]),
        "bias": draw.random(7),
        "nothing": np.zeros((0, 3)),
        "number": np.float64(4),
    }


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_are_moved_and_come_back(tmp_path, save):
    held = arrays()
    save(tmp_path / "in.npz", **held)
    done = lb.rearrange_checkpoint(tmp_path / "in.npz", tmp_path / "out.npz", RULES)
    assert [change.name for change in done.changes] == ["w", "f", "big", "structured"]
    with np.load(tmp_path / "out.npz") as found:
        assert list(found) == list(held)
        for name, array in held.items():
            expected = array.T if name[0] in "wfs" or name == "big" else array
            assert (found[name].dtype, found[name].shape) == (expected.dtype, expected.shape)
            assert np.array_equal(found[name], expected)
    lb.rearrange_checkpoint(tmp_path / "out.npz", tmp_path / "back.npz", RULES, undo=True)
    with zipfile.ZipFile(tmp_path / "in.npz") as one, zipfile.ZipFile(tmp_path / "back.npz") as other:
        for left, right in zip(one.infolist(), other.infolist(), strict=True):
            assert (left.filename, left.compress_type, left.date_time) == (
                right.filename,
                right.compress_type,
                right.date_time,
            )
            assert one.read(left) == other.read(right)
    assert (tmp_path / "back.npz").read_bytes() == (
        tmp_path / "in.npz"
    ).read_bytes()  # NumPy writes them as zipfile does


def test_pickled_objects_are_copied_and_never_loaded(tmp_path):
    class Evil:
        def __reduce__(self):
            return (exec, ("raise SystemExit('ran')",))

    np.savez(tmp_path / "in.npz", w=np.zeros((2, 3)), o=np.array([[Evil()]], object))
    with zipfile.ZipFile(tmp_path / "in.npz", "a") as archive:
        archive.writestr("notes.txt", "as they are")
        archive.comment = b"a comment"
    lb.rearrange_checkpoint(tmp_path / "in.npz", tmp_path / "out.npz", RULES)
    with zipfile.ZipFile(tmp_path / "in.npz") as one, zipfile.ZipFile(tmp_path / "out.npz") as other:
        assert one.namelist() == other.namelist()
        assert other.comment == b"a comment"
        assert one.read("o.npy") == other.read("o.npy")
        assert other.read("notes.txt") == b"as they are"
    with pytest.raises(LayoutBridgeError, match="tensor 'o': elements of object"):
        lb.rearrange_checkpoint(tmp_path / "in.npz", tmp_path / "x.npz", [{"tensors": "o", "pattern": "a b -> b a"}])


def member(shape="(2, 3)", descr="'<f8'", data=b"\0" * 48, magic=b"\x93NUMPY\x01\0"):
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".ljust(117).encode() + b"\n"
    return magic + len(header).to_bytes(2, "little") + header + data


BAD = {
    "too few bytes": member(data=b"\0" * 40),
    "too many bytes": member(data=b"\0" * 56),
    "a huge shape": member(shape="(2**60,)"),
    "more than there is": member(shape=f"({2**62}, {2**62})"),
    "negative": member(shape="(-2, -3)"),
    "a truth value": member(shape="(True, 6)"),
    "no dtype": member(descr="'zz'"),
    "code": member(descr="__import__('os').abort()"),
    "no array": b"something else",
    "nothing": b"",
    "of the future": member(magic=b"\x93NUMPY\x09\0"),
}


@pytest.mark.parametrize("name", BAD)
def test_members_that_are_no_arrays_are_refused(tmp_path, name):
    with zipfile.ZipFile(tmp_path / "in.npz", "w") as archive:
        archive.writestr("w.npy", BAD[name])
    with pytest.raises(LayoutBridgeError, match=r"in.npz' is no whole archive of arrays"):
        lb.rearrange_checkpoint(tmp_path / "in.npz", tmp_path / "out.npz", RULES)
    assert [path.name for path in tmp_path.iterdir()] == ["in.npz"]


@pytest.mark.slow
def test_archives_that_are_broken_are_refused(tmp_path):
    np.savez_compressed(tmp_path / "good.npz", w=np.random.default_rng(0).random((40, 50)))
    content = (tmp_path / "good.npz").read_bytes()
    with zipfile.ZipFile(tmp_path / "good.npz") as archive:
        start = archive.infolist()[0].header_offset + 60
    for number, broken in enumerate(
        (content[:-30], b"", b"PK", content[: start + 500] + b"\xff" * 40 + content[start + 540 :])
    ):
        source = tmp_path / f"{number}.npz"
        source.write_bytes(broken)
        with pytest.raises(LayoutBridgeError):
            lb.rearrange_checkpoint(source, tmp_path / "out.npz", RULES)
    bomb = io.BytesIO()
    with (
        zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("w.npy", "w", force_zip64=True) as file,
    ):
        file.write(member(shape=f"({2**16}, {2**13})", descr="'u1'", data=b""))
        for _ in range(512):
            file.write(bytes(1 << 20))
    (tmp_path / "bomb.npz").write_bytes(bomb.getvalue())
    with pytest.raises(LayoutBridgeError, match="LAYOUTBRIDGE_MEGABYTES"):
        lb.rearrange_checkpoint(tmp_path / "bomb.npz", tmp_path / "out.npz", RULES)
    assert not (tmp_path / "out.npz").exists()
