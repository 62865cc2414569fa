"""A hand-written port of Darknet networks to Keras, channels last, in styles and with faults. Not a test itself."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers as L

DEFAULT_EPSILON, DARKNET_EPSILON = 1e-3, 1e-5


def _of_reorg(x):
    """The sizes of a reorg by 2: [N, H, W, C] and C / 4."""
    height, width, channels = x.shape[1:]
    return height, width, channels, channels // 4


def _reshaped(x):
    h, w, c, part = _of_reorg(x)
    x = tf.reshape(tf.transpose(x, (0, 3, 1, 2)), (-1, part, h, 2, w, 2))
    return tf.transpose(tf.reshape(tf.transpose(x, (0, 3, 5, 1, 2, 4)), (-1, 4 * c, h // 2, w // 2)), (0, 2, 3, 1))


def _sliced(x):
    h, w, c, part = _of_reorg(x)
    x = tf.reshape(tf.transpose(x, (0, 3, 1, 2)), (-1, part, 2 * h, 2 * w))
    x = tf.concat([x[:, :, p::2, q::2] for p in (0, 1) for q in (0, 1)], 1)
    return tf.transpose(tf.reshape(x, (-1, 4 * c, h // 2, w // 2)), (0, 2, 3, 1))


def _by_blocks(x, take):
    """The same by what gathers blocks of 2 × 2 in NHWC."""
    h, w, c, part = _of_reorg(x)
    x = tf.transpose(tf.reshape(tf.transpose(x, (0, 3, 1, 2)), (-1, part, 2 * h, 2 * w)), (0, 2, 3, 1))
    x = tf.transpose(take(x), (0, 3, 1, 2))
    return tf.transpose(tf.reshape(x, (-1, 4 * c, h // 2, w // 2)), (0, 2, 3, 1))


def _patched(x):
    return tf.image.extract_patches(x, (1, 2, 2, 1), (1, 2, 2, 1), (1, 1, 1, 1), "VALID")


def _convolved(x):
    channels = x.shape[-1]
    kernel = np.zeros((2, 2, channels, 4 * channels), np.float32)
    for p in (0, 1):
        for q in (0, 1):
            kernel[p, q, np.arange(channels), (2 * p + q) * channels + np.arange(channels)] = 1
    return tf.nn.conv2d(x, kernel, 2, "VALID")


def _gathered(x):
    h, w, c, part = _of_reorg(x)
    table = np.arange(c * h * w).reshape(part, h, 2, w, 2).transpose(2, 4, 0, 1, 3).reshape(-1)
    flat = tf.gather(tf.reshape(tf.transpose(x, (0, 3, 1, 2)), (-1, c * h * w)), table, axis=1)
    return tf.transpose(tf.reshape(flat, (-1, 4 * c, h // 2, w // 2)), (0, 2, 3, 1))


REORGS = {
    "reshape and transpose": _reshaped,
    "slices": _sliced,
    "space_to_depth of another view": lambda x: _by_blocks(x, lambda y: tf.nn.space_to_depth(y, 2)),
    "patches": lambda x: _by_blocks(x, _patched),
    "a convolution": lambda x: _by_blocks(x, _convolved),
    "a gather": _gathered,
}


class Port:
    """How somebody writes a network in Keras: `faults` are what is wrong, and styles how it is written."""

    def __init__(self, net, *, spelling="reshape and transpose", folded=False, fused=False, head="layer", **faults):
        self.net, self.spelling, self.folded, self.fused = net, spelling, folded, fused
        self.head, self.faults = head, faults

    def fault(self, name, layer=None):
        value = self.faults.get(name)
        return value.get(layer.index) if isinstance(value, dict) else value

    def model(self):
        c, h, w = self.net.network.in_shape
        taken = keras.Input((h, w, c), name="picture")
        outputs = []
        for layer in self.net.network.layers:
            inputs = [taken if source == -1 else outputs[source] for source in layer.inputs]
            outputs.append(getattr(self, layer.kind)(layer, layer.settings, *inputs))
        ends = [each for each, layer in zip(outputs, self.net.network.layers, strict=True) if layer.kind == "yolo"]
        return keras.Model(taken, ends if len(ends) > 1 else outputs[-1])

    def p(self, layer, name):
        return np.array(self.net.parameters[layer.index, name])

    def read(self, x):
        """What the first layer reads of a picture."""
        x = L.Lambda(lambda x: x[..., ::-1])(x) if self.fault("bgr") else x
        x = L.Rescaling(self.fault("range"))(x) if self.fault("range") else x
        return x

    def divided(self, layer):
        """The variances that Keras' batch norm needs for what Darknet divides by."""
        variances = self.p(layer, "variances").astype(np.float64)
        if self.net.network.flavor == "pjreddie":
            variances = (np.sqrt(variances) + 1e-6) ** 2 - DARKNET_EPSILON
        return variances

    def kernel(self, layer):
        weights = self.p(layer, "weights")
        if self.fault("kernel", layer) == "reshaped":
            return weights.reshape(*weights.shape[2:], weights.shape[1], weights.shape[0])
        if self.fault("kernel", layer) == "exchanged":
            return weights.transpose(3, 2, 1, 0)
        return weights.transpose(2, 3, 1, 0)

    def convolutional(self, layer, s, x):
        x = self.read(x) if layer.inputs == (-1,) else x
        kernel, is_depthwise = self.kernel(layer), s.groups > 1
        keeps = s.batch_normalize and not self.folded
        biases = self.p(layer, "biases")
        epsilon = self.fault("epsilon", layer) or DARKNET_EPSILON
        if s.batch_normalize and self.folded:
            factor = self.p(layer, "scales") / np.sqrt(self.divided(layer) + epsilon)
            biases = biases - self.p(layer, "means") * factor
            kernel = kernel * factor
        padding = "same" if self.fault("same", layer) else "valid"
        if padding == "valid" and s.padding and s.groups in (1, x.shape[-1]):
            x = L.ZeroPadding2D(s.padding)(x)
        options = {"strides": s.stride_x, "padding": padding, "use_bias": not keeps, "dilation_rate": s.dilation}
        if self.fused and s.activation in ("relu", "leaky", "logistic") and not keeps:
            options["activation"] = self.function(layer, s)
        if is_depthwise:
            assert s.groups == x.shape[-1]
            made = L.DepthwiseConv2D(s.size, depth_multiplier=s.filters // s.groups, **options)
            kernel = kernel.reshape(s.size, s.size, s.groups, s.filters // s.groups)
        else:
            made = L.Conv2D(s.filters, s.size, **options)
        y = made(x)
        made.set_weights([kernel] if keeps else [kernel, biases])
        if keeps:
            y = self.normalized(layer, y, epsilon)
        return y if "activation" in options else self.activated(layer, s, y)

    def normalized(self, layer, y, epsilon):
        if self.fault("no_batch_norm", layer):
            return L.Lambda(lambda y, b: y + b, arguments={"b": self.p(layer, "biases")})(y)
        norm = L.BatchNormalization(epsilon=epsilon)
        y = norm(y)
        norm.set_weights(
            [self.p(layer, "scales"), self.p(layer, "biases"), self.p(layer, "means"), self.divided(layer)]
        )
        return y

    def function(self, layer, s):
        function = self.fault("activation", layer)
        if function:
            return function
        if s.activation == "leaky":
            return keras.layers.LeakyReLU(negative_slope=self.fault("slope", layer) or 0.1)
        return {"relu": keras.activations.relu, "logistic": keras.activations.sigmoid}[s.activation]

    def activated(self, layer, s, y):
        if s.activation == "linear" and not self.fault("activation", layer):
            return y
        function = self.function(layer, s)
        return function(y) if isinstance(function, L.Layer) else L.Activation(function)(y)

    def connected(self, layer, s, x):
        weights = self.p(layer, "weights")
        kernel = weights.T
        if len(x.shape) == 4:
            _, h, w, c = x.shape
            if not self.fault("flatten"):
                kernel = weights.reshape(-1, c, h, w).transpose(2, 3, 1, 0).reshape(h * w * c, -1)
            x = L.Flatten()(x)
        if self.fault("rows", layer):
            kernel = weights.reshape(weights.shape[::-1])
        keeps = s.batch_normalize
        dense = L.Dense(len(weights), use_bias=not keeps)
        y = dense(x)
        dense.set_weights([kernel] if keeps else [kernel, self.p(layer, "biases")])
        if keeps:
            y = self.normalized(layer, y, self.fault("epsilon", layer) or DARKNET_EPSILON)
        return self.activated(layer, s, y)

    def maxpool(self, layer, s, x):
        if self.fault("pool", layer):
            return L.MaxPooling2D(s.size, s.stride_x, padding=self.fault("pool", layer))(x)
        rows, columns = (s.padding_top, s.padding_bottom), (s.padding_left, s.padding_right)
        if any(rows + columns):
            pads = [[max(n, 0) for n in each] for each in ((0, 0), rows, columns, (0, 0))]
            bottom, right = x.shape[1] + min(rows[1], 0), x.shape[2] + min(columns[1], 0)
            x = L.Lambda(lambda x: tf.pad(x[:, :bottom, :right], pads, constant_values=-1e30))(x)
        return L.MaxPooling2D(s.size, s.stride_x)(x)

    def avgpool(self, layer, s, x):
        return L.GlobalAveragePooling2D(keepdims=True)(x)

    def upsample(self, layer, s, x):
        y = L.UpSampling2D(s.stride, interpolation=self.fault("upsample") or "nearest")(x)
        return y if s.scale == 1 else L.Rescaling(s.scale)(y)

    def route(self, layer, s, *inputs):
        parts = [x[..., x.shape[-1] // s.groups * s.group_id :][..., : x.shape[-1] // s.groups] for x in inputs]
        if len(parts) == 1:
            return parts[0]
        return L.Concatenate()(parts[::-1] if self.fault("concat", layer) else parts)

    def shortcut(self, layer, s, x, other):
        return self.activated(layer, s, L.Multiply()([x, other]) if self.fault("product") else L.Add()([x, other]))

    def scale_channels(self, layer, s, x, other):
        return self.activated(layer, s, L.Multiply()([x, other]))

    def reorg(self, layer, s, x):
        if self.fault("reorg", layer) == "space_to_depth":
            return L.Lambda(lambda x: tf.nn.space_to_depth(x, 2))(x)
        if self.fault("reorg", layer) == "reshape":
            return L.Reshape((x.shape[1] // 2, x.shape[2] // 2, 4 * x.shape[3]))(x)
        return L.Lambda(REORGS[self.spelling])(x)

    def dropout(self, layer, s, x):
        return L.Dropout(0.5)(x)

    def softmax(self, layer, s, x):
        return L.Softmax()(x)

    def entries(self, s, x):
        return L.Reshape((x.shape[1], x.shape[2], s.num, s.entries))(x)

    def region(self, layer, s, x):
        if self.head == "raw":
            return x

        def decoded(boxes):
            if self.fault("all_logistic"):
                return tf.sigmoid(boxes)
            xy, wh, objectness, classes = boxes[..., :2], boxes[..., 2:4], boxes[..., 4:5], boxes[..., 5:]
            xy = tf.sigmoid(xy) if any(first == 0 for first, _ in s.logistic) else xy
            return tf.concat([xy, wh, tf.sigmoid(objectness), tf.nn.softmax(classes)], -1)

        return L.Lambda(decoded)(self.entries(s, x))

    def yolo(self, layer, s, x):
        if self.head == "raw":
            return x

        def decoded(boxes):
            xy, wh, rest = boxes[..., :2], boxes[..., 2:4], boxes[..., 4:]
            xy = tf.sigmoid(xy)
            if s.scale_x_y != 1 and not self.fault("no_spread"):
                xy = s.scale_x_y * xy - 0.5 * (s.scale_x_y - 1)
            return tf.concat([xy, wh, rest if self.fault("no_logistic") else tf.sigmoid(rest)], -1)

        return L.Lambda(decoded)(self.entries(s, x))


def port(net, **options):
    return Port(net, **options).model()
