"""Code to paste, run: operations to write down, shapes for them, and each framework's way to run what was written.

Not a test itself.
"""

import ast
import inspect
from functools import cache
from math import prod

import numpy as np
import pytest

import layoutbridge as lb

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
    "a:2 b:3 c:2 d:2 e:2 f:2 -> f e d c b a",
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
    import onnx
    import onnxruntime

    asks = [name for name in inspect.signature(function).parameters if name != "dtype"]
    model = function(*(x.shape[axis] for axis in free)) if asks else function()
    onnx.checker.check_model(model, full_check=True)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    (y,) = session.run(None, {"x": x.astype(np.float32)})
    return y.astype(np.int32)


def run_jax(functions, arrays):
    """All of them as one program: compiling each would take a minute."""
    import jax

    program = jax.jit(lambda xs: [function(x) for function, x in zip(functions, xs, strict=True)]).lower(arrays)
    return program.compile({"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True})(arrays)


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
