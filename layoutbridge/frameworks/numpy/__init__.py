"""NumPy: a rearrangement is a function of arrays already."""
