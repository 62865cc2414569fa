"""Every entry of the catalogue in every framework: the same elements, and in PyTorch their gradient."""

import numpy as np
import pytest

import layoutbridge as lb


def cases():
    """Each entry at small numbers, with a shape that it takes and a batch axis in front."""
    for entry in lb.catalog().values():
        numbers = {name: 4 if name in ("height", "width", "depth") else 2 for name in entry.forms[0].letters}
        operation = entry.build(**numbers)
        fixed, divisor = dict(operation.domain.fixed), operation.domain.divisor
        item = (fixed.get(axis, divisor(axis) * (3, 2)[axis % 2]) for axis in range(operation.rank))
        yield operation, (2, *item)


def numbered(shape):
    return np.arange(np.prod(shape)).reshape(shape).astype(np.float32)


def by_table(operation, x):
    return x.reshape(-1)[operation.table(x.shape)].reshape(operation.out_shape(x.shape))


def test_torch_with_gradients():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    for operation, shape in cases():
        x = torch.tensor(numbered(shape), requires_grad=True)
        y = lb.emit(operation, "torch")(x)
        np.testing.assert_array_equal(y.detach().numpy(), by_table(operation, numbered(shape)), operation.label)
        upstream = torch.arange(y.numel(), dtype=torch.float32).reshape(y.shape)
        y.backward(upstream)
        expected = np.empty(y.numel(), np.float32)
        expected[operation.table(shape)] = upstream.numpy().reshape(-1)
        np.testing.assert_array_equal(x.grad.numpy().reshape(-1), expected, operation.label)


def test_onnx():
    pytest.importorskip("onnx", reason="ONNX is not installed")
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    for operation, shape in cases():
        model = lb.emit(operation, "onnx", shape=shape).SerializeToString()
        session = runtime.InferenceSession(model, providers=["CPUExecutionProvider"])
        (y,) = session.run(None, {session.get_inputs()[0].name: numbered(shape)})
        np.testing.assert_array_equal(y, by_table(operation, numbered(shape)), operation.label)


@pytest.mark.parametrize("name", ["numpy", "jax"])
def test_functions(name):
    pytest.importorskip(name, reason=f"{name} is not installed")
    for operation, shape in cases():
        y = np.asarray(lb.emit(operation, name)(numbered(shape)))
        np.testing.assert_array_equal(y, by_table(operation, numbered(shape)), operation.label)


def test_keras():
    """Channels last is for images [C, H, W] alone: what has its channels last already, or none, stays as it is."""
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    for operation, shape in cases():
        y = np.asarray(lb.emit(operation, "tensorflow", data_format="channels_first")(numbered(shape)))
        np.testing.assert_array_equal(y, by_table(operation, numbered(shape)), operation.label)
        is_image = operation.axes == ("C", "H", "W") and len(operation.result_shape) == 3
        if not is_image or operation.name in ("nchw_to_nhwc", "nhwc_to_nchw"):
            y = np.asarray(lb.emit(operation, "tensorflow")(numbered(shape)))
            np.testing.assert_array_equal(y, by_table(operation, numbered(shape)), operation.label)
        else:
            x = np.ascontiguousarray(numbered(shape).transpose(0, 2, 3, 1))
            y = np.asarray(lb.emit(operation, "tensorflow")(x)).transpose(0, 3, 1, 2)
            np.testing.assert_array_equal(y, by_table(operation, numbered(shape)), operation.label)
