"""Code to paste: every text is run, in a namespace of its own, and compared with the table element for element."""

import ast
import inspect
from functools import cache
from math import prod

import numpy as np
import pytest

import layoutbridge as lb
from layoutbridge.frameworks.table import WRITTEN
from layoutbridge.frameworks.tensorflow.data_formats import has_data_format
from tests.numpy_moves import CHAINS

IMPORTS = {"einops": {"einops"}, **{name: {name} for name in WRITTEN[1:]}}
READ = [
    "c h w -> c h[::-1] w[::-1]",
    "c h w -> c w[::-1] h",
    "c h w -> c[0 2 3 1] h w",
    "(g d) h w -> (g[2 0 1] d) h w",
    "c (h p:2) (w q:2) -> (p[::-1] q c[2 0 1 3]) h w",
    "C H W | a:3 b:C*H*W/3 -> b a[2 0 1] | C H W",
    "a -> a[::-1]",
    "a 1 b -> 1 (b a)",
    "x y l -> l (y x)",
    "lambda index n -> index (lambda n)",
    "axis pattern tensor -> (tensor pattern) axis",
    "größe é -> é größe",
    "C H W | a:C*H b:W -> a b | C*H*W",
    "h w -> h w[::-1] then h w -> w h",
]


@cache
def forms():
    """Every form of every entry at small numbers, those of several axes unequal."""
    made = []
    for entry in lb.catalog().values():
        for form in entry.forms:
            numbers = [
                6 if name in ("height", "width", "depth") else (2, 3, 2)[place]
                for name, letters in form.letters.items()
                for place in range(len(letters))
            ]
            made.append(entry.build(**form.values(numbers)))
    return tuple(made)


def usual():
    return [entry.build() for entry in lb.catalog().values()]


def shapes(operation):
    """Two shapes that it takes, with lengths that differ."""
    fixed, divisor = dict(operation.domain.fixed), operation.domain.divisor
    for factors in ((1, 2, 3), (2, 1, 3)):
        yield tuple(fixed.get(axis, divisor(axis) * factors[axis % 3]) for axis in range(operation.rank))


def with_batch(operation):
    return operation.name not in lb.catalog() or lb.catalog()[operation.name].has_batch


def function_of(text):
    """The one function of a text, run in a namespace of its own."""
    (definition,) = [node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)]
    namespace = {}
    exec(text, namespace)
    return namespace[definition.name]


def counting(shape, dtype="int32"):
    return np.arange(prod(shape), dtype=dtype).reshape(shape)


def by_table(operation, shape):
    return counting(shape).reshape(-1)[operation.table(shape)].reshape(operation.out_shape(shape))


def run_torch(function, x):
    import torch

    return function(torch.from_numpy(x)).numpy()


def run_onnx(function, x, free):
    """`free` are the axes whose lengths the function may ask for: not the batch, not those that are fixed."""
    import onnxruntime

    asks = [name for name in inspect.signature(function).parameters if name != "dtype"]
    model = function(*(x.shape[axis] for axis in free)) if asks else function()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    (y,) = session.run(None, {"x": x.astype(np.float32)})
    return y.astype(np.int32)


def run_jax(functions, arrays):
    """All of them as one program: compiling each would take a minute."""
    import jax

    return jax.jit(lambda given: [function(x) for function, x in zip(functions, given, strict=True)])(arrays)


def run_tensorflow(function, x):
    import tensorflow

    return function(tensorflow.constant(x)).numpy()


RUN = {
    "einops": lambda function, x: function(x),
    "numpy": lambda function, x: function(x),
    "torch": run_torch,
    "tensorflow": run_tensorflow,
}


def needs(name):
    for module in ("onnx", "onnxruntime") if name == "onnx" else (name,):
        pytest.importorskip(module, reason=f"{module} is not installed")


def cases(name, operation, batch):
    """The code for `operation`, what it is given and what it must give, at two shapes and in each data format."""
    for item in shapes(operation):
        shape = (2, *item) if batch else item
        x, expected = counting(shape), by_table(operation, shape)
        if name == "tensorflow" and has_data_format(operation):
            yield lb.code(operation, name, batch=batch, data_format="channels_first"), x, expected
            x, expected = np.moveaxis(x, -3, -1), np.moveaxis(expected, -3, -1)
        yield lb.code(operation, name, batch=batch), x, expected


def check(name, operations):
    """Each operation, with the batch axis or without."""
    found = [
        (operation, text, x, expected)
        for operation, batch in operations
        for text, x, expected in cases(name, operation, batch)
    ]
    functions = [function_of(text) for _, text, _, _ in found]
    arrays = [x for _, _, x, _ in found]
    if name == "onnx":
        fixed = [{axis + x.ndim - op.rank for axis, _ in op.domain.fixed} for op, _, x, _ in found]
        firsts = [x.ndim - op.rank for op, _, x, _ in found]
        free = [
            [axis for axis in range(first, x.ndim) if axis not in known]
            for first, x, known in zip(firsts, arrays, fixed, strict=True)
        ]
        results = [run_onnx(*each) for each in zip(functions, arrays, free, strict=True)]
    elif name == "jax":
        results = run_jax(functions, arrays)
    else:
        results = [RUN[name](function, x) for function, x in zip(functions, arrays, strict=True)]
    for (operation, _, _, expected), y in zip(found, results, strict=True):
        np.testing.assert_array_equal(y, expected, operation.label)


@pytest.mark.parametrize("name", WRITTEN)
def test_every_form_of_every_entry(name):
    needs(name)
    check(name, [(operation, with_batch(operation)) for operation in forms()])


@pytest.mark.parametrize("name", WRITTEN)
def test_patterns_chains_and_the_other_choice_of_a_batch(name):
    needs(name)
    patterns = [*map(lb.Rearrangement, READ), *CHAINS]
    check(name, [(operation, batch) for operation in patterns for batch in (True, False)])
    check(name, [(operation, not with_batch(operation)) for operation in usual()])


@pytest.mark.parametrize("name", WRITTEN)
def test_inverses(name):
    needs(name)
    asked = ("focus", "darknet_reorg", "pixel_shuffle", "space_to_batch", "rotate_90", "lstm_gates", "merge_heads")
    check(name, [(lb.op(each).inverse(), True) for each in asked if each != "merge_heads"])
