"""TensorFlow and Keras 3: rearrangements as layers, files, and the primitives of networks."""

from layoutbridge.frameworks.tensorflow.files import custom_objects, load_keras_file

__all__ = ["custom_objects", "load_keras_file"]
