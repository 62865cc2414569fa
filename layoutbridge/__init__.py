"""layoutbridge: what reorg, space-to-depth, pixel-unshuffle and Focus really do, in every framework.

>>> import layoutbridge as lb
>>> reorg = lb.op("darknet_reorg", stride=2)
>>> reorg.out_shape((64, 26, 26))
(256, 13, 13)
>>> verdict = lb.prove(reorg, lb.op("space_to_depth", stride=2))
>>> verdict.equal
False
>>> print(verdict.counterexample)
input [4, 2, 2]: the result's element [1, 0, 0] comes from input [0, 1, 0] in the first and from [1, 0, 0] in the second

Frameworks are imported when they are used, so this import is light and works with none of them installed.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from layoutbridge.displays import make_html_with
from layoutbridge.version import __version__

if TYPE_CHECKING:
    from layoutbridge import darknet
    from layoutbridge.algebra.factorization import Factorization, factorize
    from layoutbridge.algebra.proof import Counterexample, Proof
    from layoutbridge.algebra.rearrangement import Rearrangement
    from layoutbridge.auditing.audits import Audit, audit
    from layoutbridge.checkpoints.rearranging import RearrangedCheckpoint, rearrange_checkpoint
    from layoutbridge.comparing.comparison import Comparison, compare
    from layoutbridge.comparing.returning import BroughtBack, back_to_darknet
    from layoutbridge.errors import LayoutBridgeError
    from layoutbridge.frameworks import code, emit, export
    from layoutbridge.operations.catalog import catalog, op, register, unregister
    from layoutbridge.operations.comparison import prove
    from layoutbridge.operations.entry import CatalogEntry
    from layoutbridge.recognition.answer import Identification
    from layoutbridge.recognition.verification import Verification, verify
    from layoutbridge.report.explorer.writing import explore
    from layoutbridge.report.figures.figure import Figure
    from layoutbridge.report.figures.plotting import plot
    from layoutbridge.rewriting.rewrites import Rewrite, rewrite
    from layoutbridge.scanning.models import Scan, scan
    from layoutbridge.scanning.whole_models import identify
    from layoutbridge.weights.carrying import carry

_HOMES = {
    "Factorization": "algebra.factorization",
    "factorize": "algebra.factorization",
    "Counterexample": "algebra.proof",
    "Proof": "algebra.proof",
    "prove": "operations.comparison",
    "Rearrangement": "algebra.rearrangement",
    "CatalogEntry": "operations.entry",
    "catalog": "operations.catalog",
    "op": "operations.catalog",
    "register": "operations.catalog",
    "unregister": "operations.catalog",
    "LayoutBridgeError": "errors",
    "code": "frameworks",
    "emit": "frameworks",
    "explore": "report.explorer.writing",
    "export": "frameworks",
    "Identification": "recognition.answer",
    "identify": "scanning.whole_models",
    "Verification": "recognition.verification",
    "verify": "recognition.verification",
    "carry": "weights.carrying",
    "RearrangedCheckpoint": "checkpoints.rearranging",
    "rearrange_checkpoint": "checkpoints.rearranging",
    "audit": "auditing.audits",
    "Audit": "auditing.audits",
    "compare": "comparing.comparison",
    "Comparison": "comparing.comparison",
    "plot": "report.figures.plotting",
    "Figure": "report.figures.figure",
    "back_to_darknet": "comparing.returning",
    "BroughtBack": "comparing.returning",
    "rewrite": "rewriting.rewrites",
    "Rewrite": "rewriting.rewrites",
    "scan": "scanning.models",
    "Scan": "scanning.models",
}

__all__ = [
    "Audit",
    "BroughtBack",
    "CatalogEntry",
    "Comparison",
    "Counterexample",
    "Factorization",
    "Figure",
    "Identification",
    "LayoutBridgeError",
    "Proof",
    "RearrangedCheckpoint",
    "Rearrangement",
    "Rewrite",
    "Scan",
    "Verification",
    "__version__",
    "audit",
    "back_to_darknet",
    "carry",
    "catalog",
    "code",
    "compare",
    "darknet",
    "emit",
    "explore",
    "export",
    "factorize",
    "identify",
    "op",
    "plot",
    "prove",
    "rearrange_checkpoint",
    "register",
    "rewrite",
    "scan",
    "unregister",
    "verify",
]


def _result_html(value: object) -> str:
    from layoutbridge.report.notebooks.results import result_html

    return result_html(value)


make_html_with(_result_html)


def __getattr__(name: str) -> Any:
    if name == "darknet":
        return import_module("layoutbridge.darknet")
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'layoutbridge' has no attribute {name!r}")
    value = getattr(import_module(f"layoutbridge.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
