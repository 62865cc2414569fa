"""`verify`: real runs, honest rows, and a verdict that turns on what is wrong and on nothing else."""

import json
import sys
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest

import layoutbridge as lb
from layoutbridge.errors import LayoutBridgeError, MissingFrameworkError
from layoutbridge.frameworks.base import Runnable
from layoutbridge.frameworks.table import framework, frameworks
from layoutbridge.recognition import verification
from layoutbridge.recognition.verification import shapes_for
from tests.pictures import pictures


def test_numpy_holds_everywhere():
    verdict = lb.verify(frameworks=("numpy",))
    assert verdict.ok
    unavailable = {row.dtype for row in verdict.rows if row.status != "matches"}
    assert unavailable == (set() if find_spec("ml_dtypes") else {"bfloat16"})
    assert {row.entry for row in verdict.rows} == set(pictures())
    assert {row.stride for row in verdict.rows} == {1, 2, 3, 4, 5}
    assert {row.direction for row in verdict.rows} == {"forward", "backward"}
    assert all(row.entry in row.names for row in verdict.rows if row.direction == "forward" and row.status == "matches")


@pytest.mark.parametrize("stride", [2, 3, 5])
def test_the_shapes_are_telling(stride):
    shapes = list(shapes_for(lb.op("space_to_depth", stride=stride)))
    assert any(shape[0] > 1 for shape in shapes)
    assert any(shape[1] == 1 for shape in shapes)
    assert any(shape[1] < stride**2 for shape in shapes)
    assert any(shape[2] != shape[3] for shape in shapes)
    assert any(shape[2] // stride % 2 for shape in shapes)


def framework_of(*runnables):
    """NumPy's record, but for what it runs."""
    return replace(framework("numpy"), runnables=lambda stride, entries: runnables)


def test_a_wrong_port_is_a_finding_with_its_smallest_place(monkeypatch):
    wrong = lb.op("space_to_depth")
    row = Runnable("numpy", "1.0", "port", "darknet_reorg", True, "NCHW", wrong.__call__)
    monkeypatch.setattr(verification, "framework", lambda name: framework_of(row))
    verdict = lb.verify(frameworks=("numpy",), strides=(2,), dtypes=("uint8", "bool"))
    assert not verdict.ok
    assert {row.status for row in verdict.findings} == {"differs"}
    assert "comes from" in verdict.findings[0].detail
    assert "space_to_depth" in verdict.findings[0].names


def test_a_wrong_gradient_is_a_finding(monkeypatch):
    reorg = lb.op("darknet_reorg")
    row = Runnable(
        "numpy", "1.0", "port", "darknet_reorg", True, "NCHW", reorg.__call__,
        lambda x, upstream: lb.op("depth_to_space")(upstream),
    )  # fmt: skip
    monkeypatch.setattr(verification, "framework", lambda name: framework_of(row))
    verdict = lb.verify(frameworks=("numpy",), strides=(2,), dtypes=("float32",))
    assert {(row.direction, row.status) for row in verdict.rows} == {("forward", "matches"), ("backward", "differs")}
    assert not verdict.ok


def test_refusals_and_nameless_ops_leave_the_verdict_good(monkeypatch):
    def refuse(x):
        raise TypeError("no kernel\nfor this")

    rows = [
        Runnable("numpy", "1.0", "refuses", "focus", False, "NCHW", refuse),
        Runnable("numpy", "1.0", "flips", None, False, "NCHW", lambda x: x[:, ::-1, ::-1].copy()),
        Runnable("numpy", "1.0", "newer", "focus", False, "NCHW", refuse, unavailable="needs 28, has 26"),
        Runnable("numpy", "1.0", "rectifies", None, False, "NCHW", lambda x: np.maximum(x, 0)),
    ]
    monkeypatch.setattr(verification, "framework", lambda name: framework_of(*rows))
    verdict = lb.verify(frameworks=("numpy",), strides=(2,), dtypes=("int8",))
    by_op = {row.op: row for row in verdict.rows}
    assert verdict.ok
    assert (by_op["refuses"].status, by_op["refuses"].detail) == ("unsupported", "TypeError: no kernel")
    assert (by_op["newer"].status, by_op["newer"].detail) == ("unavailable", "needs 28, has 26")
    assert by_op["flips"].status == by_op["rectifies"].status == "differs"
    assert "sign" in by_op["rectifies"].detail


@pytest.mark.parametrize("name", [each.name for each in frameworks() if each.extra])
def test_a_missing_or_broken_framework_is_a_row(monkeypatch, name):
    def verdict_with(**changes):
        records = {each.name: each for each in frameworks()} | {name: replace(framework(name), **changes)}
        monkeypatch.setattr(verification, "framework", records.__getitem__)
        monkeypatch.setattr(verification, "FRAMEWORKS", ("numpy", name))
        return lb.verify(ops=("focus",), strides=(2,), dtypes=("uint8",))

    verdict = verdict_with(installed=lambda: None)
    rows = [row for row in verdict.rows if row.framework == name]
    assert verdict.ok
    assert [row.status for row in rows] == ["unavailable"]
    assert f"[{name}]'" in rows[0].detail
    with pytest.raises(MissingFrameworkError, match=rf"{name} is not installed: pip install .*\[{name}\]"):
        lb.verify(frameworks=(name,))

    def broken(stride, entries):
        raise ImportError("libbroken.so: cannot open shared object file")

    verdict = verdict_with(installed=lambda: "9.9", runnables=broken)
    assert verdict.ok
    assert [row.detail for row in verdict.rows if row.framework == name] == [
        "cannot be used: ImportError: libbroken.so: cannot open shared object file"
    ]


@pytest.mark.skipif(find_spec("torch") is None, reason="PyTorch is not installed")
def test_a_blocked_import_is_a_row(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "layoutbridge.frameworks.torch.module", raising=False)
    verdict = lb.verify(frameworks=("torch",), ops=("focus",), strides=(2,), dtypes=("uint8",))
    assert verdict.ok
    assert {row.status for row in verdict.rows} <= {"unavailable", "unsupported"}


def test_an_emitted_graph_that_never_runs_is_a_finding(monkeypatch):
    def only_int8(x):
        if x.dtype != np.int8:
            raise TypeError("no kernel")
        return lb.op("focus")(x)

    def never(x):
        raise ValueError("too many values to unpack")

    for box, ok in ((only_int8, True), (never, False)):
        row = Runnable("numpy", "1.0", "graph", "focus", True, "NCHW", box)
        monkeypatch.setattr("layoutbridge.recognition.verification.framework", lambda name, row=row: framework_of(row))
        assert lb.verify(frameworks=("numpy",), strides=(2,), dtypes=("int8", "uint8")).ok is ok


def test_a_dtype_that_is_not_there_is_a_row(monkeypatch):
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    monkeypatch.setattr("layoutbridge.frameworks.base.find_spec", lambda name: None)
    verdict = lb.verify(frameworks=("numpy",), ops=("focus",), strides=(2,), dtypes=("uint8", "bfloat16"))
    assert verdict.ok
    assert {(row.dtype, row.status) for row in verdict.rows} == {("uint8", "matches"), ("bfloat16", "unavailable")}
    assert "[onnx]'" in next(row.detail for row in verdict.rows if row.dtype == "bfloat16")


def test_json_says_the_same():
    verdict = lb.verify(frameworks=("numpy",), ops=("focus", "darknet_reorg"), strides=(2,), dtypes=("float32",))
    record = json.loads(verdict.to_json())
    assert record["ok"] is True
    assert len(record["rows"]) == len(verdict.rows) == record["counts"]["matches"]
    wanted = {
        "framework",
        "version",
        "op",
        "emitted",
        "layout",
        "shape",
        "stride",
        "dtype",
        "direction",
        "names",
        "status",
        "detail",
    }
    assert wanted <= set(record["rows"][0])


@pytest.mark.parametrize(
    "call",
    [
        {"frameworks": ("caffe",)},
        {"ops": ("reorganise",)},
        {"strides": (0,)},
        {"strides": (1.5,)},
        {"dtypes": ("float8",)},
        {"frameworks": ()},
        {"frameworks": ""},
        {"ops": ()},
        {"frameworks": 3},
    ],
)
def test_unusable_calls(call):
    with pytest.raises(LayoutBridgeError):
        lb.verify(**{"frameworks": ("numpy",), **call})


@pytest.mark.slow
def test_every_installed_framework_holds():
    verdict = lb.verify()
    assert verdict.ok, verdict.findings[:3]
    ran = {row.framework for row in verdict.rows if row.status == "matches"}
    assert ran == {each.name for each in frameworks() if each.installed()}
    emitted = [row for row in verdict.rows if row.emitted and row.direction == "forward"]
    assert all(row.status == "matches" for row in emitted), [r for r in emitted if r.status != "matches"][:3]


def test_native_ops_are_what_they_are_said_to_be():
    there = [name for name in ("torch", "onnx") if framework(name).installed()]
    if not there:
        pytest.skip("neither torch nor onnx is installed")
    verdict = lb.verify(frameworks=there, strides=(2, 3), dtypes=("float32",))
    assert verdict.ok
    native = [row for row in verdict.rows if not row.emitted and row.status == "matches"]
    assert not any("darknet_reorg" in row.names and row.shape[1] > 3 * row.stride for row in native)


def test_an_operation_taken_away_meanwhile_is_verified_as_it_was():
    lb.register("own_turn", "c h w -> c w h")

    def take_away(_, done, total):
        if done == 1:
            lb.unregister("own_turn")

    verdict = lb.verify(frameworks=("numpy",), ops=("own_turn",), strides=(2, 3), dtypes=("uint8",), progress=take_away)
    assert verdict.ok and {row.stride for row in verdict.rows} == {2, 3}
    assert "own_turn" not in lb.catalog()
