"""Boxes against those of the real Darknet, and the graph's boxes against ours."""

from contextlib import nullcontext
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from layoutbridge.darknet import load
from layoutbridge.darknet.detection import boxes
from layoutbridge.darknet.detection.suppression import suppress
from layoutbridge.darknet.meaning import boxes as heads
from layoutbridge.darknet.structure.choices import HEAD_LAYOUTS
from layoutbridge.darknet.structure.heads import GaussianYolo, Region
from layoutbridge.darknet.structure.model import Layer, Network
from layoutbridge.darknet.structure.settings import SoftmaxTree
from layoutbridge.errors import ParameterError, ShapeError, UnknownNameError, UnsupportedError
from tests.conftest import FIXTURES

NETS = sorted(path.parent for path in FIXTURES.glob("nets/*/*/boxes.npz"))
THRESHOLD = 0.05
SUPPRESSION = 0.45
PICTURES = ("same", "wide", "tall")


def floats(values: Any) -> Any:
    return np.array(values, np.float32)


def name_of(folder: Path) -> str:
    return f"{folder.parent.name}-{folder.name}"


each_net = pytest.mark.parametrize("folder", NETS, ids=name_of)


@cache
def network_of(folder: Path) -> Network:
    return load(folder / "net.cfg", flavor=folder.parent.name).network


@cache
def outputs_of(folder: Path) -> dict[int, Any]:
    with np.load(folder / "outputs.npz") as held:
        return {int(name[5:]): held[name][None] for name in held.files if name.startswith("layer")}


@cache
def golden_of(folder: Path) -> dict[str, Any]:
    with np.load(folder / "boxes.npz") as held:
        return {name: held[name] for name in held.files}


def on_the_picture(folder: Path, picture: str) -> Any:
    """Our boxes, as Darknet's decoder gives them for this picture."""
    network = network_of(folder)
    width, height, letterboxed = (int(number) for number in golden_of(folder)[f"{picture}_image"])
    rows = boxes.decode(network, outputs_of(folder))[0]
    rows = boxes.apply_threshold(rows, boxes.head_rules(network), THRESHOLD)
    if boxes.head_layers(network)[0].kind == "detection":  # Darknet: pixels of the picture, and no letterbox undone
        rows[:, :4] *= floats([width, height, width, height])
    elif letterboxed:
        rows = boxes.undo_letterbox(rows, (width, height), (network.width, network.height))
    return rows


def assert_close(ours: Any, theirs: Any) -> None:
    """Within 1e-5 of the largest value of its column."""
    assert ours.shape == theirs.shape
    largest = np.maximum(np.abs(theirs).max(axis=0), 1)
    assert (np.abs(ours - theirs) / largest).max() <= 1e-5


def test_the_golden_networks_are_there() -> None:
    assert len(NETS) == 16


@each_net
@pytest.mark.parametrize("picture", PICTURES)
def test_boxes_are_those_of_darknet(folder: Path, picture: str) -> None:
    assert_close(on_the_picture(folder, picture), golden_of(folder)[picture])


@each_net
@pytest.mark.parametrize("picture", PICTURES)
def test_suppression_is_that_of_darknet(folder: Path, picture: str) -> None:
    theirs = golden_of(folder)[picture]
    kept = suppress(theirs, SUPPRESSION)
    assert np.array_equal(kept, golden_of(folder)[f"{picture}_nms"])  # the order of the rows too


@each_net
@pytest.mark.parametrize("picture", PICTURES)
def test_decoding_and_suppression_together(folder: Path, picture: str) -> None:
    assert_close(suppress(on_the_picture(folder, picture), SUPPRESSION), golden_of(folder)[f"{picture}_nms"])


# ---------------------------------------------------------------------- the graph


class NumpyTarget:
    """The primitives that a head is written in, on arrays [N, ...]: a stand-in for a framework."""

    def __init__(self) -> None:
        self.suppressed: dict[str, Any] = {}

    def scope(self, name: str) -> Any:
        return nullcontext()

    def constant(self, array: Any) -> Any:
        return Held(array.read()[None])

    def split(self, x: Any, sizes: Any, axis: int = 0) -> Any:
        return [Held(part) for part in np.split(x.array, np.cumsum(sizes)[:-1], axis + 1)]

    def slice(self, x: Any, starts: Any, stops: Any) -> Any:
        return Held(x.array[:, *(slice(a, b) for a, b in zip(starts, stops, strict=True))])

    def concat(self, values: Any, axis: int = 0) -> Any:
        count = max(len(value.array) for value in values)
        arrays = [np.broadcast_to(value.array, (count, *value.shape)) for value in values]
        return Held(np.concatenate(arrays, axis + 1))

    def reshape(self, x: Any, shape: Any) -> Any:
        return Held(x.array.reshape(-1, *shape))

    def rearrange(self, x: Any, operation: Any) -> Any:
        return Held(operation(x.array))

    def activation(self, x: Any, function: str) -> Any:
        return Held(np.exp(x.array) if function == "exp" else 1 / (1 + np.exp(-x.array)))

    def add(self, a: Any, b: Any) -> Any:
        return Held(a.array + getattr(b, "array", b))

    def multiply(self, a: Any, b: Any) -> Any:
        return Held(a.array * getattr(b, "array", b))

    def non_max_suppression(self, boxes: Any, scores: Any, objectness: Any, **numbers: Any) -> str:
        self.suppressed = {"boxes": boxes.array, "scores": scores.array, "objectness": objectness.array, **numbers}
        return "selected"


class Held:
    def __init__(self, array: Any) -> None:
        self.array = np.asarray(array, np.float32)
        self.shape = self.array.shape[1:]


def graph_of(network: Network, outputs: Any, kind: str, nms: bool = False) -> Any:
    target: Any = NumpyTarget()
    values: Any = {index: Held(array) for index, array in outputs.items()}
    output, selected = heads.append_head(target, network, values, kind, heads.Suppression() if nms else None)
    assert selected == ("selected" if nms else None)
    return (output.array, target.suppressed) if nms else output.array


@each_net
def test_the_graph_gives_the_same_boxes(folder: Path) -> None:
    network, outputs = network_of(folder), outputs_of(folder)
    both = {index: np.concatenate([array, array[:, ::-1]]) for index, array in outputs.items()}
    expected = boxes.decode(network, both)
    given = graph_of(network, both, "boxes")
    assert given.shape == expected.shape
    assert_close(given.reshape(-1, given.shape[-1]), expected.reshape(-1, given.shape[-1]))


@each_net
def test_the_layouts_agree_with_each_other(folder: Path) -> None:
    network, outputs = network_of(folder), outputs_of(folder)
    shares = boxes.decode(network, outputs)
    scale = floats([network.width, network.height] * 2)
    five, eight = graph_of(network, outputs, "yolov5"), graph_of(network, outputs, "yolov8")
    assert five.shape == shares.shape
    assert eight.shape == (1, shares.shape[2] - 1, shares.shape[1])
    assert np.allclose(five[..., :4], shares[..., :4] * scale, rtol=1e-5, atol=1e-4)
    assert np.allclose(five[..., 4:5] * five[..., 5:], shares[..., 5:], rtol=1e-5, atol=1e-6)
    assert np.allclose(eight[:, :4], five[..., :4].swapaxes(1, 2))
    assert np.allclose(eight[:, 4:], shares[..., 5:].swapaxes(1, 2), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", HEAD_LAYOUTS)
def test_suppression_in_the_graph_sees_the_scores(kind: str) -> None:
    folder = FIXTURES / "nets/alexey/yolo_scaled"
    network, outputs = network_of(folder), outputs_of(folder)
    output, seen = graph_of(network, outputs, kind, nms=True)
    shares = boxes.decode(network, outputs)
    assert np.allclose(seen["scores"], shares[..., 5:].swapaxes(1, 2), atol=1e-6)
    assert np.allclose(seen["objectness"], shares[..., 4:5].swapaxes(1, 2), atol=1e-6)
    assert np.allclose(seen["boxes"], shares[..., :4], rtol=1e-5, atol=1e-6)  # in shares, whatever is given out
    assert output.shape[1:] == ((8, shares.shape[1]) if kind == "yolov8" else shares.shape[1:])
    assert (seen["overlap"], seen["threshold"], seen["exponent"]) == (0.45, 0.25, None)


def test_what_a_graph_may_suppress() -> None:
    folder = FIXTURES / "nets/alexey/yolo_scaled"
    network, outputs = network_of(folder), outputs_of(folder)
    values: Any = {index: Held(array) for index, array in outputs.items()}
    for kind, exponent in (("greedynms", 0.6), ("diounms", 0.6), ("cornersnms", None), ("greedynms-iou", None)):
        target: Any = NumpyTarget()
        heads.append_head(target, network, values, "boxes", heads.Suppression(0.1, 0.3, kind))
        assert [target.suppressed[key] for key in ("threshold", "overlap", "exponent")] == [0.1, 0.3, exponent]
    for wrong in ({"threshold": 1.5}, {"overlap": -0.1}, {"overlap": 0}, {"threshold": float("nan")}):
        with pytest.raises(ParameterError, match=next(iter(wrong))):
            heads.Suppression(**wrong)
    with pytest.raises(ParameterError, match="no suppression is called 'soft'"):
        heads.append_head(target, network, values, "boxes", heads.Suppression(kind="soft"))
    tree = region_network("alexey", TREE)
    with pytest.raises(UnsupportedError, match=r"tree\.cfg: of a tree of classes Darknet takes one class a box"):
        graph_of(tree, random_output(tree), "boxes", nms=True)


# ---------------------------------------------------------------------- heads that no golden network has

TREE = SoftmaxTree((-1, -1, 0, 0, 2, 2), (2, 2, 2), tuple("abcdef"))


def region_network(flavor: Any, tree: SoftmaxTree | None, coords: int = 4, background: bool = False) -> Network:
    entries = coords + 1 + 6
    settings = Region(
        classes=6, coords=coords, num=2, anchors=(0.5, 1.0, 2.0, 3.0), background=background, tree=tree,
        logistic=(), softmax_entries=None, channels_last=flavor == "alexey", entries=entries,
    )  # fmt: skip
    shape = (2 * entries, 3, 4)
    layer = Layer(0, 9, (-1,), (shape,), shape, settings)
    return Network(flavor, "tree.cfg", (3, 96, 128), (layer,))


def random_output(network: Network) -> Any:
    generator = np.random.default_rng(3)
    return {0: generator.uniform(0.05, 0.95, (2, *network.layers[0].out_shape)).astype(np.float32)}


@pytest.mark.parametrize(
    ("flavor", "coords", "background"), [("alexey", 4, False), ("pjreddie", 6, False), ("pjreddie", 4, True)]
)
@pytest.mark.parametrize("tree", [None, TREE])
def test_a_tree_more_coordinates_and_a_background(flavor: str, coords: int, background: bool, tree: Any) -> None:
    network = region_network(flavor, tree, coords, background)
    outputs = random_output(network)
    expected = boxes.decode(network, outputs)
    assert expected.shape == (2, 24, 11)
    assert np.allclose(graph_of(network, outputs, "boxes"), expected, rtol=1e-5, atol=1e-6)
    five = graph_of(network, outputs, "yolov5")
    assert np.allclose(five[..., 4:5] * five[..., 5:], expected[..., 5:], rtol=1e-5, atol=1e-6)


def test_a_class_of_a_tree_has_the_product_down_to_it() -> None:
    network = region_network("pjreddie", TREE)
    raw = random_output(network)[0]
    own = raw.reshape(2, 2, 11, 12)[0, 0, :, 0].astype(np.float64)  # the first box
    a, b, c, d, e, f = own[5:]
    expected = own[4] * np.array([a, b, a * c, a * d, a * c * e, a * c * f])
    assert np.allclose(boxes.decode(network, {0: raw})[0, 0, 5:], expected, rtol=1e-5)


def tree_row(objectness: float, *chances: float) -> Any:
    return floats([[0.5, 0.5, 0.1, 0.1, objectness, *(objectness * chance for chance in chances)]])


@pytest.mark.parametrize(
    ("flavor", "row", "expected"),
    [
        ("pjreddie", tree_row(0.8, 0.9, 0.1, 0.85, 0.05, 0.84, 0.01), {4: 0.8}),  # all the way down
        ("pjreddie", tree_row(0.8, 0.9, 0.1, 0.5, 0.4, 0.3, 0.2), {0: 0.8}),  # 0.9 · 0.5 is too little: its parent
        ("pjreddie", tree_row(0.8, 0.3, 0.4, 0.1, 0.1, 0.1, 0.1), {1: 0.8}),  # at the top, the best there is
        ("pjreddie", tree_row(0.2, 0.9, 0.1, 0.85, 0.05, 0.84, 0.01), {}),
        ("alexey", tree_row(0.8, 0.9, 0.1, 0.6, 0.3, 0.55, 0.05), {4: 0.55}),  # the last one over a half
        ("alexey", tree_row(0.8, 0.9, 0.1, 0.4, 0.3, 0.2, 0.05), {0: 0.9}),
        ("alexey", tree_row(0.8, 0.4, 0.3, 0.2, 0.1, 0.1, 0.05), {}),
        ("alexey", tree_row(0.2, 0.9, 0.1, 0.6, 0.3, 0.55, 0.05), {}),
    ],
)
def test_one_class_of_a_tree_is_left(flavor: str, row: Any, expected: dict[int, float]) -> None:
    rules = boxes.head_rules(region_network(flavor, TREE))
    scores = boxes.apply_threshold(row, rules, 0.25)[0, 5:]
    assert {int(k): float(scores[k]) for k in np.flatnonzero(scores)} == pytest.approx(expected)


def test_a_gaussian_head_that_predicts_corners() -> None:
    folder = FIXTURES / "nets/alexey/gaussian_yolo"
    network, outputs = network_of(folder), outputs_of(folder)
    centred = boxes.decode(network, outputs)[0]
    for point, sign in (("left_top", 1), ("right_bottom", -1)):
        last = network.layers[-1]
        assert isinstance(last.settings, GaussianYolo)
        moved = replace(last, settings=replace(last.settings, yolo_point=point))
        other = replace(network, layers=(*network.layers[:-1], moved))
        rows = boxes.decode(other, outputs)[0]
        assert np.allclose(rows[:, :2] - sign * rows[:, 2:4] / 2, centred[:, :2], atol=1e-5)
        assert np.allclose(graph_of(other, outputs, "boxes")[0], rows, atol=1e-5)


# ---------------------------------------------------------------------- thresholds, suppression, refusals


def test_a_box_counts_by_its_objectness_except_in_the_first_yolo() -> None:
    row = floats([[0.5, 0.5, 0.1, 0.1, -0.4, 0.3, 0.1]])
    gated = boxes.HeadRules("alexey", classes=2)
    free = boxes.HeadRules("alexey", classes=2, gated=False)
    assert not boxes.apply_threshold(row, gated, 0.25)[0, 4:].any()
    assert boxes.apply_threshold(row, free, 0.25)[0, 4:].tolist() == floats([-0.4, 0.3, 0]).tolist()
    assert row[0, 6] == np.float32(0.1)  # untouched


def test_what_is_not_a_number_is_no_detection() -> None:
    rows = floats([[0.5, 0.5, 0.1, 0.1, np.nan, np.nan], [0.5, 0.5, 0.1, 0.1, 0.9, np.nan]])
    assert not boxes.apply_threshold(rows, boxes.HeadRules("alexey", classes=1), 0.25)[:, 5].any()


def test_rules_come_from_the_last_head_and_survive_a_file() -> None:
    rules = boxes.head_rules(region_network("pjreddie", TREE))
    assert rules.letterbox and rules.gated and rules.nms_kind == "default"
    assert boxes.HeadRules.from_json(rules.to_json()) == rules
    for text in ("[]", '{"colour": 1}', "no"):
        with pytest.raises(ValueError):
            boxes.HeadRules.from_json(text)
    first_yolo = boxes.head_rules(network_of(FIXTURES / "nets/pjreddie/detection_v1"))
    assert not first_yolo.gated and not first_yolo.letterbox


def test_what_has_no_boxes_is_refused_in_a_line() -> None:
    folder = FIXTURES / "nets/alexey/passthrough"
    whole = network_of(folder)
    headless = Network(whole.flavor, "net.cfg", whole.in_shape, whole.layers[:-1])
    with pytest.raises(UnsupportedError, match=r"net\.cfg has no detection layer .* it ends in \[convolutional\]"):
        boxes.decode(headless, outputs_of(folder))
    with pytest.raises(UnknownNameError, match="yolov9"):
        graph_of(whole, outputs_of(folder), "yolov9")
    with pytest.raises(ShapeError, match=r"layer 8_region holds \[N, 27, 4, 6\], not \[1, 27, 4, 5\]"):
        boxes.decode(whole, {8: np.zeros((1, 27, 4, 5))})


def test_least_objectness_of_the_main_forks_classfix(tmp_path: Path) -> None:
    folder = FIXTURES / "more/alexey/region_classfix"
    net = load(folder / "net.cfg", folder / "net.weights")
    rules = boxes.head_rules(net.network)
    assert rules.least_objectness == 0.5 and boxes.HeadRules.from_json(rules.to_json()) == rules
    rows = floats([[0.5, 0.5, 1, 1, 0.49, 0.4, 0.3, 0], [0.5, 0.5, 1, 1, 0.5, 0.4, 0.3, 0]])
    assert boxes.apply_threshold(rows, rules, 0.1)[:, 5:].any(axis=1).tolist() == [False, True]
    pytest.importorskip("onnx")
    for options in ({"head": "yolov8"}, {"head": "boxes", "nms": heads.Suppression()}):
        with pytest.raises(UnsupportedError, match="with classfix=-1 boxes of a lower objectness"):
            net.to_onnx(tmp_path / "never.onnx", **options)
