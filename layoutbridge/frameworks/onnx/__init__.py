"""ONNX: rearrangements as models, their running, and the primitives of networks."""
