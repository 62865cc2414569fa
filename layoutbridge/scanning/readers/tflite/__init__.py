"""LiteRT's .tflite files as graphs."""
