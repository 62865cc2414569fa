"""The record of TensorFlow and Keras."""

from layoutbridge.frameworks.framework import Framework, Tensors
from layoutbridge.frameworks.tensorflow.calling import call, is_layer
from layoutbridge.frameworks.tensorflow.code import write_code
from layoutbridge.frameworks.tensorflow.emission import emit, runnables, save
from layoutbridge.frameworks.tensorflow.files import KERAS, load_keras_file
from layoutbridge.frameworks.tensorflow.start_up import EXTRA, installed

RECORD = Framework(
    name="tensorflow",
    extra=EXTRA,
    installed=installed,
    emit=emit,
    save=save,
    writes=(KERAS, ""),
    runnables=runnables,
    code=write_code,
    layouts=("NCHW", "NHWC"),
    reads={KERAS: load_keras_file},
    tensors=Tensors("a TensorFlow tensor", call, is_layer),
)
