"""The assertions alone, as a test without pytest would use them: what passes, and what a failure says."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import layoutbridge as lb
from layoutbridge.testing import assert_same_layout, assert_same_model
from layoutbridge.testing.checks import recording

FOLDER = "fixtures/nets/pjreddie/passthrough"


def unshuffled(x):
    n, c, h, w = x.shape
    return x.reshape(n, c, h // 2, 2, w // 2, 2).transpose(0, 1, 3, 5, 2, 4).reshape(n, c * 4, h // 2, w // 2)


def at_batch_one(x):
    _, c, h, w = x.shape
    return x.reshape(1, c, h // 2, 2, w // 2, 2).transpose(0, 1, 3, 5, 2, 4).reshape(1, c * 4, h // 2, w // 2)


def without_batch(x):
    c, h, w = x.shape
    return x.reshape(c, h // 2, 2, w // 2, 2).transpose(0, 2, 4, 1, 3).reshape(c * 4, h // 2, w // 2)


def channels_last(operation):
    return lambda x: operation(x.transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1)


def windows(x):
    n, h, w, c = x.shape
    return x.reshape(n, h // 7, 7, w // 7, 7, c).transpose(0, 1, 3, 2, 4, 5).reshape(-1, 7, 7, c)


def focus_but_for_one_channel(x):
    return unshuffled(x) if x.shape[1] == 1 else lb.op("focus")(x)


def failure(*arguments, **parameters):
    with pytest.raises(AssertionError) as raised:
        assert_same_layout(*arguments, **parameters)
    return str(raised.value).split("\n")


@pytest.mark.parametrize(
    ("target", "name", "parameters"),
    [
        (unshuffled, "pixel_unshuffle", {"stride": 2}),
        (unshuffled, "pixel_unshuffle", {}),
        (unshuffled, "c (h p) (w q) -> (c p q) h w, p=2, q=2", {}),
        (unshuffled, lb.op("space_to_depth_crd"), {}),
        (unshuffled, lb.Rearrangement("c (h p) (w q) -> (c p q) h w, p=2, q=2"), {}),
        (unshuffled, "inverse(pixel_shuffle)", {"stride": 2}),
        (unshuffled, "pixel_unshuffle", {"shape": (1, 3, 8, 8), "second_shape": (2, 1, 4, 4)}),
        (at_batch_one, "pixel_unshuffle", {"stride": 2}),
        (without_batch, "pixel_unshuffle", {"stride": 2}),
        (channels_last(lb.op("darknet_reorg")), "darknet_reorg", {"stride": 2}),
        (channels_last(lb.op("darknet_reorg", stride=8)), "darknet_reorg", {"stride": 8}),
        (lb.op("focus", stride=(2, 4)), "focus", {"stride": [2, 4]}),
        (lb.op("focus", stride=(2, 4)), lb.op("focus", stride=(2, 4)), {}),
        (windows, "window_partition", {"window": 7}),
        (lb.op("space_to_depth").table((4, 4, 8)).reshape(16, 2, 4), "space_to_depth", {"stride": 2}),
        (lb.op("space_to_depth").table((4, 4, 8)), "space_to_depth", {"stride": 2, "shape": (4, 4, 8)}),
        (lambda x: x, "identity", {}),
        (lambda x: x.transpose(0, 2, 3, 1), "nchw_to_nhwc", {}),
        (f"{FOLDER}/net.cfg", "darknet_reorg", {"stride": 2}),
    ],
)
def test_it_is_the_same(target, name, parameters):
    assert_same_layout(target, name, **parameters)


NAMES = ["darknet_reorg", "darknet_reorg3d", "space_to_depth", "pixel_unshuffle", "focus", "focus_row_major"]


@pytest.mark.parametrize("stride", [2, 3, 4])
@pytest.mark.parametrize("name", NAMES)
def test_the_chosen_shape_tells_the_well_known_ones_apart(name, stride):
    operation = lb.op(name, stride=stride)
    for other in NAMES:
        if lb.prove(operation, lb.op(other, stride=stride)).equal:
            assert_same_layout(operation, other, stride=stride)
            assert_same_layout(lambda x: operation(x), other, stride=stride)
        else:
            failure(operation, other, stride=stride)
            failure(lambda x: operation(x), other, stride=stride)


def test_a_failure_is_short_and_exact():
    assert failure(unshuffled, "darknet_reorg", stride=2) == [
        "unshuffled is not darknet_reorg (stride 2): it is pixel_unshuffle (stride 2), space_to_depth_crd (stride 2)",
        "pattern: c (h p:s) (w q:s) -> (c p q) h w, s=2",
        "input [1, 4, 2, 2]: the result's element [0, 1, 0, 0] comes from input [0, 0, 0, 1], "
        "in darknet_reorg (stride 2) from [0, 0, 1, 0]",
        "14 of 16 elements differ there: [0, 1, 0, 0], [0, 2, 0, 0], [0, 3, 0, 0], [0, 4, 0, 0], [0, 5, 0, 0], "
        "[0, 6, 0, 0], ...",
        'to do: use what lb.code(lb.op("darknet_reorg", stride=2), "numpy") writes, '
        'or expect "pixel_unshuffle", stride=2',
    ]


@pytest.mark.parametrize(
    ("target", "name", "parameters", "told"),
    [
        (unshuffled, "pixel_unshuffle", {"stride": 4}, ": it is pixel_unshuffle (stride 2)"),
        (np.abs, "focus", {}, "no permutation: it depends on sign"),
        (lambda x: x[:, ::2], "identity", {}, "<lambda> is not identity"),
        (lambda x: np.roll(x, 1, 3), "identity", {}, ": it is a permutation without a name"),
        (focus_but_for_one_channel, "focus", {"shape": (1, 3, 8, 8), "second_shape": (1, 5, 4, 4)}, "at every shape\n"),
        (
            channels_last(lb.op("darknet_reorg")),
            "space_to_depth",
            {"stride": 2},
            "it is darknet_reorg (stride 2), the tensor read as channels last",
        ),
        (lb.op("focus"), "space_to_depth", {}, 'to do: use lb.op("space_to_depth", stride=2), or expect "focus"'),
        (unshuffled, "c h w -> w h c", {}, "lb.Rearrangement("),
        (f"{FOLDER}/net.cfg", "focus", {"stride": 2}, 'make it lb.op("focus", stride=2)'),
    ],
)
def test_what_a_failure_says(target, name, parameters, told):
    assert told in "\n".join(failure(target, name, **parameters))


def test_what_is_told_can_be_seen():
    """The elements in a failure's table are those that differ, and the picture is of both results."""
    with recording() as checks:
        failure(unshuffled, "focus")
    (check,) = checks
    assert check.picture is not None
    x = np.arange(4).reshape(1, 1, 2, 2)
    assert check.picture.shape == (1, 4, 1, 1)
    assert check.picture.reads == tuple(unshuffled(x).reshape(-1))
    assert check.picture.wanted == tuple(lb.op("focus")(x).reshape(-1))
    assert check.rows == (
        ("[0, 1, 0, 0]", "[0, 0, 0, 1]", "[0, 0, 1, 0]"),
        ("[0, 2, 0, 0]", "[0, 0, 1, 0]", "[0, 0, 0, 1]"),
    )


@pytest.mark.parametrize(
    ("target", "name", "parameters", "told"),
    [
        (unshuffled, "focuss", {}, "did you mean focus"),
        (unshuffled, "focus", {"groups": 2}, "focus takes no groups"),
        (unshuffled, "c h w -> w h c", {"stride": 2}, "a pattern takes no stride"),
        (unshuffled, lb.op("focus"), {"stride": 2}, "a Rearrangement has its parameters"),
        (unshuffled, "focus", {"stride": 0}, "stride"),
        (unshuffled, "focus", {"shape": (1, 3, 5, 5)}, "cannot reshape"),
        (lambda x: x.reshape(3, 5), "focus", {}, r"give shape=\(...\) with one that it takes"),
        (np.arange(64), "focus", {}, r"give shape=\(64, 26, 26\)"),
        ("no_such_file.npy", "focus", {}, "no_such_file"),
    ],
)
def test_what_cannot_be_checked_is_no_failure(target, name, parameters, told):
    with recording() as checks, pytest.raises(lb.LayoutBridgeError, match=told):
        assert_same_layout(target, name, **parameters)
    assert [check.verdict for check in checks] == ["unusable"]


def test_what_the_callable_raised_is_the_cause():
    def broken(x):
        raise RuntimeError("no weights")

    with pytest.raises(lb.LayoutBridgeError, match="no weights") as raised:
        assert_same_layout(broken, "focus")
    assert isinstance(raised.value.__cause__, RuntimeError)


def test_modules():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    assert_same_layout(torch.nn.PixelUnshuffle(2), "pixel_unshuffle", stride=2)
    told = failure(torch.nn.PixelUnshuffle(2), "darknet_reorg", stride=2)
    assert told[0].startswith("PixelUnshuffle is not darknet_reorg (stride 2): it is pixel_unshuffle (stride 2)")
    assert 'lb.code(lb.op("darknet_reorg", stride=2), "torch")' in told[-1]


def test_files(tmp_path):
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    path = tmp_path / "focus.onnx"
    lb.export(lb.op("focus"), "onnx", path, shape=(1, 3, 8, 8))
    assert_same_layout(path, "focus", stride=2)
    assert ": it is focus (stride 2)" in failure(path, "space_to_depth", stride=2)[0]


def test_callables_in_files(tmp_path):
    path = tmp_path / "ports.py"
    path.write_text("class Same:\n    def __call__(self, x):\n        return x\n")
    assert_same_layout(f"{path}:Same", "identity")
    assert "is not focus" in failure(f"{path}:Same", "focus", stride=2)[0]


# ---------------------------------------------------------------------- models


def network(cfg=f"{FOLDER}/net.cfg"):
    return lb.darknet.load(cfg, f"{FOLDER}/net.weights", flavor="pjreddie")


def with_another_reorg(folder):
    """The network with the main fork's other reorg layer."""
    text = Path(FOLDER, "net.cfg").read_text()
    assert "[reorg]" in text
    (folder / "port.cfg").write_text(text.replace("[reorg]", "[reorg3d]"))
    return str(folder / "port.cfg"), f"{FOLDER}/net.weights"


def test_models_that_are_equal():
    assert_same_model(network(), network())
    assert_same_model(network(), network(), seed=3, tolerance=1e-6)


def test_models_that_differ(tmp_path):
    port = with_another_reorg(tmp_path)
    with recording() as checks, pytest.raises(AssertionError) as raised:
        assert_same_model(network(), port)
    lines = str(raised.value).split("\n")
    assert lines[0] == f"{port[0]} is another model than net.cfg"
    assert lines[1].startswith("the first that differs: 4_reorg, beside 4_reorg3d (moved, ")
    assert lines[2:5] == ["rearrangement at 4_reorg", "  found: space_to_depth", "  expected: darknet_reorg"]
    assert lines[5].startswith("  to do: ")
    # the other fork's [region] leaves x and y as they come
    assert lines[6:8] == ["head at 8_region", "  found: x, y: no logistic"] and len(lines) == 10
    (check,) = checks
    assert [check.rows[index][0] for index in check.marked] == ["4_reorg"]


def test_models_that_cannot_be_compared():
    with pytest.raises(lb.LayoutBridgeError, match="no weights"):
        assert_same_model(network(), f"{FOLDER}/net.cfg")
    with pytest.raises(lb.LayoutBridgeError, match="tolerance"):
        assert_same_model(network(), network(), tolerance=2.0)


# ---------------------------------------------------------------------- what they need


def test_neither_pytest_nor_frameworks_are_needed():
    program = (
        "import sys\n"
        "sys.modules['pytest'] = None\n"
        "import layoutbridge as lb\n"
        "from layoutbridge.testing import assert_same_layout, assert_same_model\n"
        "assert_same_layout(lb.op('focus'), 'focus')\n"
        "print({'torch', 'tensorflow', 'onnx', 'jax'} & set(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_the_plugin_needs_nothing_until_it_is_asked_for():
    program = (
        "import pytest, sys\n"
        "before = set(sys.modules)\n"
        "import layoutbridge.testing.plugin\n"
        "print(sorted(name for name in set(sys.modules) - before if not name.startswith('layoutbridge')))\n"
        "print(len([name for name in sys.modules if name.startswith('layoutbridge')]))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    others, ours = done.stdout.splitlines()
    assert others == "[]" and int(ours) <= 5, done.stdout
