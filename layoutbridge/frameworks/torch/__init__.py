"""PyTorch: rearrangements as modules, and the primitives of networks."""
