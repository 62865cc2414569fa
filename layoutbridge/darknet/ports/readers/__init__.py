"""What other programs read beside a model: one module a program. The model itself is not touched."""
