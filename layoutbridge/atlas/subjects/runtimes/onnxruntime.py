"""onnxruntime and ONNX's own reference evaluator: models of one operator, in every version that changed it."""

from __future__ import annotations

from layoutbridge.atlas.descriptions.environments import BESIDE
from layoutbridge.atlas.descriptions.subject import Cell, Subject, distribution_version
from layoutbridge.atlas.subjects.onnx_models import OPERATORS, Operator

_RUNTIME = """import onnxruntime
session = onnxruntime.InferenceSession(model.SerializeToString())"""
_REFERENCE = "from onnx.reference import ReferenceEvaluator\nsession = ReferenceEvaluator(model)"
_RUN = "y = session.run(None, {'x': x})[0]"


def _cells(session: str) -> tuple[Cell, ...]:
    return tuple(_cell(operator, session) for operator in OPERATORS)


def _cell(operator: Operator, session: str) -> Cell:
    return Cell(
        operator.name, _RUN, operator.mode, shapes_of=operator.shapes_of, documented=operator.documented,
        source=operator.source, since=operator.since, setup=f"{operator.model}\n{session}",
    )  # fmt: skip


SUBJECT = Subject(
    "onnxruntime", "ONNX Runtime", "runtime", BESIDE, distribution_version("onnxruntime"), _cells(_RUNTIME)
)
REFERENCE = Subject(
    "onnx_reference", "ONNX's reference evaluator", "runtime", BESIDE, distribution_version("onnx"), _cells(_REFERENCE)
)
