"""The graph of a network in ONNX, and what several operators make: primitives that ONNX has no one operator for."""
