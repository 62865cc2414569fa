"""The shapes that ncnn's computing layers give, after its src/layer: None where they are not known beforehand.

Axes are as in `ncnn_moves`; a layer that cannot be at its shapes raises `MisfitError`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from types import MappingProxyType

from layoutbridge.scanning.readers.ncnn_formulas import AXES, Shape, lengths_of
from layoutbridge.scanning.readers.ncnn_moves import axis_of
from layoutbridge.scanning.readers.ncnn_param import ABSENT, Layer, MisfitError

_SAME_UPPER, _SAME_LOWER = -233, -234
_LENGTH_KEYS = {"w": 0, "h": 1, "c": 2, "d": 11}
_SAME = (  # shapes stay
    "AbsVal BatchNorm Bias BNLL CELU Cast Clip CopyTo CumulativeSum Dequantize Dropout Eltwise ELU Erf Exp GELU "
    "GroupNorm HardSigmoid HardSwish InstanceNorm LayerNorm Log LRN Mish MVN Normalize Power PReLU Quantize ReLU "
    "Requantize RMSNorm RotaryEmbed Scale SELU Shrink Sigmoid Softmax Softplus Swish TanH Threshold UnaryOp"
)


def declared_shape(layer: Layer) -> Shape:
    """The lengths that an Input or a MemoryData tells, outermost first, 0 or below where one is open."""
    lengths = {axis: layer.whole(key) for axis, key in _LENGTH_KEYS.items()}
    count = 0
    for axes, axis in ((1, "w"), (2, "h"), (3, "c")):
        if lengths[axis] != 0:
            count = axes
    if lengths["d"] != 0:
        count = 4
    return tuple(lengths[axis] for axis in AXES.get(count, ""))


def hinted_shapes(layer: Layer) -> list[Shape | None]:
    """The outputs' shapes that ncnn's own optimizer noted under key 30: four numbers a blob, axes and lengths."""
    told = layer.wholes(30)
    if len(told) != 4 * len(layer.outputs):
        return [None] * len(layer.outputs)
    hints: list[Shape | None] = []
    for axes, *lengths in (told[place : place + 4] for place in range(0, len(told), 4)):
        shape = tuple(lengths[:axes][::-1])
        hints.append(shape if 1 <= axes <= 3 and all(0 < length < 1 << 31 for length in shape) else None)
    return hints


# ---------------------------------------------------------------------- windows


def _gap(number: int, what: str) -> int:
    if not 0 < number < 1 << 24:
        raise MisfitError(f"its {what} is {number}")
    return number


def _window(length: int, kernel: int, dilation: int, stride: int, pads: tuple[int, int]) -> int:
    """How many windows there are of a convolution along an axis."""
    span = _gap(dilation, "dilation") * (_gap(kernel, "kernel") - 1) + 1
    before, behind = pads
    if before in (_SAME_UPPER, _SAME_LOWER) and behind == before:
        return (length - 1) // _gap(stride, "stride") + 1
    return _fitting(length + before + behind - span, span, length) // _gap(stride, "stride") + 1


def _fitting(rest: int, span: int, length: int) -> int:
    if rest < 0:
        raise MisfitError(f"windows of {span} do not fit into {length}")
    return rest


def _convolution(layer: Layer, shapes: Sequence[Shape]) -> list[Shape]:
    shape = shapes[0]
    filters = _gap(layer.whole(0), "number of filters")
    across, down = layer.whole(1), layer.whole(11, layer.whole(1))
    groups = _gap(layer.whole(7, 1), "number of groups") if layer.kind == "ConvolutionDepthWise" else 1
    if len(shape) == 1:  # as a matrix, where the kernel is one place
        return [(filters,)]
    channels, *places = (1, *shape) if len(shape) == 2 else shape
    if len(places) != 2:
        raise MisfitError(f"its input {list(shape)} is no [C, H, W]")
    held = layer.whole(6)
    if held and layer.kind != "DeformableConv2D" and held * groups != channels * filters * across * down:
        raise MisfitError(f"its {held} weights are not those of {channels} channels")
    left, right = layer.whole(4), layer.whole(15, layer.whole(4))
    top = layer.whole(14, left)
    bottom = layer.whole(16, top)
    rows = _window(
        places[0], down, layer.whole(12, layer.whole(2, 1)), layer.whole(13, layer.whole(3, 1)), (top, bottom)
    )
    columns = _window(places[1], across, layer.whole(2, 1), layer.whole(3, 1), (left, right))
    return [(filters, rows, columns)]


def _convolution_1d(layer: Layer, shapes: Sequence[Shape]) -> list[Shape]:
    shape = _of_axes(shapes[0], 2)
    left = layer.whole(4)
    columns = _window(shape[1], layer.whole(1), layer.whole(2, 1), layer.whole(3, 1), (left, layer.whole(15, left)))
    return [(_gap(layer.whole(0), "number of filters"), columns)]


def _of_axes(shape: Shape, axes: int) -> Shape:
    if len(shape) != axes:
        raise MisfitError(f"its input {list(shape)} has not {axes} axes")
    return shape


def _deconvolution(layer: Layer, shapes: Sequence[Shape]) -> list[Shape]:
    shape = _of_axes(shapes[0], 3)
    left, right = layer.whole(4), layer.whole(15, layer.whole(4))
    top = layer.whole(14, left)
    pads = ((top, layer.whole(16, top)), (left, right))
    across = (layer.whole(1), layer.whole(2, 1), layer.whole(3, 1), layer.whole(18))
    down = tuple(layer.whole(key, same) for key, same in zip((11, 12, 13, 19), across, strict=True))
    asked = (layer.whole(21, layer.whole(20)), layer.whole(20))
    grown = [
        (length - 1) * _gap(stride, "stride") + _gap(dilation, "dilation") * (_gap(kernel, "kernel") - 1) + 1 + more
        for length, (kernel, dilation, stride, more) in zip(shape[1:], (down, across), strict=True)
    ]
    if any(pad > 0 for sides in pads for pad in sides):
        lengths = [length - before - behind for length, (before, behind) in zip(grown, pads, strict=True)]
    else:
        lengths = list(asked) if all(length > 0 for length in asked) else grown
    return [(_gap(layer.whole(0), "number of filters"), *lengths)]


def _pooling(layer: Layer, shapes: Sequence[Shape]) -> list[Shape]:
    shape = shapes[0]
    if layer.whole(4):
        return [(shape[0],)]
    channels, *places = _of_axes(shape, 3)
    if layer.whole(7):
        asked = (layer.whole(18, layer.whole(8)), layer.whole(8))
        return [(channels, *(old if new == ABSENT else new for old, new in zip(places, asked, strict=True)))]
    left, right = layer.whole(3), layer.whole(14, layer.whole(3))
    top = layer.whole(13, left)
    pads = ((top, layer.whole(15, top)), (left, right))
    across = (layer.whole(1), layer.whole(2, 1))
    down = (layer.whole(11, across[0]), layer.whole(12, across[1]))
    mode = layer.whole(5)
    lengths = [
        _pooled(length, kernel, stride, sides, mode)
        for length, (kernel, stride), sides in zip(places, (down, across), pads, strict=True)
    ]
    return [(channels, *lengths)]


def _pooling_1d(layer: Layer, shapes: Sequence[Shape]) -> list[Shape]:
    channels, length = _of_axes(shapes[0], 2)
    if layer.whole(4):
        return [(channels,)]
    if layer.whole(7):
        return [(channels, length if layer.whole(8) == ABSENT else layer.whole(8))]
    sides = (layer.whole(3), layer.whole(14, layer.whole(3)))
    return [(channels, _pooled(length, layer.whole(1), layer.whole(2, 1), sides, layer.whole(5)))]


def _pooled(length: int, kernel: int, stride: int, sides: tuple[int, int], mode: int) -> int:
    """How many windows: rounded up in mode 0; padded to the input's length over the stride in modes 2 and 3."""
    if mode in (2, 3):
        more = max(0, _gap(kernel, "kernel") + (length - 1) // _gap(stride, "stride") * stride - length)
        return (length + more - kernel) // stride + 1
    rest = _fitting(length + sum(sides) - _gap(kernel, "kernel"), kernel, length)
    return (-(-rest // _gap(stride, "stride")) if mode == 0 else rest // _gap(stride, "stride")) + 1


def _interp(layer: Layer, shapes: Sequence[Shape]) -> list[Shape]:
    shape = shapes[0]
    columns, rows = _interp_lengths(layer, shapes)
    if columns < 1 or (rows < 1 and len(shape) != 2):
        raise MisfitError(f"it makes {rows} rows of {columns}")
    if len(shape) == 1:
        return [(shape[0], rows, columns)]
    if len(shape) == 2:
        return [(shape[0], columns)]
    return [(_of_axes(shape, 3)[0], rows, columns)]


def _interp_lengths(layer: Layer, shapes: Sequence[Shape]) -> tuple[int, int]:
    if layer.text(9):
        sizes = lengths_of(layer.text(9), shapes)
        if len(sizes) not in (1, 2):
            raise MisfitError(f"its formula gives {len(sizes)} lengths")
        return sizes[0], sizes[1] if len(sizes) == 2 else 1
    if len(shapes) > 1:
        like = shapes[1]
        return like[-1], like[-2] if len(like) > 1 else 1
    rows, columns = layer.whole(3), layer.whole(4)
    if rows and columns:
        return columns, rows
    old_rows, old_columns = (1, 1) if len(shapes[0]) == 1 else shapes[0][-2:]
    scale_rows, scale_columns = layer.number(1, 1.0), layer.number(2, 1.0)
    if not (0 < scale_rows < 1 << 16 and 0 < scale_columns < 1 << 16):
        raise MisfitError(f"its scales are {scale_rows} and {scale_columns}")
    return int(old_columns * scale_columns), int(old_rows * scale_rows)


def _padding(layer: Layer, shapes: Sequence[Shape]) -> list[Shape] | None:
    if len(shapes) > 1:
        return None  # the second blob's values say how much
    sides = {"h": (0, 1), "w": (2, 3)}
    shape = shapes[0]
    if len(shape) > 2:
        sides["c" if len(shape) == 3 else "d"] = (7, 8)
    lengths = []
    for axis, length in zip(AXES[len(shape)], shape, strict=True):
        more = sum(layer.whole(key) for key in sides.get(axis, ()))
        lengths.append(length + more)
    return [tuple(lengths)]


# ---------------------------------------------------------------------- products and sums


def _inner_product(layer: Layer, shapes: Sequence[Shape]) -> list[Shape]:
    shape, count = shapes[0], _gap(layer.whole(0), "number of outputs")
    taken, held = prod(shape), layer.whole(2)
    if len(shape) == 2 and held == shape[1] * count:
        return [(shape[0], count)]
    if held and held != taken * count:
        raise MisfitError(f"its {held} weights are not those of {taken} values")
    return [(count,)]


def _binary_op(layer: Layer, shapes: Sequence[Shape]) -> list[Shape]:
    first = shapes[0]
    if layer.whole(1) or len(shapes) == 1:
        return [first]
    second = shapes[1]
    axes = max(len(first), len(second))
    a, b = _grown(first, second, axes), _grown(second, first, axes)
    if any(1 not in (x, y) and x != y for x, y in zip(a, b, strict=True)):
        raise MisfitError(f"{list(first)} and {list(second)} do not fit each other")
    return [tuple(max(x, y) for x, y in zip(a, b, strict=True))]


def _grown(shape: Shape, other: Shape, axes: int) -> Shape:
    """A vector goes to the outermost axis of its length, else the innermost; other blobs get inner axes."""
    missing = axes - len(shape)
    if missing and len(shape) == 1 and shape[0] != other[0]:
        return (1,) * missing + shape
    return shape + (1,) * missing


def _matmul(layer: Layer, shapes: Sequence[Shape]) -> list[Shape] | None:
    if len(shapes) != 2 or any(len(shape) < 2 for shape in shapes):
        return None
    first, second = shapes
    inner, columns = second[-2:] if not layer.whole(0) else second[:-3:-1]
    if first[-1] != inner:
        raise MisfitError(f"{list(first)} and {list(second)} do not multiply")
    axes = max(len(first), len(second)) - 2
    batches = [(1,) * (axes + 2 - len(shape)) + shape[:-2] for shape in shapes]
    return [(*(max(lengths) for lengths in zip(*batches, strict=True)), first[-2], columns)]


def _gemm(layer: Layer, shapes: Sequence[Shape]) -> list[Shape] | None:
    given = list(shapes)
    sizes = []
    for constant, length, turned, axis in ((4, 7, 2, 0), (5, 8, 3, 1)):
        if layer.whole(constant):
            sizes.append(layer.whole(length))
            continue
        shape = given.pop(0) if given else ()
        if len(shape) != 2:
            return None
        sizes.append(shape[1 - axis if layer.whole(turned) else axis])
    rows, columns = sizes[::-1] if layer.whole(14) else sizes
    return [(rows, 1, columns) if layer.whole(11) else (rows, columns)]


def _reduction(layer: Layer, shapes: Sequence[Shape]) -> list[Shape]:
    shape, axes = shapes[0], layer.wholes(3)
    chosen = set(range(len(shape)))
    if not layer.whole(1, 1):
        chosen = {axis_of(axis, len(shape)) for axis in axes}
    if layer.whole(4):
        return [tuple(1 if axis in chosen else length for axis, length in enumerate(shape))]
    return [tuple(length for axis, length in enumerate(shape) if axis not in chosen) or (1,)]


def _recurrent(layer: Layer, shapes: Sequence[Shape]) -> list[Shape]:
    steps = _of_axes(shapes[0], 2)[0]
    count = _gap(layer.whole(0), "number of outputs")
    ways = 2 if layer.whole(2) == 2 else 1
    hidden = layer.whole(3, count) if layer.kind == "LSTM" else count
    results: list[Shape] = [(steps, count * ways), (ways, count), (ways, hidden)]
    return results[: len(layer.outputs)]


def _attention(layer: Layer, shapes: Sequence[Shape]) -> list[Shape]:
    width = _gap(layer.whole(0), "width")
    return [(_of_axes(shapes[0], 2)[0], layer.whole(2) // width)]


def _scaled_attention(_: Layer, shapes: Sequence[Shape]) -> list[Shape] | None:
    if len(shapes) < 3 or any(len(shape) != 3 for shape in shapes[:3]):
        return None
    return [(*shapes[0][:2], shapes[2][2])]  # of the caches behind it nothing is told


def _embed(layer: Layer, shapes: Sequence[Shape]) -> list[Shape]:
    return [(prod(shapes[0]), layer.whole(0))]


def _glu(layer: Layer, shapes: Sequence[Shape]) -> list[Shape]:
    shape = shapes[0]
    axis = axis_of(layer.whole(0), len(shape))
    return [(*shape[:axis], shape[axis] // 2, *shape[axis + 1 :])]


def _same(_: Layer, shapes: Sequence[Shape]) -> list[Shape]:
    return [shapes[0]]


SHAPES: Mapping[str, Callable[[Layer, Sequence[Shape]], list[Shape] | None]] = MappingProxyType(
    {
        **dict.fromkeys(_SAME.split(), _same),
        "BinaryOp": _binary_op,
        "Convolution": _convolution,
        "Convolution1D": _convolution_1d,
        "ConvolutionDepthWise": _convolution,
        "ConvolutionDepthWise1D": _convolution_1d,
        "DeformableConv2D": _convolution,
        "Deconvolution": _deconvolution,
        "DeconvolutionDepthWise": _deconvolution,
        "Embed": _embed,
        "GLU": _glu,
        "GRU": _recurrent,
        "Gemm": _gemm,
        "InnerProduct": _inner_product,
        "Interp": _interp,
        "LSTM": _recurrent,
        "MatMul": _matmul,
        "MultiHeadAttention": _attention,
        "Padding": _padding,
        "Pooling": _pooling,
        "Pooling1D": _pooling_1d,
        "RNN": _recurrent,
        "Reduction": _reduction,
        "SDPA": _scaled_attention,
    }
)
