"""Programs that read ONNX models: their names, their limits, and the forms that networks are written in for them."""
