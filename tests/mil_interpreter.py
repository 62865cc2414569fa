"""Core ML's packages, read from their protobuf and their file of weights, and computed with PyTorch. Not a test itself.

It shares nothing with what writes them but the definition of each operation. No macOS is needed.
"""

import struct
from functools import reduce
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from coremltools.models.utils import load_spec

_BYTES_OF = {1: np.float16, 2: np.float32, 3: np.uint8, 4: np.int8, 14: np.int32}  # of records in the file of weights
_SENTINEL = 0xDEADBEEF


class Package:
    """The program in an .mlpackage: its inputs' shapes, outputs' names and metadata, and how it is run."""

    def __init__(self, path):
        self.spec = load_spec(str(path))
        beside = Path(path) / "Data/com.apple.CoreML/weights/weight.bin"  # where weights are more than a few numbers
        self.weights = beside.read_bytes() if beside.exists() else b""
        function = self.spec.mlProgram.functions["main"]
        self.block = function.block_specializations[function.opset]
        described = self.spec.description
        self.inputs = {one.name: tuple(one.type.multiArrayType.shape) for one in described.input}
        self.outputs = [one.name for one in described.output]
        self.metadata = dict(described.metadata.userDefined)
        self.kinds = [one.type for one in self.block.operations]

    def run(self, **given):
        """The outputs by name, in order."""
        held = {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in given.items()}
        assert {name: tuple(value.shape) for name, value in held.items()} == self.inputs
        for one in self.block.operations:
            arguments = {name: self._argument(bound, held) for name, bound in one.inputs.items()}
            made = self._value(one.attributes["val"]) if one.type == "const" else OPERATIONS[one.type](**arguments)
            several = made if isinstance(made, list | tuple) and one.type == "split" else [made]
            for output, value in zip(one.outputs, several, strict=True):
                if isinstance(value, torch.Tensor) and value.ndim:
                    lengths = [each.constant.size for each in output.type.tensorType.dimensions]
                    assert list(value.shape) == lengths, (one.type, output.name, list(value.shape), lengths)
                held[output.name] = value
        return {name: held[name].float().numpy() for name in self.block.outputs}

    def _argument(self, bound, held):
        found = [held[one.name] if one.name else self._value(one.value) for one in bound.arguments]
        return found[0] if len(found) == 1 else found

    def _value(self, value):
        if value.HasField("blobFileValue"):
            array = self._record(value.blobFileValue.offset)
        else:
            (kind,) = (one for one in ("floats", "ints", "bools", "strings", "bytes") if
                       value.immediateValue.tensor.HasField(one))  # fmt: skip
            held = getattr(value.immediateValue.tensor, kind).values
            if kind == "strings":
                return held[0]
            if kind == "bytes":  # float16
                array = np.frombuffer(held, np.float16)
            else:
                array = np.array(held, {"floats": np.float32, "ints": np.int32, "bools": bool}[kind])
        lengths = [each.constant.size for each in value.type.tensorType.dimensions]
        return torch.from_numpy(array.reshape(lengths).copy())

    def _record(self, offset):
        """What stands at a place in the file: a mark, the dtype, how many bytes, and where they are."""
        mark, kind, size, place = struct.unpack_from("<IIQQ", self.weights, offset)
        assert mark == _SENTINEL
        return np.frombuffer(self.weights[place : place + size], _BYTES_OF[kind])


def _list(values):
    return [int(value) for value in values] if isinstance(values, torch.Tensor) and values.ndim else int(values)


def _padded(x, pad_type, pad, value=0.0):
    if pad_type == "valid":
        return x
    assert pad_type == "custom"
    top, bottom, left, right = _list(pad)
    return F.pad(x, (left, right, top, bottom), value=value)


def _conv(x, weight, strides, dilations, groups, pad_type, pad=None, bias=None):
    return F.conv2d(_padded(x, pad_type, pad), weight, bias, _list(strides), 0, _list(dilations), int(groups))


def _conv_transpose(x, weight, strides, pad_type, pad=None, bias=None, dilations=None, groups=None, output_shape=None):
    made = F.conv_transpose2d(x, weight, bias, _list(strides))
    if pad_type == "valid":
        return made
    top, bottom, left, right = _list(pad)
    return made[:, :, top : made.shape[2] - bottom, left : made.shape[3] - right]


def _windows(x, kernel_sizes, strides):
    rows, columns = _list(kernel_sizes)
    down, across = _list(strides)
    return x.unfold(2, rows, down).unfold(3, columns, across)


def _max_pool(x, kernel_sizes, strides, pad_type, pad=None, ceil_mode=False):
    assert not ceil_mode
    return _windows(_padded(x, pad_type, pad, -torch.inf), kernel_sizes, strides).amax((-2, -1))


def _avg_pool(x, kernel_sizes, strides, pad_type, exclude_padding_from_average, pad=None, ceil_mode=False):
    assert not ceil_mode and exclude_padding_from_average
    total, count = (
        _windows(_padded(one, pad_type, pad), kernel_sizes, strides).sum((-2, -1)) for one in (x, torch.ones_like(x))
    )
    return total / count


def _slice(x, begin, end, stride=None, begin_mask=None, end_mask=None, squeeze_mask=None):
    steps = _list(stride) if stride is not None else [1] * x.ndim
    places = []
    for axis, (start, stop, step) in enumerate(zip(_list(begin), _list(end), steps, strict=True)):
        starts_before = begin_mask is not None and bool(begin_mask[axis])
        ends_behind = end_mask is not None and bool(end_mask[axis])
        assert squeeze_mask is None or not bool(squeeze_mask[axis])
        places.append(slice(None if starts_before else start, None if ends_behind else stop, step))
    return x[tuple(places)]


def _pad(x, pad, mode, constant_val):
    assert mode == "constant"
    sides = _list(pad)
    assert len(sides) == 2 * x.ndim
    turned = [side for k in range(len(sides) - 2, -1, -2) for side in sides[k : k + 2]]
    return F.pad(x, turned, value=float(constant_val))


def _gather(x, indices, axis, **_):
    return torch.index_select(x, int(axis), indices.long())


def _reduced(function):
    def reduce_axes(x, axes, keep_dims):
        return function(x, _list(axes) if axes.ndim else [_list(axes)], bool(keep_dims))

    return reduce_axes


def _cast(x, dtype):
    return x.to({"fp32": torch.float32, "fp16": torch.float16, "int32": torch.int32, "bool": torch.bool}[dtype])


OPERATIONS = {
    "conv": _conv,
    "conv_transpose": _conv_transpose,
    "linear": lambda x, weight, bias=None: F.linear(x, weight, bias),
    "matmul": lambda x, y, transpose_x, transpose_y: (x.mT if transpose_x else x) @ (y.mT if transpose_y else y),
    "batch_norm": lambda x, mean, variance, gamma, beta, epsilon: F.batch_norm(
        x, mean, variance, gamma, beta, False, 0.0, float(epsilon)
    ),
    "max_pool": _max_pool,
    "avg_pool": _avg_pool,
    "reduce_mean": _reduced(lambda x, axes, keep: x.mean(axes, keep)),
    "reduce_sum": _reduced(lambda x, axes, keep: x.sum(axes, keep)),
    "reduce_max": _reduced(lambda x, axes, keep: x.amax(axes, keep)),
    "upsample_nearest_neighbor": lambda x, scale_factor_height, scale_factor_width: x.repeat_interleave(
        int(scale_factor_height), 2
    ).repeat_interleave(int(scale_factor_width), 3),
    "concat": lambda values, axis, interleave: torch.cat(values, int(axis)),
    "split": lambda x, axis, split_sizes=None, num_splits=None: torch.split(x, _list(split_sizes), int(axis)),
    "slice_by_index": _slice,
    "tile": lambda x, reps: x.repeat(_list(reps)),
    "pad": _pad,
    "reshape": lambda x, shape: x.reshape(_list(shape)),
    "transpose": lambda x, perm: x.permute(_list(perm)),
    "reverse": lambda x, axes: x.flip(_list(axes)),
    "gather": _gather,
    "squeeze": lambda x, axes: reduce(lambda held, axis: held.squeeze(axis), sorted(_list(axes), reverse=True), x),
    "expand_dims": lambda x, axes: reduce(lambda held, axis: held.unsqueeze(axis), sorted(_list(axes)), x),
    "sigmoid": lambda x: torch.sigmoid(x),
    "tanh": lambda x: torch.tanh(x),
    "relu": lambda x: torch.relu(x),
    "relu6": lambda x: F.relu6(x),
    "softplus": lambda x: F.softplus(x),
    "silu": lambda x: F.silu(x),
    "leaky_relu": lambda x, alpha: F.leaky_relu(x, float(alpha)),
    "elu": lambda x, alpha: F.elu(x, float(alpha)),
    "clip": lambda x, alpha, beta: x.clamp(float(alpha), float(beta)),
    "exp": lambda x: torch.exp(x),
    "sqrt": lambda x: torch.sqrt(x),
    "floor": lambda x: torch.floor(x),
    "abs": lambda x: torch.abs(x),
    "greater": lambda x, y: x > y,
    "cast": _cast,
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "real_div": lambda x, y: x / y,
    "maximum": lambda x, y: torch.maximum(x, y),
    "pow": lambda x, y: x**y,
    "softmax": lambda x, axis: torch.softmax(x, int(axis)),
    "identity": lambda x: x,
}
