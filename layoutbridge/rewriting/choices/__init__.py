"""Layouts that a graph's tensors may have, those with which the fewest bytes are moved, and the graph of these."""
