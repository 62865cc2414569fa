"""Where a port parts from its original: both run on one input, their tensors aligned, causes tried out."""
