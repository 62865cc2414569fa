"""A whole evaluation: from files of every kind to both counts, in Python and on the command line."""

import json

import numpy as np
import pytest

from layoutbridge import darknet
from layoutbridge.darknet import Detector, evaluate
from layoutbridge.errors import MissingFrameworkError, ParameterError, UnusableInputError
from tests.command_line import refused, run
from tests.conftest import FIXTURES

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")

NET = FIXTURES / "nets/alexey/yolo_head"
CFG, WEIGHTS = NET / "net.cfg", NET / "net.weights"
NAMES = ["dog", "cat", "bird", "sign"]
SIZES = ((60, 40), (31, 77), (16, 16), (120, 90), (50, 50))


@pytest.fixture(scope="module")
def detector():
    return Detector(CFG, WEIGHTS, framework="reference", names=NAMES)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, detector):
    """Pictures, labelled with some of what is found in them, moved a little."""
    made = tmp_path_factory.mktemp("labelled")
    random = np.random.default_rng(5)
    for number, (width, height) in enumerate(SIZES):
        array = random.integers(0, 255, (height, width, 3), dtype=np.uint8)
        Image.fromarray(array).save(made / f"{number}.png")
        found = detector.detect(array, confidence=0.3)
        rows = [
            f"{one.class_index} " + " ".join(f"{share:.5f}" for share in xywh * random.uniform(0.9, 1.1, 4))
            for one, xywh in zip(found[::2], found.xywhn[::2], strict=True)
        ]
        (made / f"{number}.txt").write_text("\n".join(rows))
    (made / "valid.txt").write_text("".join(f"{number}.png\n" for number in range(5)))
    (made / "my.names").write_text("\n".join(NAMES))
    (made / "my.data").write_text("classes = 4\nvalid = valid.txt\nnames = my.names\n")
    return made


@pytest.fixture
def annotations(folder, tmp_path):
    images, boxes = [], []
    for number, (width, height) in enumerate(SIZES):
        images.append({"id": 100 + number, "file_name": f"{number}.png", "width": width, "height": height})
        for line in (folder / f"{number}.txt").read_text().splitlines():
            index, x, y, w, h = map(float, line.split())
            bbox = [(x - w / 2) * width, (y - h / 2) * height, w * width, h * height]
            boxes.append({"image_id": 100 + number, "category_id": 10 + int(index), "bbox": bbox})
    categories = [{"id": 10 + index, "name": name} for index, name in enumerate(NAMES)]
    path = tmp_path / "annotations.json"
    path.write_text(json.dumps({"images": images, "annotations": boxes, "categories": categories}))
    return path


def test_the_same_in_batches_and_with_progress(detector, folder):
    told = []
    one = evaluate(detector, folder / "my.data", progress=lambda done, total: told.append((done, total)))
    assert told == [(done, 5) for done in range(1, 6)]
    assert one.pictures == 5 and 0.1 < one.darknet.mean_average_precision < 0.9 and one.coco is None
    assert evaluate(detector, folder / "my.data", batch=3) == one
    assert evaluate(detector, folder / "my.data", iou=0.9).darknet.mean_average_precision < 0.5
    assert evaluate(detector, folder / "my.data", threshold=0.9).darknet.true_positives < one.darknet.true_positives
    assert evaluate(detector, folder / "my.data", letterbox=True).darknet != one.darknet
    assert evaluate(detector, folder / "my.data", nms=0.1).darknet.detections < one.darknet.detections
    opened = evaluate(darknet.load(CFG, WEIGHTS), folder / "my.data")
    assert [row.label for row in opened.darknet.classes] == NAMES
    assert opened.darknet.mean_average_precision == pytest.approx(one.darknet.mean_average_precision, abs=1e-4)


def test_annotations_and_labels_count_alike(detector, folder, annotations):
    pytest.importorskip("faster_coco_eval", reason="faster-coco-eval is not installed")
    labels = evaluate(detector, folder / "my.data", count="both")
    coco = evaluate(detector, annotations, pictures=folder)
    assert coco.darknet.mean_average_precision == pytest.approx(labels.darknet.mean_average_precision, abs=1e-6)
    assert coco.coco.ap == pytest.approx(labels.coco.ap, abs=1e-6) and 0 < coco.coco.ap < coco.coco.ap50
    assert evaluate(detector, annotations, pictures=folder, count="coco").darknet is None
    assert "COCO's AP" in str(coco) and "area= small" in coco.table()


def test_results_in_every_form(detector, folder):
    result = evaluate(detector, folder / "my.data")
    count = result.darknet
    assert str(result).endswith(f"my.data: mAP@0.50 {count.mean_average_precision:.2%}")
    read = json.loads(result.to_json())
    assert read["darknet"]["classes"][2]["label"] == "bird" and read["darknet"]["truths"] == count.truths
    columns = result.to_columns()
    assert columns["true_positives"] == [row.true_positives for row in count.classes]
    lines = result.table().splitlines()
    assert lines[0] == f"detections_count = {count.detections}, unique_truth_count = {count.truths}"
    assert lines[-1].startswith(f"mean average precision (mAP@0.50) = {count.mean_average_precision:.6f}, or ")
    with pytest.raises(AttributeError):
        result.pictures = 3


def test_pictures_and_labels_that_are_missing(detector, folder, tmp_path):
    for path in folder.glob("*.txt"):
        (tmp_path / path.name).write_text(path.read_text())
    for path in folder.glob("*.png"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "my.data").write_text("valid = valid.txt")
    (tmp_path / "0.txt").unlink()
    (tmp_path / "1.png").write_bytes(b"none")
    (tmp_path / "2.png").unlink()
    whole, part = (evaluate(detector, each / "my.data") for each in (folder, tmp_path))
    assert part.without_labels == (str(tmp_path / "0.png"),)
    assert [name in told for name, told in zip(("1.png", "2.png"), part.unreadable, strict=True)] == [True] * 2
    gone = len((folder / "0.txt").read_text().splitlines())
    assert part.darknet.truths == whole.darknet.truths - gone and part.pictures == 5
    for number in range(5):
        (tmp_path / f"{number}.png").unlink(missing_ok=True)
    with pytest.raises(UnusableInputError, match=r"none of 5 pictures can be read: .*0\.png"):
        evaluate(detector, tmp_path / "my.data")


def test_options_that_are_wrong(detector, folder, annotations, monkeypatch):
    data = folder / "my.data"
    wrongs = ({"iou": 2}, {"points": 1}, {"points": True}, {"points": -11}, {"threshold": -1}, {"nms": 3})
    for wrong in (*wrongs, {"batch": 0}, {"count": "voc"}, {"pictures": folder}, {"names": NAMES}):
        with pytest.raises(ParameterError):
            evaluate(detector, data, **wrong)
    with pytest.raises(UnusableInputError, match="3 names were given for the model's 4 classes"):
        evaluate(darknet.load(CFG, WEIGHTS), data, names=["a", "b", "c"])
    monkeypatch.setitem(__import__("sys").modules, "faster_coco_eval", None)
    with pytest.raises(MissingFrameworkError, match=r"faster-coco-eval is not installed: pip install .*\[coco\]"):
        evaluate(detector, annotations, pictures=folder)


def test_the_command_with_cocos_numbers(folder, capfd):
    pytest.importorskip("faster_coco_eval", reason="faster-coco-eval is not installed")
    called = ("map", str(CFG), str(WEIGHTS), "--framework", "reference", "--data", str(folder / "my.data"))
    code, out, err = run(capfd, *called, "--count", "both")
    coco = evaluate(Detector(CFG, WEIGHTS, framework="reference"), folder / "my.data", count="coco").coco
    assert (code, err) == (0, "") and f"mAP@[.5:.95] = {coco.ap:.6f}\n" in out
    assert f"{coco.class_aps[2]:.3f}" in next(line for line in out.splitlines() if line.startswith("bird"))


def test_the_command(folder, capfd, annotations):
    called = ("map", str(CFG), str(WEIGHTS), "--framework", "reference")
    code, out, err = run(capfd, *called, "--data", str(folder / "my.data"), "--points", "11")
    assert (code, err) == (0, "")
    result = evaluate(Detector(CFG, WEIGHTS, framework="reference"), folder / "my.data", points=11)
    assert f"mAP@0.50 = {result.darknet.mean_average_precision:.6f}" in out and "(at 11 recalls)" in out
    assert [line.split()[0] for line in out.splitlines()[1:5]] == NAMES
    code, out, _ = run(capfd, *called, "--data", str(folder / "my.data"), "--json")
    assert json.loads(out)["darknet"]["points"] == 0
    code, out, err = run(capfd, *called, "--coco", str(annotations), "--pictures", str(folder), "--count", "darknet")
    assert code == 0 and "are taken in order: dog, cat, bird, sign are no names" in err
    for wrong, told in (
        ((), "give either --data"),
        (("--data", "a.data", "--coco", "b.json"), "give either --data"),
        (("--data", "a.json"), "give it as --coco"),
        (("--coco", "a.data"), "--coco takes a .json"),
        (("--data", "none.data"), "there is no"),
        (("--data", str(folder / "my.data"), "--points", "12"), "--points must be one of 0, 11, 101"),
        (("--data", str(folder / "my.data"), "--count", "voc"), "count is darknet, coco, both"),
    ):
        assert told in refused(capfd, *called, *wrong)
    assert "needs its weights" in refused(capfd, "map", str(CFG), "--data", str(folder / "my.data"))


@pytest.mark.parametrize("framework", ["onnx", "openvino"])
def test_a_cfg_with_its_weights_over_many_pictures(framework, folder, tmp_path):
    """So many that a model on each core looks at them: what they count is what one model counts."""
    pytest.importorskip("onnxruntime" if framework == "onnx" else framework, reason=f"{framework} is not installed")
    pytest.importorskip("onnx", reason="onnx is not installed")
    many = [f"{folder}/{number % 5}.png\n" for number in range(40)]
    many[3], many[33] = "none.png\n", f"{folder}/0.txt\n"  # neither can be read
    (tmp_path / "valid.txt").write_text("".join(many))
    (tmp_path / "my.data").write_text(f"classes = 4\nvalid = valid.txt\nnames = {folder}/my.names\n")
    result = evaluate(CFG, tmp_path / "my.data", weights=WEIGHTS, framework=framework)
    one = Detector(CFG, WEIGHTS, framework=framework, threads=1, names=NAMES)
    wanted = evaluate(one, tmp_path / "my.data")
    assert (result.pictures, len(result.unreadable), result.unreadable) == (40, 2, wanted.unreadable)
    assert result.darknet == wanted.darknet and result.darknet.detections > 100
    with pytest.raises(ParameterError, match="a Detector has its weights already: give weights when it is made"):
        evaluate(one, tmp_path / "my.data", weights=WEIGHTS)
    with pytest.raises(ParameterError, match="needs its weights"):
        evaluate(CFG, tmp_path / "my.data")
