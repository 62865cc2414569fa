"""Keras' models and TensorFlow's SavedModels as graphs."""
