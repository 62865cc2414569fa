"""ONNX models of one operator each, as text: what runtimes, importers and converters are given."""

from __future__ import annotations

from dataclasses import dataclass

_DOCS = "https://onnx.ai/onnx/operators/onnx__{operator}.html"
# Where an operator has no mode yet, its page leaves the order of channels open, and ONNX's own implementation says it.
_REFERENCE = "https://github.com/onnx/onnx/blob/main/onnx/reference/ops/op_{operator}.py"
_MODEL = """import onnx.parser
kind = {{'float32': 'float'}}.get(x.dtype.name, x.dtype.name)
model = onnx.parser.parse_model(f'''<ir_version: 8, opset_import: ["": {opset}]>
g ({kind}[n,c,h,w] x) => ({kind}[m,d,i,j] y) {{{{ {graph} }}}}''')"""


@dataclass(frozen=True, slots=True)
class Operator:
    """An operator in one version and mode: `model` is Python that makes it of an `x` of a shape and dtype.

    `opset` is the version of the operators, `documented` the entry that ONNX's documentation, or its own implementation
    where that is silent, says it is.
    """

    name: str
    opset: int
    graph: str
    shapes_of: str
    documented: str
    kind: str = ""

    @property
    def mode(self) -> str:
        """Its mode and opset."""
        return f"{self.kind} opset {self.opset}".strip()

    @property
    def since(self) -> str:
        """The version that brought it."""
        return f"opset {self.opset}"

    @property
    def source(self) -> str:
        """Where it is documented."""
        if self.kind:
            return _DOCS.format(operator=self.name)
        return _REFERENCE.format(
            operator={"SpaceToDepth": "space_to_depth", "DepthToSpace": "depth_to_space"}[self.name]
        )

    @property
    def model(self) -> str:
        """Python that makes `model`."""
        return _MODEL.format(opset=self.opset, kind="{kind}", graph=self.graph)


def _space_to_depth(opset: int, documented: str, kind: str = "") -> Operator:
    mode = f', mode="{kind}"' if kind else ""
    graph = f"y = SpaceToDepth<blocksize={{s}}{mode}>(x)"
    return Operator("SpaceToDepth", opset, graph, "space_to_depth", documented, kind)


def _depth_to_space(opset: int, documented: str, kind: str = "") -> Operator:
    mode = f', mode="{kind}"' if kind else ""
    graph = f"y = DepthToSpace<blocksize={{s}}{mode}>(x)"
    return Operator("DepthToSpace", opset, graph, "depth_to_space", documented, kind)


OPERATORS = (
    _space_to_depth(1, "space_to_depth"),
    _space_to_depth(13, "space_to_depth"),
    _space_to_depth(28, "space_to_depth", "DCR"),
    _space_to_depth(28, "space_to_depth_crd", "CRD"),
    _depth_to_space(1, "depth_to_space"),
    _depth_to_space(11, "depth_to_space", "DCR"),
    _depth_to_space(11, "depth_to_space_crd", "CRD"),
    _depth_to_space(13, "depth_to_space", "DCR"),
    _depth_to_space(13, "depth_to_space_crd", "CRD"),
    _depth_to_space(28, "depth_to_space", "DCR"),
    _depth_to_space(28, "depth_to_space_crd", "CRD"),
)
