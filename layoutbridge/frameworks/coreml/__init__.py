"""Core ML: the primitives of networks in its intermediate language, MIL, by coremltools."""
