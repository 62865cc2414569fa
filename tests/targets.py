"""The targets for networks as test parameters: each skips by itself where it cannot run. Not a test itself."""

from importlib.util import find_spec

import pytest

from layoutbridge.darknet.ports.table import TARGETS, form_names, port, ports, runner

# What a target's package needs beside itself, by the names that programs import; ncnn is not imported here.
_IMPORTED = {
    "ai-edge-litert": ("ai_edge_litert", "tensorflow"),
    "onnxruntime": ("onnxruntime", "onnx"),
    "openvino": ("openvino", "onnx"),
}
KINDS = tuple(dict.fromkeys(kind for record in ports() for kind in record.forms))
FORMS = tuple(name for kind in KINDS for name in form_names(kind))


def parameter(name, *more, marks=()):
    """`name` (and more) as a test parameter that skips where its package is missing."""
    package = runner(name).package
    missing = [module for module in _IMPORTED.get(package, (package,)) if find_spec(module) is None]
    skip = pytest.mark.skipif(bool(missing), reason=f"{' and '.join(missing)} not installed")
    return pytest.param(name, *more, marks=(skip, *marks), id="-".join(map(str, (name, *more))))


EVERY_TARGET = [parameter(name) for name in TARGETS]
EVERY_FORM = [parameter(name) for name in FORMS]
IN_WINOGRADS_FORM = [parameter(name) for name in form_names("winograd")]
assert all(port(name).name == name for name in TARGETS)
