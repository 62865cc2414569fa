"""ONNX models of one operator, or of movements that spell one, as cells of whoever imports them."""

from __future__ import annotations

from layoutbridge.atlas.descriptions.subject import Cell
from layoutbridge.atlas.subjects.onnx_models import OPERATORS
from layoutbridge.frameworks.base import DTYPE_NAMES

_TRANSPOSE = "https://onnx.ai/onnx/operators/onnx__Transpose.html"
# ONNX's text form calls float32 float. Capitals are filled in here, what stands in braces when the cell runs.
_SIZES = """import onnx.parser
(n, c, h, w), kind = x.shape, x.dtype.name.replace('float32', 'float')
"""
_TEXT = (
    """'''<ir_version: IR, opset_import: ["": OPSET]>BREAKg ({kind}{list(x.shape)} x) => ({kind}[m,d,i,j] y) BODY'''"""
)
_MODEL = f"{_SIZES}model = onnx.parser.parse_model(f{_TEXT})\n".replace("BREAK", "\n")
_FILE = f"{_SIZES}onnx.save(onnx.parser.parse_model(f{_TEXT}), folder + '/a.onnx')\n".replace("BREAK", " ")
_SPELLED = """<int64[RANK] a = {{BETWEEN}}, int64[4] b = {{AFTER}}>
{{ t = Reshape(x, a)  u = Transpose<perm=ORDER>(t)  y = Reshape(u, b) }}"""
_USUAL_OPSET = 13
_FILES_OF = {28: 13}  # opsets that ask for a newer version of the file than the usual one
_USUAL_FILE = 8
_DEEPER = "{n}, {c*s*s}, {h//s}, {w//s}"
_WIDER = "{n}, {c//s//s}, {h*s}, {w*s}"
_BLOCKS = "{n}, {c}, {h//s}, {s}, {w//s}, {s}"
# Reshape, Transpose, Reshape: the shape between, the order that its axes are put in, the shape after.
SPELLINGS = (
    ("pixel_shuffle", "{n}, {c//s//s}, {s}, {s}, {h}, {w}", [0, 1, 4, 2, 5, 3], _WIDER),
    ("depth_to_space", "{n}, {s}, {s}, {c//s//s}, {h}, {w}", [0, 3, 4, 1, 5, 2], _WIDER),
    ("pixel_unshuffle", _BLOCKS, [0, 1, 3, 5, 2, 4], _DEEPER),
    ("space_to_depth", _BLOCKS, [0, 3, 5, 1, 2, 4], _DEEPER),
    ("darknet_reorg", "{n}, {c//s//s}, {h}, {s}, {w}, {s}", [0, 3, 5, 1, 2, 4], _DEEPER),
    ("channel_shuffle", "{n}, {s}, {c//s}, {h}, {w}", [0, 2, 1, 3, 4], "{n}, {c}, {h}, {w}"),
)


def onnx_cells(
    ready: str,
    run: str,
    *,
    told: str = "",
    is_file: bool = False,
    dtypes: tuple[str, ...] = DTYPE_NAMES,
    takes_batches: bool = True,
    is_costly: bool = False,
) -> tuple[Cell, ...]:
    """The cells of an importer: `ready` is text that imports `model`, `run` makes `y` of `x` with what it left.

    What `told` says is part of each mode. With `is_file` the model is in the file `folder + '/a.onnx'`.

    >>> print(onnx_cells("net = imported(model)", "y = net(x)")[0].text)
    import onnx.parser
    (n, c, h, w), kind = x.shape, x.dtype.name.replace('float32', 'float')
    model = onnx.parser.parse_model(f'''<ir_version: 8, opset_import: ["": 1]>
    g ({kind}{list(x.shape)} x) => ({kind}[m,d,i,j] y) {{ y = SpaceToDepth<blocksize={s}>(x) }}''')
    net = imported(model)
    y = net(x)
    """
    made = _FILE if is_file else _MODEL
    ones = [
        Cell(
            each.name, run, _joined(each.mode, told), shapes_of=each.shapes_of, documented=each.documented,
            source=each.source, since=each.since, setup=_model(made, f"{{{{ {each.graph} }}}}", each.opset) + ready,
            dtypes=dtypes, takes_batches=takes_batches, is_costly=is_costly,
        )
        for each in OPERATORS
    ]  # fmt: skip
    spelled = [
        Cell(
            "Reshape, Transpose, Reshape", run, _joined(entry, told), shapes_of=entry, documented=entry,
            source=_TRANSPOSE, setup=_model(made, _movements(between, order, after), _USUAL_OPSET) + ready,
            dtypes=dtypes, takes_batches=takes_batches, is_costly=is_costly,
        )
        for entry, between, order, after in SPELLINGS
    ]  # fmt: skip
    return (*ones, *spelled)


def _joined(*parts: str) -> str:
    return ", ".join(part for part in parts if part)


def _model(made: str, body: str, opset: int) -> str:
    file = _FILES_OF.get(opset, _USUAL_FILE)
    return made.replace("IR", str(file)).replace("OPSET", str(opset)).replace("BODY", body)


def _movements(between: str, order: list[int], after: str) -> str:
    text = _SPELLED.replace("RANK", str(len(order))).replace("ORDER", str(order))
    return text.replace("BETWEEN", between).replace("AFTER", after)
