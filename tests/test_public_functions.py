"""Every public function, given values of every kind: nothing but errors under the base class.

For an argument of another type than its annotation, Python's own TypeError or AttributeError may come.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import layoutbridge as lb
from layoutbridge import darknet
from layoutbridge.errors import CfgError, LayoutBridgeError, shown

NET = Path(__file__).resolve().parent.parent / "fixtures" / "nets" / "alexey" / "yolo_head"
CFG, WEIGHTS = NET / "net.cfg", NET / "net.weights"


class Unprintable:
    def __repr__(self):
        raise RuntimeError("no")


NUMBERS = [True, 0, -1, 1, 2, 3, 10**9, 2**31, 2**63 - 1, 2**63, 10**5000, -(10**5000), np.int8(3), np.uint64(2**63)]
FLOATS = [*NUMBERS, 1.5, -0.0, 1e308, float("nan"), float("inf"), float("-inf"), np.float32(0.5), np.float64("nan")]
TEXTS = ["", " ", "focus", "a b -> b a", "x" * 5000, "\0", "a\0b", "\ud800", "é☃\u202e\x1b[31m", "..", "/", "-", "[/]"]
TEXTS += ["\n"]
PATHS = [*TEXTS, *map(Path, TEXTS), "/dev/null/x", "/dev/full", ".", __file__, Path("x") / ("y" * 300)]
SHAPES = [
    (),
    [],
    (0,),
    (-1, 2),
    (1,) * 100,
    [2**63],
    [10**5000],
    (2**40, 2**40),
    [3, 4, 4],
    range(3, 6),
    np.ones(3, int),
]
DTYPES = ("f4", "f2", "i8", "u1", bool, "c8", "U3", "S2", object, "M8[s]", [("a", "i4")])
ARRAYS = [np.zeros(shape, dtype) for shape in ((0,), (3,), (1, 3, 16, 16), (1,) * 20) for dtype in DTYPES]
ARRAYS += [np.full((1, 3, 16, 16), value, np.float32) for value in (np.nan, np.inf, 1e38)]
ARRAYS += [
    np.ma.masked_array([0, 1], [False, True]),
    np.broadcast_to(np.float32(1), (1, 3, 16, 16)),
    ARRAYS[2][..., ::-1],
]
OUTPUTS = ["", "..", "x/", *(f"{name}{end}" for name in ("a\0b", "\ud800", "/dev/null/x", "y" * 300)
                             for end in ("", ".onnx", ".param", ".png", ".npy"))]  # fmt: skip
PICTURE = np.zeros((16, 16, 3), np.uint8)
OTHERS = [1.5, 10**5000, b"ab", [], ["a", 1], {}, {"a": 1}, object(), int, Unprintable(), 2j]


BOXES = [0.0, -1.5, 1e308, -1e308, float("nan"), float("inf"), float("-inf"), 5e-324]


def detection(label, number):
    return darknet.Detection(label, 0, 0.5, number, number, number, number)


def registered(name, pattern, **parameters):
    lb.register(name, pattern, **parameters)
    lb.unregister(name)


def focus():
    return lb.op("focus")


@pytest.fixture(scope="module")
def net():
    return darknet.load(CFG, WEIGHTS)


CALLS = {
    "op": (TEXTS, lambda v, _: lb.op(v)),
    "op, stride": (FLOATS, lambda v, _: lb.op("focus", stride=v)),
    "op, groups": (FLOATS, lambda v, _: lb.op("channel_shuffle", groups=v)),
    "op, unknown": (FLOATS, lambda v, _: lb.op("focus", other=v)),
    "Rearrangement": (TEXTS, lambda v, _: lb.Rearrangement(v)),
    "Rearrangement, length": (FLOATS, lambda v, _: lb.Rearrangement("c (h p) w -> (p c) h w", p=v)),
    "table": (SHAPES, lambda v, _: focus().table(v)),
    "out_shape": (SHAPES, lambda v, _: focus().out_shape(v)),
    "bind": (SHAPES, lambda v, _: focus().bind(v)),
    "an array": (ARRAYS, lambda v, _: focus()(v)),
    "an array, out": (ARRAYS, lambda v, _: focus()(np.zeros((4, 4, 4)), out=v)),
    "then": ([lb.Rearrangement("a b -> b a"), lb.op("focus", stride=2**62)], lambda v, _: focus().then(v)),
    "prove": ([lb.Rearrangement("a b -> b a"), lb.op("darknet_reorg3d_reverse", stride=2**62)],
              lambda v, _: lb.prove(focus(), v)),
    "factorize": ([*ARRAYS, [], [[1], [2, 3]], [10**30], ["a"], [None]], lambda v, _: lb.factorize(v)),
    "identify": ([*TEXTS, *ARRAYS], lambda v, _: lb.identify(v)),
    "identify, path": (PATHS, lambda v, _: lb.identify(str(Path(v)) + ".npy")),
    "identify, callable": ([lambda x: 1 / 0, lambda x: None, lambda x: "a", lambda x: sys.exit(1), int, print],
                           lambda v, _: lb.identify(v, (1, 2, 4, 4))),
    "identify, shape": (SHAPES, lambda v, _: lb.identify(lambda x: x, v)),
    "identify, table's shape": (SHAPES, lambda v, _: lb.identify([0, 1, 2], v)),
    "verify, frameworks": ([*TEXTS, TEXTS, []], lambda v, _: lb.verify(v, ["focus"])),
    "verify, ops": ([*TEXTS, TEXTS, []], lambda v, _: lb.verify(["numpy"], v)),
    "register": (TEXTS, lambda v, _: registered(v, "c h w -> h w c")),
    "register, pattern": (TEXTS, lambda v, _: registered("mine", v)),
    "register, default": (FLOATS, lambda v, _: registered("mine", "c (h p:s) w -> (p c) h w", stride=v)),
    "unregister": (TEXTS, lambda v, _: lb.unregister(v)),
    "build_at": (FLOATS, lambda v, _: lb.catalog()["focus"].build_at(v)),
    "emit": (TEXTS, lambda v, _: lb.emit(focus(), v)),
    "code": (TEXTS, lambda v, _: lb.code(focus(), v)),
    "code, op": (TEXTS, lambda v, _: lb.code(v, "torch")),
    "code, batch": (FLOATS, lambda v, _: lb.code(focus(), "torch", batch=v)),
    "code, data_format": (TEXTS, lambda v, _: lb.code(focus(), "tensorflow", data_format=v)),
    "code, pattern": (TEXTS, lambda v, _: lb.code(lb.Rearrangement(v), "einops")),
    "code, stride": (NUMBERS, lambda v, _: lb.code(lb.op("focus", stride=v), "onnx")),
    "code, name": (TEXTS, lambda v, _: lb.code(focus().named(v), "numpy")),
    "plot": (TEXTS, lambda v, _: lb.plot(v).svg),
    "plot, shape": (SHAPES, lambda v, _: lb.plot("focus", v).svg),
    "plot, compare": (TEXTS, lambda v, _: lb.plot("focus", compare=v).svg),
    "plot, title": (TEXTS, lambda v, _: lb.plot("focus", title=v).svg),
    "plot, theme": (TEXTS, lambda v, _: lb.plot("focus", theme=v)),
    "plot, stride": (FLOATS, lambda v, _: lb.plot("focus", stride=v).svg),
    "plot, digits": (SHAPES, lambda v, _: lb.plot("focus", v, digits=True).svg),
    "plot, path": (OUTPUTS, lambda v, _: lb.plot("focus").save(v)),
    "explore": (PATHS, lambda v, _: lb.explore(v)),
    "explore, op": (OTHERS, lambda v, _: lb.explore("x.html", v)),
    "explore, shape": (SHAPES, lambda v, _: lb.explore("x.html", focus(), shape=v)),
    "export": (TEXTS, lambda v, _: lb.export(focus(), v, "x.npy", shape=(3, 4, 4))),
    "export, shape": (SHAPES, lambda v, _: lb.export(focus(), "numpy", "x.npy", shape=v)),
    "load": (PATHS, lambda v, _: darknet.load(v)),
    "load, weights": (PATHS, lambda v, _: darknet.load(CFG, v)),
    "load, flavor": (TEXTS, lambda v, _: darknet.load(CFG, flavor=v)),
    "load, size": (FLOATS, lambda v, _: darknet.load(CFG, size=(v, 16))),
    "load, upto": (NUMBERS, lambda v, _: darknet.load(CFG, upto=v)),
    "load, activations": (TEXTS, lambda v, _: darknet.load(CFG, activations={v: "mish", "silu": v})),
    "load, allow_paths": (PATHS, lambda v, _: darknet.load(CFG, allow_paths=[v])),
    "run": (ARRAYS, lambda v, net: net.run(v)),
    "run, framework": (TEXTS, lambda v, net: net.run(np.zeros((1, 3, 16, 16), np.float32), v)),
    "run_sequence": (ARRAYS, lambda v, net: net.run_sequence(v)),
    "read_names": (PATHS, lambda v, _: darknet.read_names(v)),
    "evaluate": (PATHS, lambda v, _: darknet.evaluate(darknet.load(CFG, WEIGHTS), v)),
    "Classifier": (PATHS, lambda v, _: darknet.Classifier(v)),
    "Detector": (PATHS, lambda v, _: darknet.Detector(v)),
    "to_ncnn": (OUTPUTS, lambda v, net: net.to_ncnn(v)),
    "to_ncnn, head": (TEXTS, lambda v, net: net.to_ncnn("x.param", head=v)),
    "save_weights": (OUTPUTS, lambda v, net: net.save_weights(v)),
}  # fmt: skip
WITH = {
    "onnx": {
        "export to onnx, opset": (NUMBERS, lambda v, _: lb.export(focus(), "onnx", "x.onnx", opset=v)),
        "export to onnx, dtype": (TEXTS, lambda v, _: lb.export(focus(), "onnx", "x.onnx", dtype=v)),
        "export to onnx, shape": (SHAPES, lambda v, _: lb.export(focus(), "onnx", "x.onnx", shape=v)),
        "export to onnx, max_rank": (NUMBERS, lambda v, _: lb.export(focus(), "onnx", "x.onnx", max_rank=v)),
        "export to onnx, without": ([*TEXTS, TEXTS], lambda v, _: lb.export(focus(), "onnx", "x.onnx", without=v)),
        "export to onnx, runtime": (TEXTS, lambda v, _: lb.export(focus(), "onnx", "x.onnx", runtime=v)),
        "export to onnx, path": (OUTPUTS, lambda v, _: lb.export(focus(), "onnx", v)),
        "to_onnx": (OUTPUTS, lambda v, net: net.to_onnx(v)),
        "to_onnx, opset": (NUMBERS, lambda v, net: net.to_onnx("x.onnx", opset=v)),
        "to_onnx, batch": (NUMBERS, lambda v, net: net.to_onnx("x.onnx", batch=v)),
        "to_onnx, steps": (NUMBERS, lambda v, net: net.to_onnx("x.onnx", steps=v)),
        "to_onnx, head": (TEXTS, lambda v, net: net.to_onnx("x.onnx", head=v)),
        "to_onnx, names": ([[v] * 4 for v in TEXTS], lambda v, net: net.to_onnx("x.onnx", names=v)),
        "to_onnx, max_rank": (NUMBERS, lambda v, net: net.to_onnx("x.onnx", max_rank=v)),
        "to_onnx, without": ([*TEXTS, TEXTS], lambda v, net: net.to_onnx("x.onnx", without=v)),
        "to_onnx, runtime": (TEXTS, lambda v, net: net.to_onnx("x.onnx", runtime=v)),
        "to_onnx, threshold": (FLOATS, lambda v, net: net.to_onnx("x.onnx", head="boxes", nms=True, threshold=v)),
        "to_onnx, nms_kind": (TEXTS, lambda v, net: net.to_onnx("x.onnx", head="boxes", nms=True, nms_kind=v)),
    },
    "PIL": {
        "detect": (PATHS, lambda v, _: darknet.detect(v, PICTURE)),
        "detect, picture": ([*PATHS, *ARRAYS], lambda v, net: darknet.detect(net, v)),
        "detect, names": ([[v] * 4 for v in TEXTS], lambda v, net: darknet.detect(net, PICTURE, names=v)),
        "detect, threshold": (FLOATS, lambda v, net: darknet.detect(net, PICTURE, threshold=v)),
        "detect, nms": (FLOATS, lambda v, net: darknet.detect(net, PICTURE, nms=v)),
        "detect, nms_kind": (TEXTS, lambda v, net: darknet.detect(net, PICTURE, nms_kind=v)),
        "draw": ([*PATHS, *ARRAYS], lambda v, _: darknet.draw(v, [])),
        "draw, label": (TEXTS, lambda v, _: darknet.draw(PICTURE, [detection(v, 9)])),
        "draw, box": (BOXES, lambda v, _: darknet.draw(PICTURE, [detection("a", v)])),
        "draw, path": (OUTPUTS, lambda v, _: darknet.draw(PICTURE, [], v)),
    },
}  # fmt: skip
ALL = [
    *((call, None) for call in CALLS.items()),
    *((call, need) for need, calls in WITH.items() for call in calls.items()),
]


@pytest.mark.parametrize(("call", "need"), ALL, ids=lambda each: each[0] if isinstance(each, tuple) else None)
def test_any_value(tmp_path, monkeypatch, net, call, need):
    if need is not None:
        pytest.importorskip(need)
    monkeypatch.chdir(tmp_path)
    _, (values, function) = call
    for value in values:
        try:
            function(value, net)
        except LayoutBridgeError as error:
            told = str(error)
            lines = told.split("\n") if isinstance(error, CfgError) else [told]
            assert told and all(map(str.isprintable, lines)), ascii(told)
        except Exception as error:
            raise AssertionError(f"given {shown(value)}") from error


@pytest.mark.parametrize(("call", "need"), ALL, ids=lambda each: each[0] if isinstance(each, tuple) else None)
def test_other_types(tmp_path, monkeypatch, net, call, need):
    if need is not None:
        pytest.importorskip(need)
    monkeypatch.chdir(tmp_path)
    name, (_, function) = call
    for value in OTHERS:
        try:
            function(value, net)
        except (LayoutBridgeError, TypeError, AttributeError):
            pass
        except Exception as error:
            raise AssertionError(f"{name} given {shown(value)}") from error


def test_frameworks_that_are_missing_are_told(tmp_path):
    path = tmp_path / "x"
    for framework, module, ending in (("torch", "torch", ".pt2"), ("tensorflow", "tensorflow", ".keras"),
                                      ("onnx", "onnx", ".onnx"), ("jax", "jax", ".jax")):  # fmt: skip
        if find_spec(module) is None:
            with pytest.raises(LayoutBridgeError, match="pip install"):
                lb.export(focus(), framework, path.with_suffix(ending), shape=(1, 3, 4, 4))


def test_a_number_is_no_open_file():
    """Python would read from it, and close it."""
    for read in (darknet.read_names, darknet.load, lambda number: darknet.load(CFG, number)):
        for number in (0, 1, 2):
            with pytest.raises(TypeError):
                read(number)
