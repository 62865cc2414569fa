"""TensorFlow and Keras 3: rearrangements as layers, files, and the primitives of networks."""
