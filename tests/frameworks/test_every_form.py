"""Every form of every entry in every framework, with a batch axis and without, equal to its table; and gradients."""

from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

import layoutbridge as lb
from layoutbridge.errors import ParameterError
from tests.every_form import GRIDS, Case, every_form, item_for

ALONE = [replace(case, batch=False) for case in every_form()]
BOTH = [pytest.param(every_form(), id="by its entry"), pytest.param(ALONE, id="no batch axis")]


def same(made, expected, case):
    np.testing.assert_array_equal(made, expected, f"{case.operation.label}, {case.shape}", strict=True)


def in_numpy(case):
    x = case.input()
    same(lb.emit(case.operation, "numpy", batch=case.batch)(x), case.expected(x), case)


def in_torch(case):
    import torch

    x = torch.tensor(case.input(), requires_grad=True)
    y = lb.emit(case.operation, "torch", batch=case.batch)(x)
    same(y.detach().numpy(), case.expected(case.input()), case)
    upstream = torch.arange(y.numel(), dtype=torch.float32).reshape(y.shape)
    y.backward(upstream)
    same(x.grad.numpy(), case.gradient(upstream.numpy()), case)


def in_onnx(case, shape=None):
    import onnxruntime

    x = case.input()
    model = lb.emit(case.operation, "onnx", batch=case.batch, shape=shape)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    assert len(session.get_inputs()[0].shape) == len(case.shape)
    (y,) = session.run(None, {"input": x})
    same(y, case.expected(x), case)


def in_keras(case, data_format):
    import tensorflow as tf

    channels = case.channels if data_format == "channels_last" else None
    x, expected = case.input(), case.expected(case.input())
    upstream = np.arange(x.size, dtype=np.float32).reshape(expected.shape)
    gradient = case.gradient(upstream)
    if channels is not None:
        x, expected, upstream, gradient = (
            np.ascontiguousarray(np.moveaxis(each, channels, -1)) for each in (x, expected, upstream, gradient)
        )
    layer = lb.emit(case.operation, "tensorflow", batch=case.batch, data_format=data_format)
    leaf = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(leaf)
        y = layer(leaf)
    same(y.numpy(), expected, case)
    found = tape.gradient(y, leaf, output_gradients=tf.constant(upstream))
    same(tf.convert_to_tensor(found).numpy(), gradient, case)  # that of a gather comes as slices
    assert layer.compute_output_shape(x.shape) == expected.shape


@pytest.mark.parametrize("cases", BOTH)
def test_numpy(cases):
    for case in cases:
        in_numpy(case)


@pytest.mark.parametrize("cases", BOTH)
def test_torch_with_gradients(cases):
    pytest.importorskip("torch", reason="PyTorch is not installed")
    for case in cases:
        in_torch(case)


@pytest.mark.sample(slow=1)
@pytest.mark.parametrize("cases", BOTH)
def test_onnx(cases):
    pytest.importorskip("onnx", reason="ONNX is not installed")
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    for number, case in enumerate(cases):
        in_onnx(case, shape=None if number % 2 else case.shape)


@pytest.mark.sample(slow=1)
@pytest.mark.parametrize("data_format", ["channels_first", "channels_last"])
@pytest.mark.parametrize("cases", BOTH)
def test_keras_with_gradients(cases, data_format):
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    for case in cases:
        in_keras(case, data_format)


@pytest.mark.thorough
@pytest.mark.parametrize("cases", BOTH)
def test_jax_with_gradients(cases):
    """All in one program: compiled one by one they would take minutes."""
    jax = pytest.importorskip("jax", reason="JAX is not installed")
    functions = [lb.emit(case.operation, "jax", batch=case.batch) for case in cases]
    inputs = [case.input() for case in cases]
    upstreams = [
        np.arange(x.size, dtype=np.float32).reshape(case.expected(x).shape)
        for case, x in zip(cases, inputs, strict=True)
    ]

    def program(arrays, cotangents):
        made = [jax.vjp(function, x) for function, x in zip(functions, arrays, strict=True)]
        return [(y, pullback(ct)[0]) for (y, pullback), ct in zip(made, cotangents, strict=True)]

    compiled = jax.jit(program).lower(inputs, upstreams).compile({"xla_backend_optimization_level": "0"})
    for case, x, upstream, (y, gradient) in zip(cases, inputs, upstreams, compiled(inputs, upstreams), strict=True):
        same(np.asarray(y), case.expected(x), case)
        same(np.asarray(gradient), case.gradient(upstream), case)


# ---------------------------------------------------------------------- drawn


@st.composite
def drawn_cases(draw):
    """An entry, one of its forms, small numbers for it, and a small shape, with a batch axis or without."""
    entry = draw(st.sampled_from(list(lb.catalog().values())))
    form = draw(st.sampled_from(entry.forms))
    numbers = [
        draw(st.sampled_from((6, 12))) if name in GRIDS else draw(st.integers(1, 3))
        for name, letters in form.letters.items()
        for _ in letters
    ]
    try:
        operation = entry.build(**form.values(numbers))
    except ParameterError:  # heads that no groups share, say
        reject()
    item = item_for(operation, draw(st.tuples(*[st.integers(1, 3)] * 5)))
    return Case(operation, item, draw(st.booleans()))


def in_every_framework(case):
    in_numpy(case)
    for name, run in (
        ("torch", in_torch),
        ("onnxruntime", in_onnx),
        ("tensorflow", lambda case: in_keras(case, "channels_first")),
        ("tensorflow", lambda case: in_keras(case, "channels_last")),
    ):
        if find_spec(name):
            run(case)


@settings(max_examples=40)
@given(drawn_cases())
def test_drawn(case):
    in_every_framework(case)


@pytest.mark.thorough
@settings(max_examples=500)
@given(drawn_cases())
def test_many_drawn(case):
    in_every_framework(case)


@pytest.mark.thorough
@settings(max_examples=60)
@given(drawn_cases())
def test_drawn_in_jax(case):
    pytest.importorskip("jax", reason="JAX is not installed")
    x = case.input()
    same(np.asarray(lb.emit(case.operation, "jax", batch=case.batch)(x)), case.expected(x), case)
