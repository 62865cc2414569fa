"""ncnn: the primitives of networks, written to its two files."""
