"""What is done to a model: one pass a module, each on onnx-ir, in place."""
