"""ONNX files as protobuf lays them out: fields, lengths, and where in a file the weights lie."""
