"""Layers and options that no recorded network has, in onnxruntime against the float64 reference; and the check."""

import json

import numpy as np
import pytest

from layoutbridge.darknet import load
from layoutbridge.darknet.reading.activations import ACTIVATIONS, ORIGINAL_ACTIVATIONS
from layoutbridge.errors import ParameterError, ShapeError
from tests.constructed_layers import CASES, CONV, NET, TREE
from tests.darknet_files import NETS, check_onnx, made

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


@pytest.mark.sample(slow=1)
@pytest.mark.parametrize(("text", "flavor"), CASES)
def test_layers_agree_with_the_reference(text, flavor, tmp_path):
    net = made(NET + text, tmp_path, flavor)
    for options in ({}, {"keep_batch_norm": True}, {"batch": 2}):
        checked = check_onnx(net.network, net.parameters, tolerance=5e-6, **{"batch": 2} | options)
        assert checked.ok, checked.first_over


def test_an_implicit_layer_beside_a_picture(tmp_path):
    text = NET + CONV + "[implicit]\nfilters=6\n[scale_channels]\nfrom=-2\n[implicit]\nfilters=6\n"
    net = made(text, tmp_path, "alexey")
    assert check_onnx(net.network, net.parameters, tolerance=5e-6, batch=3).ok


@pytest.mark.sample(1, slow=2)
@pytest.mark.parametrize("flavor", ["alexey", "pjreddie"])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_agree_with_the_reference(name, flavor, tmp_path):
    if flavor == "pjreddie" and name not in ORIGINAL_ACTIVATIONS:
        return
    net = made(NET + f"[activation]\nactivation={name}\n", tmp_path, flavor)
    x = np.linspace(-9, 9, 6 * 8 * 12).reshape(1, 6, 8, 12).astype(np.float32)
    x[0, 0, 0, :7] = [0, -0.0, -3, -1, 1, 3, 5]  # stairs, edges
    checked = check_onnx(net.network, net.parameters, tolerance=2e-6, x=x)
    assert checked.ok, checked.first_over


@pytest.mark.sample(slow=1)
@pytest.mark.parametrize("flavor", ["alexey", "pjreddie"])
def test_trees_of_classes(flavor, tmp_path):
    (tmp_path / "classes.tree").write_text(TREE)
    texts = (
        CONV.replace("filters=6", "filters=26")
        + "[region]\nclasses=8\ncoords=4\nnum=2\nsoftmax=1\nanchors=1,1,2,2\ntree=classes.tree\n",
        "[connected]\noutput=8\nactivation=linear\n[softmax]\ntree=classes.tree\n",
    )
    for text in texts:
        net = made(NET + text, tmp_path, flavor)
        assert net.layers[-1].settings.tree.sizes == (2, 3, 2, 1)
        checked = check_onnx(net.network, net.parameters, tolerance=5e-6, batch=2)
        assert checked.ok, checked.first_over


# ---------------------------------------------------------------------- the check


def test_a_check_names_the_first_layer_and_the_worst():
    folder = NETS / "alexey" / "residual"
    net = load(folder / "net.cfg", folder / "net.weights")
    checked = check_onnx(net.network, net.parameters)
    assert checked.ok
    assert checked.first_over is None
    assert checked.worst is not None
    assert [row.name for row in checked.rows] == [layer.name for layer in net.layers]
    assert all(row.rounding is None for row in checked.rows)
    strict = check_onnx(net.network, net.parameters, tolerance=0)
    assert not strict.ok
    assert strict.first_over is strict.rows[0]
    assert 0 < strict.rows[0].rounding < 1e-6
    record = json.loads(strict.to_json())
    assert (record["ok"], record["first_over"], record["worst"]) == (False, "0_convolutional", strict.worst.name)
    assert len(record["rows"]) == len(net.layers)


def test_a_check_finds_another_forks_batch_norm(monkeypatch):
    """The divisor of the wrong fork is found, in the first layer that has one."""
    from layoutbridge.darknet.meaning import normalization

    folder = NETS / "alexey" / "residual"
    net = load(folder / "net.cfg", folder / "net.weights")
    monkeypatch.setattr(normalization, "divisor", lambda variances, _: np.sqrt(variances + 1e-3))
    checked = check_onnx(net.network, net.parameters)
    assert checked.first_over is checked.rows[0]


def test_what_counts_as_a_difference():
    """NaN beside NaN, as l2norm gives of zeros, is none; NaN beside a number is the largest."""
    from layoutbridge.darknet.ports.check import deviation_of, largest_of

    nan, inf = float("nan"), float("inf")
    wanted = np.array([nan, 4.0, inf, -2.0])
    assert largest_of(wanted) == 4
    assert deviation_of(np.float32([nan, 4, inf, -2]), wanted, 4.0) == 0
    assert deviation_of(np.float32([nan, 4, inf, -1]), wanted, 4.0) == 0.25
    for other in ([nan, nan, inf, -2], [0, 4, inf, -2], [nan, 4, -inf, -2], [nan, 4, 0, -2]):
        assert deviation_of(np.float32(other), wanted, 4.0) == inf
    assert deviation_of(np.float32([1]), np.zeros(1), 0.0) == 1  # the difference itself where all is 0
    assert deviation_of(np.zeros((1, 2), np.float32), np.zeros((1, 3)), 1.0) == inf


def test_what_a_check_refuses():
    folder = NETS / "alexey" / "residual"
    net = load(folder / "net.cfg", folder / "net.weights")
    for tolerance in (-1, float("nan"), float("inf")):
        with pytest.raises(ParameterError, match="tolerance"):
            check_onnx(net.network, net.parameters, tolerance=tolerance)
    with pytest.raises(ParameterError, match="batch"):
        check_onnx(net.network, net.parameters, batch=0)
    with pytest.raises(ShapeError, match="must be"):
        check_onnx(net.network, net.parameters, x=np.zeros((1, 2, 3, 4), np.float32))
