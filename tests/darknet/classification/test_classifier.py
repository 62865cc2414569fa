"""Classifiers in every form: the main fork's cut, the original's letterbox, trees, top k, names."""

import json
from importlib.util import find_spec

import numpy as np
import pytest

from layoutbridge import darknet
from layoutbridge.darknet import Classifier, Detector, classify
from layoutbridge.darknet.classification.classifier import down_the_tree
from layoutbridge.darknet.classification.fitting import prepare, shorter_side_fitted
from layoutbridge.darknet.detection.resizing import letterbox, resize
from layoutbridge.darknet.ports.table import TARGETS, port, runner
from layoutbridge.darknet.structure.settings import SoftmaxTree
from layoutbridge.errors import ParameterError, UnsupportedError, UnusableInputError
from tests.command_line import refused, run
from tests.conftest import FIXTURES

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")

PLAIN = {fork: FIXTURES / "nets" / fork / "classifier" for fork in ("alexey", "pjreddie")}
PREDICTED = json.loads((FIXTURES / "classifier_predict.json").read_text())
TREES = {fork: FIXTURES / "more" / fork / "softmax_tree" for fork in ("alexey", "pjreddie")}
INSTALLED = [name for name in TARGETS if find_spec(runner(name).package.replace("-", "_"))]


def picture(width=60, height=40, seed=3):
    return np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)


def classifier_of(folder, **options):
    return Classifier(folder / "net.cfg", folder / "net.weights", flavor=folder.parent.name, **options)


def cut(array, side_x, side_y):
    """The main fork's preparation, pixel by pixel."""
    height, width = array.shape[:2]
    across, down = shorter_side_fitted((width, height), side_x)
    resized = resize(array.transpose(2, 0, 1), across, down)
    left, top = (int((whole - part) / 2) for whole, part in ((across, side_x), (down, side_y)))
    made = np.zeros((3, side_y, side_x), np.float32)
    for y in range(side_y):
        for x in range(side_x):
            made[:, y, x] = resized[:, min(max(y + top, 0), down - 1), min(max(x + left, 0), across - 1)]
    return made


@pytest.mark.parametrize("size", [(60, 40), (40, 61), (33, 33), (16, 16), (8, 90), (200, 16)])
@pytest.mark.parametrize("side", [(16, 16), (24, 16), (16, 31)])
def test_preparation(size, side):
    array = picture(*size)
    image = Image.fromarray(array)
    assert np.array_equal(prepare(image, 3, side, "crop"), cut(array, *side))
    assert np.array_equal(prepare(image, 3, side, "letterbox"), letterbox(array.transpose(2, 0, 1), *side))


@pytest.mark.parametrize("case", PREDICTED, ids=lambda case: case["net"])
def test_classes_are_those_that_darknet_prints(case):
    folder = FIXTURES / case["net"]
    classifier = classifier_of(folder, framework="reference")
    places = 6 if folder.parent.name == "alexey" else 4  # printed: the original prints hundredths of a percent
    for told in case["pictures"]:
        width, height = told["size"]
        array = np.random.default_rng(told["seed"]).integers(0, 255, (height, width, 3), dtype=np.uint8)
        shown = classifier.classify(array, top=len(told["classes"]))
        assert shown.classes.tolist() == told["classes"]
        assert shown.scores == pytest.approx(told["scores"], abs=0.6 * 10**-places)


def test_a_picture_too_long_to_prepare():
    with pytest.raises(UnusableInputError, match="60000×1 becomes 13440000×224 with its shorter side fitted"):
        prepare(Image.new("RGB", (60000, 1)), 3, (224, 224), "crop")


def test_each_fork_prepares_and_reads_in_its_own_way():
    array = picture()
    for fork, folder in PLAIN.items():
        net = darknet.load(folder / "net.cfg", folder / "net.weights", flavor=fork)
        x = cut(array, 16, 16) if fork == "alexey" else letterbox(array.transpose(2, 0, 1), 16, 16)
        wanted = net.run(x[None], "reference")[0].ravel()
        shown = Classifier(net, framework="reference").classify(array, top=10)
        assert np.allclose(shown.probabilities, wanted, atol=1e-6)
        order = np.argsort(-wanted, kind="stable")
        assert shown.classes.tolist() == order.tolist() and np.allclose(shown.scores, wanted[order], atol=1e-6)
        assert shown.labels[0] == f"class {order[0]}" and shown[0].parent is None


def test_trees():
    array = picture()
    for fork, folder in TREES.items():
        classifier = classifier_of(folder, framework="reference")
        tree = classifier._rules.tree
        shown = classifier.classify(array, top=100)
        assert len(shown) == len(tree.parents) and classifier.names == list(tree.names)
        leaves = [index for index in range(len(tree.parents)) if index not in tree.parents]
        for one in shown:
            above = tree.parents[one.class_index]
            assert one.parent == (tree.names[above] if above >= 0 else None)
            if one.class_index not in leaves:
                assert (one.score == 0) == (fork == "pjreddie")
        assert sum(one.score for one in shown if one.class_index in leaves) == pytest.approx(1, abs=1e-5)


def test_a_tree_multiplied_out():
    tree = SoftmaxTree((-1, -1, 0, 0, 2), (2, 2, 1), ("a", "b", "c", "d", "e"))
    scores = np.float32([[0.5, 0.5, 0.25, 0.75, 1]])
    assert down_the_tree(scores, tree, only_leaves=False).tolist() == [[0.5, 0.5, 0.125, 0.375, 0.125]]
    assert down_the_tree(scores, tree, only_leaves=True).tolist() == [[0, 0.5, 0, 0.375, 0.125]]


@pytest.mark.parametrize("framework", INSTALLED)
def test_exported_files_classify_alike(framework, tmp_path):
    names = [f"κλάση {k}" for k in range(10)]
    for fork in ("alexey", "pjreddie"):
        for kind, folder in (("plain", PLAIN[fork]), ("tree", TREES[fork])):
            net = darknet.load(folder / "net.cfg", folder / "net.weights", flavor=fork)
            path = tmp_path / f"{fork}_{kind}{port(framework).endings[0]}"
            port(framework).write(
                net.network, net.parameters, path, head="darknet", **({"names": names} if kind == "plain" else {})
            )
            opened = Classifier(path)
            wanted = Classifier(net, framework="reference")
            assert (opened.framework, opened.preparation) == (framework, wanted.preparation)
            assert opened.names == (names if kind == "plain" else wanted.names)
            found, known = (each.classify(picture(), top=4) for each in (opened, wanted))
            assert found.classes.tolist() == known.classes.tolist()
            assert np.allclose(found.probabilities, known.probabilities, atol=1e-5)
            assert [one.parent for one in found] == [one.parent for one in known]


def test_several_pictures(tmp_path):
    classifier = classifier_of(PLAIN["alexey"], framework="reference")
    arrays = [picture(seed=seed) for seed in range(3)]
    wanted = [classifier.classify(array).to_dict()["classes"] for array in arrays]
    for number, array in enumerate(arrays):
        Image.fromarray(array).save(tmp_path / f"{number}.png")
    (tmp_path / "3.png").write_bytes(b"none")
    found = classifier.classify(tmp_path, batch=2)
    assert [one.to_dict()["classes"] for one in found] == wanted
    assert len(found.unreadable) == 1 and "3.png" in found.unreadable[0]
    turned = classifier.classify([array[:, :, ::-1] for array in arrays], color_order="BGR")
    assert [one.to_dict()["classes"] for one in turned] == wanted
    with pytest.warns(darknet.detectors.detector.Unreadable, match=r"3\.png"):
        assert len(list(classifier.stream(tmp_path))) == 3
    with pytest.raises(UnusableInputError, match="none of 1 pictures can be read"):
        classifier.classify([tmp_path / "3.png"])
    with pytest.raises(UnusableInputError, match="is no picture that can be read"):
        classifier.classify(tmp_path / "3.png")


def test_results_in_every_form():
    shown = classify(classifier_of(PLAIN["alexey"], framework="reference", names=list("abcdefghij")), picture(), top=3)
    assert str(shown) == f"a picture: {', '.join(f'{one.label} {one.score:.2%}' for one in shown)}"
    read = json.loads(shown.to_json())
    assert [one["class_index"] for one in read["classes"]] == shown.classes.tolist() and len(shown) == 3
    assert shown.to_columns()["label"] == shown.labels and shown.probabilities.sum() == pytest.approx(1, abs=1e-5)


def test_what_is_no_classifier(tmp_path):
    yolo = FIXTURES / "nets/alexey/yolo_head"
    with pytest.raises(UnsupportedError, match=r"ends in \[yolo\] .*: what finds objects goes to detect"):
        classifier_of(yolo)
    with pytest.raises(UnsupportedError, match=r"ends in \[softmax\], as classifiers do, which classify takes"):
        Detector(PLAIN["alexey"] / "net.cfg", PLAIN["alexey"] / "net.weights", framework="reference")
    with pytest.raises(UnusableInputError, match="3 names were given for the model's 10 classes"):
        classifier_of(PLAIN["alexey"], framework="reference", names=["a", "b", "c"])
    classifier = classifier_of(PLAIN["alexey"], framework="reference")
    for wrong in ({"top": 0}, {"batch": 0}, {"color_order": "GBR"}):
        with pytest.raises(ParameterError):
            classifier.classify(picture(), **wrong)
    with pytest.raises(ParameterError, match="takes one picture"):
        classify(classifier, [picture()])
    with pytest.raises(ParameterError, match="has its names already"):
        classify(classifier, picture(), names=["a"])


def test_files_that_say_too_little(tmp_path):
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    path = tmp_path / "net.onnx"
    for folder, head, told in (
        (PLAIN["alexey"], "raw", "has the head 'raw': export it with the head darknet"),
        (FIXTURES / "nets/alexey/yolo_head", "boxes", "finds objects: look with detect"),
    ):
        net = darknet.load(folder / "net.cfg", folder / "net.weights")
        net.to_onnx(path, head=head)
        with pytest.raises(UnsupportedError, match=told):
            Classifier(path)
    folder = TREES["alexey"]
    net = darknet.load(folder / "net.cfg", folder / "net.weights")
    net.to_onnx(path)
    model = onnx.load(path)
    (entry,) = (one for one in model.metadata_props if one.key == "class_tree")
    for text in (
        "{}",
        "[]",
        entry.value.replace('"sizes":[', '"sizes":[7,'),
        entry.value.replace("[-1", "[5"),
        entry.value[:-2],
    ):
        entry.value = text
        onnx.save(model, path)
        with pytest.raises(UnusableInputError, match="its metadata class_tree cannot be read"):
            Classifier(path)
    del model.metadata_props[:]
    onnx.save(model, path)
    with pytest.raises(UnusableInputError, match="says nothing of how pictures are prepared"):
        Classifier(path)
    again = Classifier(path, cfg=folder / "net.cfg")
    assert again.names == classifier_of(folder, framework="reference").names


def test_a_classifier_of_ultralytics(tmp_path):
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    helper = onnx.helper
    nodes = [helper.make_node("GlobalAveragePool", ["images"], ["p"]), helper.make_node("Flatten", ["p"], ["output0"])]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(nodes, "g", [value("images", 1, [1, 3, 16, 16])], [value("output0", 1, [1, 3])])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {"task": "classify", "names": "{0: 'red', 1: 'green', 2: 'blue'}"})
    onnx.save(model, tmp_path / "cls.onnx")
    classifier = Classifier(tmp_path / "cls.onnx")
    array = np.zeros((32, 64, 3), np.uint8)
    array[:, 16:48, 1] = 255  # the middle, which is cut out
    shown = classifier.classify(array, top=1)
    assert (shown.labels, classifier.preparation) == (["green"], "ultralytics")
    assert shown[0].score == pytest.approx(1, abs=0.02)


def test_the_command(capfd, tmp_path):
    folder = TREES["pjreddie"]
    for number in range(2):
        Image.fromarray(picture(seed=number)).save(tmp_path / f"{number}.png")
    called = ("classify", str(folder / "net.cfg"), str(folder / "net.weights"))
    options = ("--flavor", "pjreddie", "--framework", "reference")
    one = str(tmp_path / "0.png")
    code, out, err = run(capfd, *called, one, *options, "--top", "2")
    shown = classifier_of(folder, framework="reference").classify(one, top=2)
    assert (code, err) == (0, "") and [line.split()[0] for line in out.splitlines()[1:]] == shown.labels
    assert f"{shown[0].score:.6f}" in out
    _, out, _ = run(capfd, *called, one, *options, "--json")
    assert json.loads(out)["classes"][0]["label"] == shown.labels[0]
    code, out, _ = run(capfd, *called, str(tmp_path), *options)
    assert code == 0 and [line.partition(":")[0] for line in out.splitlines()] == [one, str(tmp_path / "1.png")]
    (tmp_path / "2.png").write_bytes(b"none")
    code, out, err = run(capfd, *called, str(tmp_path), *options, "--json")
    assert len(json.loads(out)) == 2 and "left out: '" in err
    for wrong, told in (
        ((), "needs its weights and a picture: classify"),
        ((one, "--top", "0"), "--top must be"),
        ((str(tmp_path / "2.png"),), "is no picture that can be read"),
        ((str(tmp_path / "2.png"), str(tmp_path / "2.png")), "none of 2 pictures can be read"),
    ):
        assert told in refused(capfd, *called, *wrong, *options)
