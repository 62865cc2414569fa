"""Exported programs and modules of PyTorch with other operations in their places."""
