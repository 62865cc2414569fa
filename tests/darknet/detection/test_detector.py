"""Detection from a picture to labelled boxes on it, with exported models run in onnxruntime."""

import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from layoutbridge.darknet import load
from layoutbridge.darknet.detection import boxes
from layoutbridge.darknet.detection.detections import Detections
from layoutbridge.darknet.detection.drawing import draw
from layoutbridge.darknet.detection.names import read_names
from layoutbridge.darknet.detection.objects import Detection
from layoutbridge.darknet.detection.suppression import suppress
from layoutbridge.darknet.detectors.detector import Detector, detect
from layoutbridge.errors import MissingFrameworkError, ParameterError, UnsupportedError, UnusableInputError
from tests.conftest import FIXTURES

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
pytest.importorskip("onnx", reason="onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

from layoutbridge.darknet.ports.onnx import write_onnx  # noqa: E402

NETS = sorted(path.parent for path in FIXTURES.glob("nets/*/*/boxes.npz"))
each_net = pytest.mark.parametrize("folder", NETS, ids=lambda folder: f"{folder.parent.name}-{folder.name}")
NAMES = ["dog", "cat", "bird", "traffic light"]
YOLO = FIXTURES / "nets/alexey/yolo_head"
ORIGINAL = FIXTURES / "nets/pjreddie/yolo_head"


def floats(values: Any) -> Any:
    return np.array(values, np.float32)


@cache
def net_of(folder: Path) -> Any:
    return load(folder / "net.cfg", folder / "net.weights", flavor=folder.parent.name)


@cache
def outputs_of(folder: Path) -> dict[str, Any]:
    with np.load(folder / "outputs.npz") as held:
        return {name: held[name] for name in held.files}


def exported(folder: Path, path: Path, head: str = "boxes", **options: Any) -> Path:
    net = net_of(folder)
    write_onnx(net.network, net.parameters, path, head=head, **options)
    return path


def run(path: Path, x: Any) -> list[Any]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return list(session.run(None, {"input": x}))


# ---------------------------------------------------------------------- exported heads


@each_net
def test_an_exported_head_gives_darknets_boxes(folder: Path, tmp_path: Path) -> None:
    network, held = net_of(folder).network, outputs_of(folder)
    layers = {int(name[5:]): array[None] for name, array in held.items() if name.startswith("layer")}
    expected = boxes.decode(network, layers)
    x = np.stack([held["input"], np.flip(held["input"])])
    both = run(exported(folder, tmp_path / "a.onnx"), x)[0]
    assert both.shape == (2, *expected.shape[1:])
    largest = np.maximum(np.abs(expected[0]).max(axis=0), 1)
    assert (np.abs(both[0] - expected[0]) / largest).max() <= 1e-5
    with np.load(folder / "boxes.npz") as golden:  # and what Darknet itself recorded, where no pixels are meant
        same = golden["same"]
    if network.layers[-1].kind != "detection":
        assert np.abs(both[0][:, :5] - same[:, :5]).max() <= 1e-5
        over = same[:, 5:] > 0
        assert np.abs(both[0][:, 5:] - same[:, 5:])[over].max() <= 1e-5


@each_net
@pytest.mark.parametrize("head", ["yolov5", "yolov8"])
def test_other_layouts_hold_the_same(folder: Path, head: str, tmp_path: Path) -> None:
    network, x = net_of(folder).network, outputs_of(folder)["input"][None]
    shares = run(exported(folder, tmp_path / "a.onnx"), x)[0][0]
    given = run(exported(folder, tmp_path / "b.onnx", head), x)[0][0]
    rows = given if head == "yolov5" else given.T
    scores = rows[:, 4:5] * rows[:, 5:] if head == "yolov5" else rows[:, 4:]
    scale = floats([network.width, network.height] * 2)
    assert np.allclose(rows[:, :4], shares[:, :4] * scale, rtol=1e-5, atol=1e-4)
    assert np.allclose(scores, shares[:, 5:], rtol=1e-5, atol=1e-6)


@each_net
def test_suppression_in_the_model_keeps_what_darknets_keeps(folder: Path, tmp_path: Path) -> None:
    x = outputs_of(folder)["input"][None]
    rows, kept = run(exported(folder, tmp_path / "a.onnx", nms=True), x)
    scores = rows[0].copy()
    scores[:, 5:][scores[:, 5:] <= 0.25] = 0
    numbered = np.concatenate([scores, np.arange(len(scores), dtype=np.float32)[:, None]], axis=1)
    left = {column: numbered[:, [0, 1, 2, 3, 4, column, -1]] for column in range(5, scores.shape[1])}
    expected = set()
    for column, alone in left.items():
        survivors = suppress(alone[:, :6], 0.45)
        places = {tuple(row[:4].tolist()): int(number) for row, number in zip(alone, alone[:, -1], strict=True)}
        expected |= {(column - 5, places[tuple(row[:4].tolist())]) for row in survivors if row[5] > 0}
    assert {(int(label), int(box)) for _, label, box in kept} == expected


# ---------------------------------------------------------------------- from a picture to boxes on it


def picture(width: int = 60, height: int = 40) -> Any:
    return np.random.default_rng(9).integers(0, 255, (height, width, 3), dtype=np.uint8)


def giving(rows: Any, folder: Path) -> Detector:
    """The detector of a network that gives these rows, whatever it is fed."""
    detector = Detector(net_of(folder), framework="reference", names=NAMES)
    vars(detector)["rows"] = lambda x: rows[None]
    return detector


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(YOLO, tmp_path_factory.mktemp("model") / "yolo.onnx", names=NAMES)


def key_of(found: Detections) -> list[tuple[Any, ...]]:
    return [(d.class_index, d.label) for d in found]


def test_a_file_and_its_network_find_the_same(model: Path) -> None:
    by_file = detect(model, picture())
    by_network = detect(net_of(YOLO), picture(), names=NAMES, framework="reference")
    assert len(by_file) > 5
    assert key_of(by_file) == key_of(by_network)
    for one, other in zip(by_file, by_network, strict=True):
        ours = (one.score, one.left, one.top, one.width, one.height)
        theirs = (other.score, other.left, other.top, other.width, other.height)
        assert ours == pytest.approx(theirs, rel=1e-4, abs=1e-3)


@pytest.mark.parametrize("name", ["wide", "tall"])
@pytest.mark.parametrize("folder", [YOLO, ORIGINAL], ids=lambda folder: folder.parent.name)
def test_boxes_are_put_back_as_darknet_does(folder: Path, name: str) -> None:
    """The network's own golden input stands for a letterboxed picture: what is found must be Darknet's boxes."""
    with np.load(folder / "boxes.npz") as golden:
        kept = suppress(golden[name], 0.45)
        width, height, _ = (int(number) for number in golden[f"{name}_image"])
    net = net_of(folder)
    rows = boxes.decode(net.network, net.run(outputs_of(folder)["input"][None], "reference", True))
    detector = giving(rows[0], folder)
    found = detector.detect(picture(width, height), confidence=0.05, letterbox=True)
    expected = sorted(
        (float(row[5 + column]), column, *(row[:4] * [width, height, width, height]).tolist())
        for row in kept
        for column in range(4)
        if row[5 + column] > 0
    )[::-1]
    assert len(found) == len(expected)
    given = [(d.score, d.class_index, d.center_x, d.center_y, d.width, d.height) for d in found]
    assert np.allclose(sorted(given)[::-1], expected, rtol=1e-4, atol=1e-3)
    assert [d.score for d in found] == sorted((d.score for d in found), reverse=True)


def test_each_fork_letterboxes_in_its_own_way(tmp_path: Path) -> None:
    seen: list[Any] = []
    for folder, expected in ((YOLO, False), (ORIGINAL, True), (FIXTURES / "nets/pjreddie/detection_v1", False)):
        net = net_of(folder)
        size = (net.network.width, net.network.height)
        empty = np.zeros((1, 1, 5 + len(Detector(net, framework="reference").names)), np.float32)

        def spy(x: Any, empty: Any = empty) -> Any:
            seen.append(x)
            return empty

        detector = Detector(net, framework="reference")
        vars(detector)["rows"] = spy
        for letterbox, boxed in ((None, expected), (True, True), (False, False)):
            assert detector.detect(np.zeros((10, 40, 3), np.uint8), letterbox=letterbox) == []
            x = seen.pop()
            assert x.shape == (1, 3, size[1], size[0]) and x.dtype == np.float32
            assert (x[0, :, 0] == (0.5 if boxed else 0)).all()


def test_thresholds_and_overlaps(model: Path) -> None:
    detector = Detector(model)
    everything = detector.detect(picture(), confidence=0, nms=None)
    assert len(everything) == 192 * 4
    assert len(detector.detect(picture(), confidence=0, nms=0)) == 192 * 4
    assert len(detector.detect(picture(), confidence=0.3, nms=None)) == sum(
        d.score > np.float32(0.3) for d in everything
    )
    assert detector.detect(picture(), confidence=1) == []
    assert 0 < len(detector.detect(picture(), confidence=0)) < len(everything)
    for wrong in ({"confidence": -0.1}, {"confidence": 25}, {"nms": 1.5}, {"nms": float("nan")}, {"confidence": "a"}):
        with pytest.raises(ParameterError, match="must be a number from 0 to 1"):
            detector.detect(picture(), **wrong)  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match="has its names already"):
        detect(detector, picture(), names=NAMES)


def test_the_original_puts_a_box_back_where_its_object_is(tmp_path: Path) -> None:
    rows = floats([[0.5, 0.5, 0.25, 0.25, 0.9, 0.8, 0, 0, 0]])
    detector = giving(rows, ORIGINAL)
    (found,) = detector.detect(picture(200, 100))
    assert (found.label, found.class_index) == ("dog", 0) and found.score == pytest.approx(0.8)
    assert (found.left, found.top, found.width, found.height) == (75, 25, 50, 50)
    assert (found.center_x, found.center_y) == (100, 50)
    (found,) = detector.detect(picture(200, 100), letterbox=False)
    assert (found.left, found.top, found.width, found.height) == (75, 37.5, 50, 25)


def test_a_box_of_several_classes_is_several_detections(tmp_path: Path) -> None:
    rows = floats([[0.5, 0.5, 0.5, 0.5, 0.9, 0.6, 0.7, 0, 0], [0.5, 0.5, np.inf, 0.5, 0.9, 0.9, 0, 0, 0]])
    detector = giving(rows, YOLO)
    found = detector.detect(picture())
    assert key_of(found) == [(1, "cat"), (0, "dog")]
    draw(picture(), found, tmp_path / "out.png")
    assert Image.open(tmp_path / "out.png").size == (240, 160)  # 60 × 40, enlarged


def test_json_says_all(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "täg.png"
    Image.fromarray(picture()).save(path)
    found = detect(model, path)
    held = json.loads(found.to_json())
    assert (held["picture"], held["width"], held["height"]) == (str(path), 60, 40)
    first = held["detections"][0]
    assert set(first) == {"label", "class_index", "score", "box", "center"}
    assert set(first["box"]) == {"left", "top", "width", "height"}
    assert first["center"]["x"] == pytest.approx(first["box"]["left"] + first["box"]["width"] / 2)
    assert first["label"] == found[0].label and len(held["detections"]) == len(found)
    assert json.loads(detect(model, picture(), threshold=1).to_json())["detections"] == []


def test_a_fixed_batch_and_a_grey_network(tmp_path: Path) -> None:
    fixed = exported(YOLO, tmp_path / "a.onnx", batch=3)
    assert key_of(detect(fixed, picture(), names=NAMES)) == key_of(
        detect(net_of(YOLO), picture(), names=NAMES, framework="reference")
    )
    cfg = tmp_path / "grey.cfg"
    cfg.write_text(
        "[net]\nwidth=8\nheight=8\nchannels=1\n[convolutional]\nfilters=18\nsize=1\nactivation=linear\n"
        "[yolo]\nmask=0,1,2\nanchors=1,2,3,4,5,6\nclasses=1\nnum=3\n"
    )
    (tmp_path / "grey.weights").write_bytes(
        np.array([0, 2, 0, 0, 0], np.int32).tobytes() + np.ones(36, np.float32).tobytes()
    )
    net = load(cfg, tmp_path / "grey.weights")
    assert detect(net, picture(), framework="reference", names=["thing"])[0].label == "thing"


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (16, 16)])
@pytest.mark.parametrize("letterbox", [True, False])
def test_pictures_of_any_size(model: Path, size: tuple[int, int], letterbox: bool, tmp_path: Path) -> None:
    found = detect(model, picture(*size), letterbox=letterbox, threshold=0.1)
    assert found.picture_size == size
    draw(picture(*size), found, tmp_path / "out.jpg")


# ---------------------------------------------------------------------- names


def test_names_from_a_file_from_the_model_and_none(model: Path, tmp_path: Path) -> None:
    names = tmp_path / "coco.names"
    names.write_bytes("\ufeffHund\r\nKatze \r\nVögel\r\nAmpel\r\n\r\n".encode())
    assert read_names(names) == ["Hund", "Katze", "Vögel", "Ampel"]
    assert set(key_of(detect(model, picture(), names=names))) <= set(enumerate(["Hund", "Katze", "Vögel", "Ampel"]))
    assert set(key_of(detect(model, picture()))) <= set(enumerate(NAMES))
    assert Detector(net_of(YOLO)).names == ["class 0", "class 1", "class 2", "class 3"]
    with pytest.raises(UnusableInputError, match="3 names were given for the model's 4 classes"):
        detect(model, picture(), names=NAMES[:3])
    with pytest.raises(UnusableInputError, match=r"there is no file of names '.*none'"):
        detect(model, picture(), names=tmp_path / "none")
    for content in (b"\x89PNG\r\n\x1a\n", b"a\0b"):
        names.write_bytes(content)
        with pytest.raises(UnusableInputError, match="holds no names"):
            read_names(names)


# ---------------------------------------------------------------------- refusals


def test_what_is_no_detector_is_one_clear_line(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    with pytest.raises(UnusableInputError, match=r"there is no model '.*a\.onnx'"):
        detect(path, picture())
    path.write_bytes(b"no model")
    with pytest.raises(UnusableInputError, match="is no ONNX model") as error:
        detect(path, picture())
    assert "\n" not in str(error.value)
    for head in ("darknet", "raw"):
        exported(YOLO, path, head)
        with pytest.raises(UnusableInputError, match=f"the head '{head}', whose anchors are in the cfg: give that"):
            detect(path, picture())
    classifier = FIXTURES / "nets/alexey/softmax"
    folder = (
        classifier
        if classifier.exists()
        else next(folder for folder in sorted(FIXTURES.glob("nets/*/*")) if not (folder / "boxes.npz").exists())
    )
    exported(folder, path, "darknet")
    with pytest.raises(UnsupportedError, match="without detection layers, so it finds no objects"):
        detect(path, picture())
    with pytest.raises(UnsupportedError, match="has no detection layer"):
        detect(net_of(folder), picture())


def test_a_model_of_somebody_else(tmp_path: Path) -> None:
    from layoutbridge.frameworks.onnx.emission import save
    from layoutbridge.operations.catalog import op

    save(op("darknet_reorg"), tmp_path / "reorg.onnx", shape=(1, 4, 4, 4))
    with pytest.raises(UnusableInputError, match="was not exported by layoutbridge"):
        detect(tmp_path / "reorg.onnx", picture())


def with_metadata(model: Path, path: Path, key: str, value: str) -> Path:
    import onnx

    changed = onnx.load(model)
    held = {entry.key: entry.value for entry in changed.metadata_props} | {key: value}
    onnx.helper.set_model_props(changed, held)
    onnx.save(changed, path)
    return path


def test_metadata_that_was_changed(model: Path, tmp_path: Path) -> None:
    for key, value, said in (
        ("head_rules", "{}", "head_rules cannot be read"),
        ("names", '"dog"', "no list of names"),
        ("names", "[[]]", "no list of names"),
        ("names", "[" * 100_000, "no list of names"),
        ("names", f"[{'9' * 100_000}]", "no list of names"),
        ("input_range", "0..255", "does not take RGB in 0..1"),
        ("input_color_order", "BGR", "does not take RGB in 0..1"),
        ("head", "boxes\n", "was exported with the head"),
        ("head_rules", boxes.HeadRules("alexey", classes=80).to_json(), r"not \[boxes, 5 \+ 80 classes\]"),
    ):
        changed = with_metadata(model, tmp_path / "changed.onnx", key, value)
        with pytest.raises((UnusableInputError, UnsupportedError), match=said) as caught:
            detect(changed, picture(), names=["x"] * 80 if "80" in said else None)
        assert "\n" not in str(caught.value)


GOOD_RULES: dict[str, Any] = {"flavor": "alexey", "classes": 3, "tree_parents": [-1, 0, 0], "tree_sizes": [1, 2]}
BAD_RULES: dict[str, dict[str, Any] | str] = {
    "no object": "[]",
    "no JSON": "{",
    "deep": "[" * 200_000,
    "a long number": '{"flavor": "alexey", "classes": ' + "9" * 100_000 + "}",
    "NaN": '{"flavor": "alexey", "classes": 3, "beta_nms": NaN}',
    "infinity": '{"flavor": "alexey", "classes": 3, "beta_nms": 1e999}',
    "no classes": '{"flavor": "alexey"}',
    "another field": {"more": 1},
    "an unknown flavor": {"flavor": "c"},
    "a flavor of no text": {"flavor": ["alexey"]},
    "classes of 0": {"classes": 0},
    "classes below 0": {"classes": -3},
    "classes of true": {"classes": True, "tree_parents": [-1], "tree_sizes": [1]},
    "classes of 3.0": {"classes": 3.0},
    "classes of 2^31": {"classes": 1 << 31, "tree_parents": [], "tree_sizes": []},
    "classes of a text": {"classes": "3"},
    "gated of 1": {"gated": 1},
    "letterbox of null": {"letterbox": None},
    "an unknown kind": {"nms_kind": "softnms"},
    "a kind of no text": {"nms_kind": {}},
    "beta below 0": {"beta_nms": -0.1},
    "beta far above": {"beta_nms": 1e6},
    "beta of true": {"beta_nms": True},
    "beta of a text": {"beta_nms": "0.6"},
    "a tree of a text": {"tree_parents": "abc"},
    "a tree of null": {"tree_parents": None},
    "a parent ahead": {"tree_parents": [-1, 0, 2]},
    "itself a parent": {"tree_parents": [-1, 1, 0]},
    "a parent of -2": {"tree_parents": [-2, 0, 0]},
    "a parent of true": {"tree_parents": [-1, False, 0]},
    "a parent of 0.0": {"tree_parents": [-1, 0.0, 0]},
    "an empty group": {"tree_sizes": [1, 0, 2]},
    "a group below 0": {"tree_sizes": [4, -1]},
    "a huge group": {"tree_sizes": [10**18]},
    "too few groups": {"tree_sizes": [1, 1]},
    "too many classes": {"tree_sizes": [1, 3]},
    "sizes alone": {"tree_parents": []},
    "parents alone": {"tree_sizes": []},
    "two parents in a group": {"tree_parents": [-1, 0, 1]},
}


@pytest.mark.parametrize("rules", BAD_RULES.values(), ids=BAD_RULES)
def test_rules_that_no_cfg_makes_are_refused(rules: dict[str, Any] | str) -> None:
    text = rules if isinstance(rules, str) else json.dumps(GOOD_RULES | rules)
    with pytest.raises(ValueError, match=r"^[^\n]{8,200}$"):
        boxes.HeadRules.from_json(text)


def test_rules_that_a_cfg_makes_are_read() -> None:
    assert boxes.HeadRules.from_json(json.dumps(GOOD_RULES)).tree_sizes == (1, 2)
    for folder in sorted(FIXTURES.glob("nets/*/*")):
        if (folder / "boxes.npz").exists():
            rules = boxes.head_rules(net_of(folder).network)
            assert boxes.HeadRules.from_json(rules.to_json()) == rules


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ((1, 3, 10**6, 10**6), r"would take 72,000,000 MB of memory to fill.*LAYOUTBRIDGE_MEGABYTES="),
        ((2**30, 3, 32, 32), "MB of memory to fill"),
        ((2**62, 2**62, 2**62, 2**62), "more than a petabyte of memory to fill"),
        ((1, 3, 0, 32), "a picture of a fixed size"),
        ((1, 3, -32, -32), "a picture of a fixed size"),
        ((-1, 3, 32, 32), "a picture of a fixed size"),
        ((1, 3, "H", 32), "a picture of a fixed size"),
        ((1,) * 5000, "a picture of a fixed size"),
        ((), "a picture of a fixed size"),
    ],
)
def test_an_input_of_impossible_size_is_refused_before_anything_is_made(
    model: Path, tmp_path: Path, shape: tuple[int | str, ...], said: str
) -> None:
    import onnx

    changed = onnx.load(model)
    old = changed.graph.input[0]
    new = onnx.helper.make_tensor_value_info(old.name, onnx.TensorProto.FLOAT, shape)
    old.CopyFrom(new)
    onnx.save(changed, tmp_path / "a.onnx")
    with pytest.raises((UnusableInputError, UnsupportedError), match=said) as caught:
        detect(tmp_path / "a.onnx", picture())
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_state_of_impossible_size_is_refused(model: Path, tmp_path: Path) -> None:
    import onnx

    for shape, said in (((1, 10**6, 10**6), "MB of memory to fill"), ((1, "K"), "leaves the size of state")):
        changed = onnx.load(with_metadata(model, tmp_path / "a.onnx", "states", '["s"]'))
        changed.graph.input.append(onnx.helper.make_tensor_value_info("s", onnx.TensorProto.FLOAT, shape))
        onnx.save(changed, tmp_path / "a.onnx")
        with pytest.raises(UnusableInputError, match=said):
            detect(tmp_path / "a.onnx", picture())


def hostile(model: Path, path: Path, *nodes: Any, **initializers: Any) -> Path:
    """The model with other nodes in front, whose result `scale` all it gives is multiplied by."""
    import onnx

    changed = onnx.load(model)
    output = changed.graph.output[0].name
    for node in changed.graph.node:
        node.output[:] = ["plain" if name == output else name for name in node.output]
    changed.graph.node.extend([*nodes, onnx.helper.make_node("Mul", ["plain", "scale"], [output])])
    changed.graph.initializer.extend(
        onnx.numpy_helper.from_array(np.asarray(held), name) for name, held in initializers.items()
    )
    onnx.save(changed, path)
    return path


def test_a_model_that_turns_or_grows_without_end_is_stopped(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from onnx import TensorProto, helper

    def turning(*inner: Any) -> Any:
        body = helper.make_graph(
            [helper.make_node("Identity", ["go"], ["goes"]), *inner],
            "body",
            [
                helper.make_tensor_value_info("round", TensorProto.INT64, []),
                helper.make_tensor_value_info("go", TensorProto.BOOL, []),
                helper.make_tensor_value_info("value", TensorProto.FLOAT, None),
            ],
            [
                helper.make_tensor_value_info("goes", TensorProto.BOOL, []),
                helper.make_tensor_value_info("next", TensorProto.FLOAT, None),
            ],
        )
        sums = helper.make_node("ReduceMax", ["last"], ["scale"], keepdims=0)
        return helper.make_node("Loop", ["rounds", "yes", "one"], ["last"], body=body), sums

    numbers = {"rounds": 2**62, "yes": True, "one": np.ones(1, np.float32)}
    loop = turning(helper.make_node("Identity", ["value"], ["next"]))
    grows = turning(helper.make_node("Concat", ["value", "value"], ["next"], axis=0))
    filled = (
        helper.make_node("ConstantOfShape", ["size"], ["zeros"]),
        helper.make_node("ReduceMax", ["zeros"], ["scale"], keepdims=0),
    )
    monkeypatch.setenv("LAYOUTBRIDGE_SECONDS", "1")
    with pytest.raises(UnusableInputError, match=r"ran for 1 seconds and was stopped.*LAYOUTBRIDGE_SECONDS=10"):
        detect(hostile(model, tmp_path / "a.onnx", *loop, **numbers), picture())
    monkeypatch.setenv("LAYOUTBRIDGE_SECONDS", "60")
    monkeypatch.setenv("LAYOUTBRIDGE_MEGABYTES", "100")
    for nodes, more in ((grows, numbers), (filled, {"size": [10**8]}), (filled, {"size": [10**12]})):
        with pytest.raises(UnusableInputError, match=r"takes more than 1.. MB .*LAYOUTBRIDGE_MEGABYTES="):
            detect(hostile(model, tmp_path / "a.onnx", *nodes, **more), picture())


def test_a_model_with_functions_of_its_own_is_refused(model: Path, tmp_path: Path) -> None:
    import onnx
    from onnx import helper

    changed = onnx.load(model)
    inner = [helper.make_node("Identity", ["a"], ["b"])]
    changed.functions.append(helper.make_function("own", "f", ["a"], ["b"], inner, [helper.make_opsetid("", 17)]))
    onnx.save(changed, tmp_path / "a.onnx")
    with pytest.raises(UnusableInputError, match="functions of its own"):
        detect(tmp_path / "a.onnx", picture())


def test_a_suppression_without_end_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    count = 20_000
    rows = np.ones((count, 9), np.float32)
    rows[:, 0], rows[:, 2:4] = np.arange(count) / 50, 0.5  # many overlap, and most of these go
    detector = giving(rows, YOLO)
    monkeypatch.setenv("LAYOUTBRIDGE_SECONDS", "0.001")
    with pytest.raises(UnusableInputError, match="suppression of 20,000 boxes ran for 0 seconds"):
        detector.detect(picture())


def test_a_drawing_that_cannot_be_saved(tmp_path: Path) -> None:
    one = Detection("dog", 0, 0.9, 1, 1, 5, 5)
    with pytest.raises(UnusableInputError, match=r"its name must end in \.png"):
        draw(picture(), [one], tmp_path / "out.txt")
    with pytest.raises(UnusableInputError, match="cannot write into"):
        draw(picture(), [one], tmp_path / "none" / "out.png")
    with pytest.raises(UnusableInputError, match="cannot save the drawing"):
        draw(np.zeros((1, 70_000), np.uint8), [one], tmp_path / "out.jpg")  # a JPEG has at most 65,500 columns
    assert draw(picture(), [one]).mode == "RGB"
    assert not list(tmp_path.iterdir())


def test_without_onnxruntime_or_pillow(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    detector = Detector(model)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingFrameworkError, match=r"onnxruntime is not installed: pip install .*\[onnx\]'"):
        detect(model, picture())
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingFrameworkError, match="Pillow is not installed"):
        detector.detect(picture())


def test_importing_it_imports_no_framework() -> None:
    code = (
        "import sys, layoutbridge.darknet.detectors.detector, layoutbridge.darknet.meaning.boxes; "
        "print([m for m in ('onnx', 'onnxruntime', 'PIL', 'torch', 'tensorflow') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=FIXTURES.parent, check=True)
    assert done.stdout.strip() == "[]"
