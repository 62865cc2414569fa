"""PyTorch's exported programs, and live modules by way of them, as graphs."""
