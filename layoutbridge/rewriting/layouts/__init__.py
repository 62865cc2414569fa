"""How the axes of tensors are stored, and how a node is changed that takes them so."""
