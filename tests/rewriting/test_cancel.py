"""Permutations of axes meet, cancel and fold into weights, a model in one layout; drawn models stay the same."""

import ctypes
from random import Random

import numpy as np
import pytest

import layoutbridge as lb

onnx = pytest.importorskip("onnx", reason="ONNX is not installed")
pytest.importorskip("onnx_ir", reason="onnx-ir is not installed")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
pytest.importorskip("scipy", reason="SciPy is not installed")

from tests.command_line import refused  # noqa: E402 - only where it is installed
from tests.drawn_graphs import drawn_graph  # noqa: E402
from tests.onnx_ports import model, node, run  # noqa: E402

RNG = np.random.default_rng(0)
LAST, FIRST = (0, 2, 3, 1), (0, 3, 1, 2)


def exported_channels_last(batch="N"):
    """Convolutions as exporters of channels-last models write them: each between two transposes."""
    weights = {f"w{k}": RNG.standard_normal((8, 3 if k == 0 else 8, 3, 3)).astype(np.float32) for k in range(3)}
    scale = RNG.standard_normal(8).astype(np.float32)
    nodes = []
    name = "x"
    for k in range(3):
        nodes += [
            node("Transpose", [name], [f"first{k}"], perm=FIRST),
            node("Conv", [f"first{k}", f"w{k}"], [f"conv{k}"], pads=[1, 1, 1, 1]),
            node("Transpose", [f"conv{k}"], [f"last{k}"], perm=LAST),
            node("Mul", [f"last{k}", "scale"], [f"scaled{k}"]),
            node("Relu", [f"scaled{k}"], [f"out{k}"]),
        ]
        name = f"out{k}"
    nodes[-1].output[0] = "y"
    return model(nodes, (batch, 12, 10, 3), {**weights, "scale": scale})


def moved(made):
    return [each.op_type for each in made.graph.node].count("Transpose")


def test_what_an_exporter_wrote_around_each_convolution_goes():
    port = exported_channels_last()
    done = lb.rewrite(port, cancel=True)
    assert (moved(port), moved(done.model)) == (6, 2)
    assert done.bytes_moved_after < 0.6 * done.bytes_moved_before
    x = RNG.standard_normal((2, 12, 10, 3)).astype(np.float32)
    assert run(done.model, x=x)["y"].tobytes() == run(port, x=x)["y"].tobytes()
    assert not lb.rewrite(done.model, cancel=True).changed
    assert "Relu" in done.passes[0].proof


@pytest.mark.parametrize(("layout", "order"), [("nchw", FIRST), ("nhwc", None)])
def test_a_whole_model_in_one_layout(layout, order):
    port = exported_channels_last()
    done = lb.rewrite(port, layout=layout)
    x = RNG.standard_normal((2, 12, 10, 3)).astype(np.float32)
    given, expected = (x, run(port, x=x)["y"])
    if order is not None:
        assert moved(done.model) == 0 and done.bytes_moved_after == 0
        given, expected = given.transpose(order), expected.transpose(order)
    assert np.array_equal(run(done.model, x=np.ascontiguousarray(given))["y"], expected)
    lengths = [each.dim_value for each in done.model.graph.input[0].type.tensor_type.shape.dim]
    assert lengths[1:] == ([3, 12, 10] if order is not None else [12, 10, 3])


def test_the_order_of_channels_folds_into_a_dense_layer():
    weights = RNG.standard_normal((4 * 6 * 8, 5)).astype(np.float32)
    nodes = [
        node("Conv", ["x", "w"], ["a"]),
        node("Transpose", ["a"], ["b"], perm=LAST),
        node("Flatten", ["b"], ["c"]),
        node("MatMul", ["c", "dense"], ["y"]),
    ]
    port = model(nodes, (2, 3, 6, 8), {"w": RNG.standard_normal((4, 3, 1, 1)).astype(np.float32), "dense": weights})
    done = lb.rewrite(port, cancel=True)
    assert moved(done.model) == 0 and done.deviation < 1e-5
    x = RNG.standard_normal((2, 3, 6, 8)).astype(np.float32)
    np.testing.assert_allclose(run(done.model, x=x)["y"], run(port, x=x)["y"], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("seed", range(12))
def test_drawn_models_compute_the_same(seed):
    port, given = drawn_graph(Random(seed), 8)
    before = port.SerializeToString()
    done = lb.rewrite(port, cancel=True)
    assert port.SerializeToString() == before and done.bytes_moved_after <= done.bytes_moved_before
    onnx.checker.check_model(done.model, full_check=True)
    for values in given:
        expected, found = run(port, **values), run(done.model, **values)
        assert expected.keys() == found.keys()
        for name, value in expected.items():
            largest = float(np.abs(value).max(initial=0)) or 1.0
            np.testing.assert_allclose(found[name], value, rtol=0, atol=1e-5 * largest)
    assert not lb.rewrite(done.model, cancel=True).changed


@pytest.mark.sample(3)
@pytest.mark.parametrize("seed", range(12, 20))
def test_all_passes_together(seed):
    port, given = drawn_graph(Random(seed), 8)
    done = lb.rewrite(port, native=True, cancel=True)
    for values in given:
        expected, found = run(port, **values), run(done.model, **values)
        for name, value in expected.items():
            largest = float(np.abs(value).max(initial=0)) or 1.0
            np.testing.assert_allclose(found[name], value, rtol=0, atol=1e-5 * largest)
    assert not lb.rewrite(done.model, native=True, cancel=True).changed
    alone = [lb.rewrite(port, native=each, cancel=not each, check=False) for each in (True, False)]
    assert done.bytes_moved_after <= min(each.bytes_moved_after for each in alone)


def test_layouts_that_there_are_not(tmp_path, capfd):
    port = model([node("Relu", ["x"], ["y"])], (1, 3, 4, 5))
    with pytest.raises(lb.LayoutBridgeError, match="a layout is nchw or nhwc, not 'chwn'"):
        lb.rewrite(port, layout="chwn")
    onnx.save(port, tmp_path / "a.onnx")
    words = ["rewrite", str(tmp_path / "a.onnx"), "-o", str(tmp_path / "b.onnx")]
    assert "picture" in refused(capfd, *words, "--nhwc")
    assert "--nchw" in refused(capfd, *words, "--nhwc", "--nchw")
    assert not (tmp_path / "b.onnx").exists()


# ---------------------------------------------------------------------- sums in another order that are too far away


def wild(begin):
    """A network whose outputs are far apart where its sums are not the same bit for bit."""
    weights = RNG.standard_normal((4 * 6 * 8, 5)).astype(np.float32)
    nodes = [
        node("Transpose", ["x"], ["last"], perm=LAST),
        node("Relu", ["last"], ["kept"]),
        node("Transpose", ["kept"], ["first"], perm=FIRST),
        node("Conv", ["first", "w"], ["a"]),
        node("Transpose", ["a"], ["b"], perm=LAST),
        node("Flatten", ["b"], ["c"]),
        node("MatMul", ["c", "dense"], ["d"]),
        node("Mul", ["d", "much"], ["e"]),
        node("Sin", ["e"], ["y"]),
    ]
    constants = {"w": RNG.standard_normal((4, 3, 1, 1)).astype(np.float32), "dense": weights, "much": np.float32(1e6)}
    return model(nodes[begin:], (2, 3, 6, 8), constants, out_rank=2)


def test_what_adds_up_in_another_order_is_left_out_where_outputs_would_be_too_far_away():
    port = wild(0)
    done = lb.rewrite(port, cancel=True)
    assert moved(done.model) == 1 and done.deviation == 0
    assert "what adds up in another order was left out, as other weights would give outputs that are" in (
        done.passes[-1].proof
    )
    assert not lb.rewrite(done.model, native=True).changed


def test_where_nothing_is_left_to_do_without_the_reason_is_told():
    port = wild(3)
    port.graph.node[0].input[0] = "x"
    with pytest.raises(lb.LayoutBridgeError, match=r"other weights would give outputs that are .* away"):
        lb.rewrite(port, cancel=True)
    assert lb.rewrite(port, cancel=True, check=False).changed


# ---------------------------------------------------------------------- quantised models


@pytest.mark.parametrize("per_channel", [False, True])
def test_a_quantised_model_channels_last(per_channel, tmp_path):
    quantization = pytest.importorskip("onnxruntime.quantization")
    onnx.save(exported_channels_last(batch=2), tmp_path / "float.onnx")
    given = [{"x": RNG.standard_normal((2, 12, 10, 3)).astype(np.float32)} for _ in range(3)]

    class Calibration(quantization.CalibrationDataReader):
        left = iter(given)

        def get_next(self):
            return next(self.left, None)

    quantization.quantize_static(
        tmp_path / "float.onnx", tmp_path / "int8.onnx", Calibration(), per_channel=per_channel
    )  # fmt: skip
    port = onnx.load(tmp_path / "int8.onnx")
    done = lb.rewrite(port, native=True, cancel=True)
    assert (moved(port), moved(done.model)) == (6, 2) and done.deviation == 0
    assert done.bytes_moved_after < 0.3 * done.bytes_moved_before  # of bytes, a fourth of floats, too
    for values in given:
        assert run(done.model, **values)["y"].tobytes() == run(port, **values)["y"].tobytes()
    assert not lb.rewrite(done.model, native=True, cancel=True).changed


def test_the_solver_says_nothing_on_standard_output(capfd):
    port, _ = drawn_graph(Random(73), 14)
    lb.rewrite(port, cancel=True, check=False)
    ctypes.CDLL(None).fflush(None)  # what C++ code has written and not yet given on
    assert capfd.readouterr().out == ""


def shuffled_branches(units=3, channels=8):
    """Units of a ShuffleNet: a half of the channels passes by a convolution, and both are shuffled."""
    half = channels // 2
    weights = {f"w{k}": RNG.standard_normal((half, half, 1, 1)).astype(np.float32) for k in range(units)}
    weights |= {"first": RNG.standard_normal((channels, 3, 1, 1)).astype(np.float32)}
    weights |= {"last": RNG.standard_normal((5, channels, 1, 1)).astype(np.float32)}
    weights |= {"cut": np.array([0, 2, half, 6, 6]), "join": np.array([0, channels, 6, 6])}
    nodes, name = [node("Conv", ["x", "first"], ["y0"])], "y0"
    for k in range(units):
        nodes += [
            node("Split", [name], [f"a{k}", f"b{k}"], name=f"halves{k}", axis=1),
            node("Conv", [f"b{k}", f"w{k}"], [f"c{k}"]),
            node("Relu", [f"c{k}"], [f"r{k}"]),
            node("Concat", [f"a{k}", f"r{k}"], [f"j{k}"], axis=1),
            node("Reshape", [f"j{k}", "cut"], [f"five{k}"]),
            node("Transpose", [f"five{k}"], [f"turned{k}"], perm=(0, 2, 1, 3, 4)),
            node("Reshape", [f"turned{k}", "join"], [f"s{k}"]),
        ]
        name = f"s{k}"
    return model([*nodes, node("Conv", [name, "last"], ["y"])], (1, 3, 6, 6), weights)


def test_native_is_never_in_the_way_of_cancel():
    port = shuffled_branches()
    alone = lb.rewrite(port, cancel=True)
    both = lb.rewrite(port, native=True, cancel=True)
    assert alone.bytes_moved_after < alone.bytes_moved_before
    assert both.bytes_moved_after <= alone.bytes_moved_after
    assert not lb.rewrite(both.model, native=True, cancel=True).changed
