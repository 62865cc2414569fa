"""Darknet networks as somebody would write them in Keras, under the names that Keras gives. Not a test itself."""

import keras
import numpy as np

import layoutbridge as lb

layers = keras.layers
ACTIVATIONS = {
    "leaky": lambda: layers.LeakyReLU(negative_slope=0.1),
    "mish": lambda: layers.Activation("mish"),
    "relu": layers.ReLU,
    "logistic": lambda: layers.Activation("sigmoid"),
    "linear": layers.Identity,
    "swish": lambda: layers.Activation("silu"),
}  # fmt: skip


def model_of(net, *, epsilon=1e-3, bias=False, bare=False, seed=0):
    """A model of Conv2D, Dense and BatchNormalization with random weights; with `bias` in front of batch norms too.

    With `bare` batch norms have no scales.
    """
    keras.utils.set_random_seed(seed)
    channels, rows, columns = net.network.in_shape
    given = keras.Input((rows, columns, channels))
    outputs = []
    for layer in net.layers:
        inputs = [given if source == -1 else outputs[source] for source in layer.inputs]
        outputs.append(_computed(layer, layer.settings, inputs, epsilon, bias, bare))
    heads = [output for layer, output in zip(net.layers, outputs, strict=True) if layer.kind in ("yolo", "region")]
    model = keras.Model(given, heads or outputs[-1])
    rng = np.random.default_rng(seed)
    for held in model.layers:
        for variable in held.weights:
            if "variance" in variable.path or "gamma" in variable.path:
                variable.assign(rng.random(variable.shape) + 0.2)
            elif "kernel" not in variable.path:
                variable.assign(0.1 * rng.standard_normal(variable.shape))
    return model


def _computed(layer, s, inputs, epsilon, bias, bare):
    x = inputs[0]
    if layer.kind in ("convolutional", "connected"):
        with_bias = bias or not s.batch_normalize
        if layer.kind == "connected":
            x = layers.Dense(s.output, use_bias=with_bias)(layers.Flatten()(x))
        else:
            if s.padding:
                x = layers.ZeroPadding2D(s.padding)(x)
            strides = (s.stride_y, s.stride_x)
            if s.groups == layer.in_shape[0] > 1:
                x = layers.DepthwiseConv2D(s.size, strides, dilation_rate=s.dilation, use_bias=with_bias)(x)
            else:
                x = layers.Conv2D(
                    s.filters, s.size, strides, dilation_rate=s.dilation, groups=s.groups, use_bias=with_bias
                )(x)
        if s.batch_normalize:
            x = layers.BatchNormalization(epsilon=epsilon, scale=not bare)(x)
        return ACTIVATIONS[s.activation]()(x)
    if layer.kind == "route":
        return layers.Concatenate()(inputs) if len(inputs) > 1 else x
    if layer.kind == "shortcut":
        return ACTIVATIONS[s.activation]()(layers.Add()(inputs))
    if layer.kind == "maxpool":
        return layers.MaxPooling2D(s.size, (s.stride_y, s.stride_x), "same" if s.padding else "valid")(x)
    if layer.kind == "upsample":
        return layers.UpSampling2D(s.stride)(x)
    if layer.kind in ("reorg", "reorg3d"):
        return lb.emit(lb.op(s.operation, stride=s.stride), "tensorflow")(x)
    if layer.kind in ("yolo", "region", "dropout"):
        return x
    if layer.kind == "softmax":
        return layers.Softmax()(x)
    raise NotImplementedError(layer.kind)
