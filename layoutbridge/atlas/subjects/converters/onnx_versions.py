"""ONNX's version converter: what an operator is after its model was moved to another opset."""

from __future__ import annotations

from layoutbridge.atlas.descriptions.environments import BESIDE
from layoutbridge.atlas.descriptions.subject import Cell, Subject, distribution_version
from layoutbridge.atlas.subjects.onnx_models import OPERATORS, Operator

_CONVERTED = """import onnx.version_converter
from onnx.reference import ReferenceEvaluator
session = ReferenceEvaluator(onnx.version_converter.convert_version(model, {opset}))"""
_RUN = "y = session.run(None, {'x': x})[0]"
# Across the versions that brought a mode, both ways.
_MOVES = (
    ("SpaceToDepth", "", 13, 28), ("SpaceToDepth", "DCR", 28, 13), ("SpaceToDepth", "CRD", 28, 13),
    ("DepthToSpace", "", 1, 13), ("DepthToSpace", "DCR", 11, 10), ("DepthToSpace", "CRD", 11, 10),
    ("DepthToSpace", "DCR", 11, 28), ("DepthToSpace", "CRD", 11, 28),
    ("DepthToSpace", "DCR", 28, 13), ("DepthToSpace", "CRD", 28, 13),
)  # fmt: skip


def _cell(name: str, kind: str, opset: int, moved_to: int) -> Cell:
    """What the operator's own page says that it is, it is to be afterwards."""
    operator = _operator(name, kind, opset)
    setup = f"{operator.model}\n{_CONVERTED.format(opset=moved_to)}"
    return Cell(
        name, _RUN, f"{kind} opset {opset} to {moved_to}".strip(), shapes_of=operator.shapes_of,
        documented=operator.documented, source=operator.source, setup=setup,
    )  # fmt: skip


def _operator(name: str, kind: str, opset: int) -> Operator:
    return next(each for each in OPERATORS if (each.name, each.kind, each.opset) == (name, kind, opset))


SUBJECT = Subject(
    "onnx_version_converter", "ONNX's version converter", "converter", BESIDE, distribution_version("onnx"),
    tuple(_cell(*told) for told in _MOVES),
)  # fmt: skip
