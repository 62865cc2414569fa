"""A model as a graph of tensors and movements, at numbers for all sizes."""
