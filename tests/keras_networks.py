"""Small networks for the tests of Keras, and how their results are compared. Not a test itself."""

import numpy as np

TOLERANCE = 1e-5  # of a layer's largest value
FORMATS = ("channels_last", "channels_first")

SMALL_V3 = """
[net]
width=32
height=32
channels=3
[convolutional]
batch_normalize=1
filters=8
size=3
stride=2
pad=1
activation=leaky
[convolutional]
batch_normalize=1
filters=4
size=1
stride=1
pad=1
activation=mish
[convolutional]
batch_normalize=1
filters=8
size=3
stride=1
pad=1
activation=leaky
[shortcut]
from=-3
activation=linear
[maxpool]
size=2
stride=1
[maxpool]
size=2
stride=2
[maxpool]
stride=1
size=5
[route]
layers=-1,-2
[convolutional]
filters=21
size=1
stride=1
pad=1
activation=linear
[yolo]
mask=0,1,2
anchors=10,14, 23,27, 37,58, 81,82
classes=2
num=4
scale_x_y=1.1
[route]
layers=-3
groups=2
group_id=1
[upsample]
stride=2
[route]
layers=-1,3
[convolutional]
filters=21
size=1
stride=1
pad=1
activation=linear
[yolo]
mask=0,1,2
anchors=10,14, 23,27, 37,58, 81,82
classes=2
num=4
"""
SMALL_V2 = """
[net]
width=52
height=52
channels=3
[convolutional]
batch_normalize=1
filters=8
size=3
stride=2
pad=1
activation=leaky
[maxpool]
size=2
stride=2
[convolutional]
filters=6
size=1
stride=1
activation=leaky
[route]
layers=-3
[reorg]
stride=2
[route]
layers=-1,-3
[convolutional]
filters=35
size=1
stride=1
pad=1
activation=linear
[region]
anchors=1,2, 2,1, 3,3, 4,5, 6,6
classes=2
coords=4
num=5
softmax=1
"""
TRAINED = """
[net]
width=8
height=8
channels=3
[convolutional]
batch_normalize=1
filters=8
size=3
stride=1
pad=1
activation=leaky
[convolutional]
batch_normalize=1
filters=8
size=3
stride=1
pad=1
activation=leaky
[shortcut]
from=-2
weights_type=per_channel
weights_normalization=softmax
activation=linear
[reorg]
stride=2
[route]
layers=-1
[convolutional]
filters=4
size=1
stride=1
activation=linear
"""


def near(found, wanted, tolerance=TOLERANCE):
    assert found.shape == wanted.shape
    return np.abs(found - wanted).max() <= tolerance * np.abs(wanted).max()


def turned(x):
    """[N, C, H, W] with channels last; a flat input as it is."""
    return x.transpose(0, 2, 3, 1) if x.ndim == 4 else x
