"""Every way in: files, folders, patterns, lists, arrays in both orders, films; and what of them cannot be read."""

import io
import json
import os
import shutil
import warnings
from threading import Thread

import numpy as np
import pytest

from layoutbridge.darknet import Detector, detect
from layoutbridge.darknet.detection.names import GuessedEncoding
from layoutbridge.darknet.detectors.detector import Unreadable
from layoutbridge.darknet.detectors.sources import how_many
from layoutbridge.errors import ParameterError, UnusableInputError
from tests.command_line import refused, run
from tests.conftest import FIXTURES

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")

NET = FIXTURES / "nets/alexey/yolo_head"
CFG, WEIGHTS = NET / "net.cfg", NET / "net.weights"
SIZES = ((60, 40), (31, 77), (16, 16), (120, 90), (50, 50))


@pytest.fixture(scope="module")
def detector():
    return Detector(CFG, WEIGHTS, framework="reference")


def pictures():
    random = np.random.default_rng(5)
    return [random.integers(0, 255, (height, width, 3), dtype=np.uint8) for width, height in SIZES]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("pictures")
    for number, array in enumerate(pictures()):
        Image.fromarray(array).save(made / f"{number}.png")
    (made / "readme.md").write_text("no picture")
    (made / "deeper").mkdir()
    return made


def plain(found):
    return [(one.class_index, one.score, one.left, one.top) for one in found]


def test_every_way_in_finds_the_same(detector, folder, tmp_path):
    files = sorted(folder.glob("*.png"))
    wanted = [plain(detector.detect(array)) for array in pictures()]
    assert sum(map(len, wanted)) > 20
    listed = tmp_path / "valid.txt"
    listed.write_text("\n".join(map(str, files)) + "\n")
    turned = [array[:, :, ::-1] for array in pictures()]
    ways = {
        "folder": folder,
        "pattern": f"{folder}/*.png",
        "list of files": [*map(str, files)],
        "paths": (*files,),
        "text file": str(listed),
        "arrays": pictures(),
        "bytes": [file.read_bytes() for file in files],
        "open files": [io.BytesIO(file.read_bytes()) for file in files],
        "images": [Image.open(file) for file in files],
        "iterator": iter(files),
    }
    for told, way in ways.items():
        for batch in (1, 3):
            if told not in ("iterator", "open files") or batch == 1:
                found = detector.detect(way, batch=batch)
                assert [plain(one) for one in found] == wanted, told
                assert found.unreadable == []
    assert [plain(one) for one in detector.detect(turned, color_order="BGR")] == wanted
    assert [plain(one) for one in detector.detect(turned)] != wanted
    assert [plain(one) for one in detector.stream(folder)] == wanted
    assert [plain(detector.detect(file)) for file in files] == wanted
    assert [how_many(way) for way in (str(folder), str(listed), pictures(), iter(files))] == [5, 5, 5, None]
    together = np.stack([pictures()[0]] * 2)
    assert [plain(one) for one in detector.detect(together)] == wanted[:1] * 2


def test_an_open_file_is_one_picture(detector, folder):
    wanted = detector.detect(folder / "0.png")
    assert len(wanted) > 2
    with open(folder / "0.png", "rb") as file:
        assert plain(detector.detect(file)) == plain(wanted)
        file.seek(0)
        assert len(detect(detector, file)) == len(wanted)
    assert plain(detector.detect(io.BytesIO((folder / "0.png").read_bytes()))) == plain(wanted)


def test_a_list_of_files_may_end_in_capitals(detector, folder, tmp_path):
    (tmp_path / "VALID.TXT").write_text(f"{folder}/0.png\r\n{folder}/1.png\r\n")
    assert [one.picture for one in detector.detect(tmp_path / "VALID.TXT")] == [f"{folder}/0.png", f"{folder}/1.png"]
    with pytest.raises(UnusableInputError, match=r"there is no list of pictures '.*NONE\.TXT'"):
        detector.detect(tmp_path / "NONE.TXT")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "gbk"])
def test_a_list_of_files_in_any_encoding(encoding, detector, folder, tmp_path):
    named = tmp_path / "照片"
    shutil.copytree(folder, named)
    wanted = [f"{named}/{number}.png" for number in range(2)]
    (tmp_path / "valid.txt").write_bytes("\r\n".join(wanted).encode(encoding))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert [one.picture for one in detector.detect(tmp_path / "valid.txt")] == wanted
    assert {one.category for one in told} == ({GuessedEncoding} if encoding in ("utf-16-le", "gbk") else set())


def test_the_bytes_of_a_list_may_be_the_names_on_the_disk(detector, folder, tmp_path):
    named = os.fsencode(tmp_path) + b"/" + "图.png".encode("gbk")
    try:
        shutil.copyfile(folder / "0.png", named)
    except OSError:
        pytest.skip("this disk takes names in UTF-8 alone")
    (tmp_path / "valid.txt").write_bytes(named + b"\n")
    (found,) = detector.detect(tmp_path / "valid.txt")
    assert plain(found) == plain(detector.detect(folder / "0.png"))


def test_what_is_no_list_of_files(detector, tmp_path):
    (tmp_path / "valid.txt").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")
    with pytest.raises(UnusableInputError, match=r"valid\.txt' holds no list of pictures: it is no text"):
        detector.detect(tmp_path / "valid.txt")


def test_what_has_no_name_is_told_by_its_number(detector, folder):
    arrays = pictures()[:2]
    mixed = [arrays[0], None, arrays[1].astype(np.float32), str(folder / "none.png"), b"none", arrays[1]]
    found = detector.detect(mixed)
    assert [plain(one) for one in found] == [plain(detector.detect(array)) for array in arrays]
    told = ["number 1 (from 0): there is no picture, but None", "number 2 (from 0): a picture is uint8"]
    told += ["there is no picture", "number 4 (from 0): the picture is no picture"]
    assert all(one.startswith(start) for one, start in zip(found.unreadable, told, strict=True)), found.unreadable
    with pytest.raises(UnusableInputError, match=r"there is no picture, but None, .*cv2\.imread"):
        detector.detect(None)


def test_paths_in_a_list_may_be_seen_from_the_list(detector, folder):
    (folder / "train.txt").write_text("0.png\n\n1.png\n")
    assert [len(one) for one in detector.detect(folder / "train.txt")] == [
        len(detector.detect(array)) for array in pictures()[:2]
    ]


def test_unreadable_pictures_are_told_and_the_rest_goes_on(detector, folder, tmp_path):
    good = (folder / "0.png").read_bytes()
    (tmp_path / "a.png").write_bytes(good)
    (tmp_path / "b.png").write_bytes(good[:40])
    (tmp_path / "c.jpg").write_bytes(b"none")
    (tmp_path / "d.png").write_bytes(good)
    found = detector.detect(tmp_path)
    assert [one.picture for one in found] == [str(tmp_path / "a.png"), str(tmp_path / "d.png")]
    assert len(found.unreadable) == 2
    assert all(name in told for name, told in zip(("b.png", "c.jpg"), found.unreadable, strict=True))
    with pytest.warns(Unreadable) as warned:
        assert len(list(detector.stream(tmp_path, batch=4))) == 2
    assert [str(one.message) for one in warned] == found.unreadable
    with pytest.raises(UnusableInputError, match=r"none of 2 pictures can be read: .*b\.png"):
        detector.detect([tmp_path / "b.png", tmp_path / "c.jpg"])
    with pytest.raises(UnusableInputError, match="there is no"):
        detector.detect(tmp_path / "none.png")
    with pytest.raises(UnusableInputError, match="no file is like"):
        detector.detect(f"{tmp_path}/*.tif")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UnusableInputError, match="has no pictures"):
        detector.detect(tmp_path / "empty")


def test_a_film_of_the_pictures(detector, tmp_path):
    av = pytest.importorskip("av", reason="PyAV is not installed")
    arrays = [np.array(Image.fromarray(array).resize((64, 48))) for array in pictures()]
    path = tmp_path / "film.mkv"
    with av.open(path, "w") as container:
        stream = container.add_stream("ffv1", rate=5)  # which loses nothing
        stream.width, stream.height, stream.pix_fmt = 64, 48, "bgr0"
        for array in arrays:
            for packet in stream.encode(av.VideoFrame.from_ndarray(array, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    found = detector.detect(path)
    assert [plain(one) for one in found] == [plain(detector.detect(array)) for array in arrays]
    assert [one.frame for one in found] == [0, 1, 2, 3, 4] and {one.picture for one in found} == {str(path)}
    kept = list(detector.stream(path))
    assert [np.array(one.image).tolist() for one in kept] == [array.tolist() for array in arrays]
    kept[0].save(tmp_path / "frame.png")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    assert 0 < len(detector.detect(path)) < 5
    (tmp_path / "no.mp4").write_bytes(b"no film")
    with pytest.raises(UnusableInputError, match=r"cannot open '.*no\.mp4'"):
        detector.detect(tmp_path / "no.mp4")
    with pytest.raises(UnusableInputError, match="cannot open 'camera:77'"):
        next(detector.stream("camera:77"))


def test_options(detector):
    array = pictures()[0]
    everything = detector.detect(array, confidence=0, nms=None)
    few = detector.detect(array, confidence=0, nms=None, most=10)
    assert plain(few) == plain(everything)[:10] and few.left_out == len(everything) - 10
    assert str(few).endswith(f"{len(everything) - 10} more") and everything.left_out == 0
    for wrong in ({"most": 0}, {"batch": 0}, {"color_order": "GBR"}, {"nms_kind": "none"}, {"confidence": 2}):
        with pytest.raises(ParameterError):
            detector.detect(array, **wrong)
    with pytest.raises(TypeError, match="detect has no option 'treshold'; it has confidence"):
        detector.detect(array, treshold=0.5)


def test_the_command(folder, tmp_path, capfd):
    drawn, labels, coco = tmp_path / "drawn", tmp_path / "labels", tmp_path / "coco.json"
    reference = ("--framework", "reference")
    code, out, err = run(capfd, "detect", *map(str, (CFG, WEIGHTS, folder, "-o", drawn, "--save-txt", labels)),
                         "--save-coco", str(coco), *reference)  # fmt: skip
    assert code == 0, err
    assert [line.split(":")[0] for line in out.splitlines()] == [str(folder / f"{k}.png") for k in range(5)]
    assert sorted(path.name for path in drawn.iterdir()) == [f"{k}.png" for k in range(5)]
    found = Detector(CFG, WEIGHTS, framework="reference").detect(folder)
    assert [(labels / f"{k}.txt").read_text().splitlines() for k in range(5)] == [
        one.to_yolo().splitlines() for one in found
    ]
    entries = json.loads(coco.read_text())
    assert len(entries) == sum(map(len, found)) and {entry["image_id"] for entry in entries} == set("01234")
    first, second = str(folder / "0.png"), str(folder / "1.png")
    called = ("detect", str(CFG), str(WEIGHTS), first, second, *reference)
    assert "which drawings would overwrite" in refused(capfd, *called, "-o", str(folder))
    assert "0.txt' exists: give another folder" in refused(capfd, *called, "--save-txt", str(labels))
    assert run(capfd, *called, "--save-txt", str(labels), "--force")[0] == 0
    _, out, _ = run(capfd, "detect", str(CFG), str(WEIGHTS), first, second, "--json", *reference)
    assert [len(each["detections"]) for each in json.loads(out)] == [len(one) for one in found[:2]]
    (tmp_path / "bad.png").write_bytes(b"none")
    bad = str(tmp_path / "bad.png")
    code, out, err = run(capfd, "detect", str(CFG), str(WEIGHTS), bad, first, *reference)
    assert code == 0 and "left out: '" in err and len(out.splitlines()) == 1
    for wrong, told in (
        ((), "needs its weights and a picture"),
        ((bad,), "is no picture that can be read"),
        ((bad, bad), "can be read"),
        ((first, "--max", "-1"), "--max must be between 1 and"),
        ((first, "--framework", "caffe"), "caffe"),
    ):
        assert told in refused(capfd, "detect", str(CFG), str(WEIGHTS), *wrong)


def test_one_picture_may_be_drawn_into_a_folder(capfd, folder, tmp_path):
    """As a pattern that the shell has filled in with a single file."""
    net = ("detect", str(CFG), str(WEIGHTS))
    options = ("--framework", "reference")
    assert run(capfd, *net, str(folder / "0.png"), "-o", str(tmp_path / "0.png"), *options)[0] == 0
    wanted = (tmp_path / "0.png").read_bytes()
    (tmp_path / "there").mkdir()
    for place in ("there", "new/", "new/", "deep/new/"):
        code, _, err = run(capfd, *net, str(folder / "0.png"), "-o", f"{tmp_path}/{place}", *options)
        assert code == 0 and f"wrote {tmp_path / place / '0.png'}" in err, err
        assert (tmp_path / place / "0.png").read_bytes() == wanted
    told = refused(capfd, *net, str(folder / "0.png"), "-o", f"{folder}/", *options)
    assert "would overwrite the input" in told


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_among_several_is_read_once(capfd, folder, tmp_path):
    def said(first):
        code, out, err = run(
            capfd, "detect", str(CFG), str(WEIGHTS), first, str(folder / "1.png"), "-o", str(tmp_path / "drawn"),
            "--framework", "reference",
        )  # fmt: skip
        return code, out.replace(first, "first"), err

    def filled(content):
        writer = Thread(target=pipe.write_bytes, args=(content,), daemon=True)
        writer.start()
        told = said(str(pipe))
        writer.join(5)
        return told

    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    wanted = said(str(folder / "0.png"))
    assert wanted[0] == 0
    assert filled((folder / "0.png").read_bytes()) == wanted
    assert (tmp_path / "drawn/pipe.png").read_bytes() == (tmp_path / "drawn/0.png").read_bytes()
    code, out, err = filled(b"none")
    assert (code, len(out.splitlines())) == (0, 1)
    assert f"left out: '{pipe}' is no picture" in err
