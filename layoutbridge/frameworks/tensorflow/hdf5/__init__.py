"""Keras' older files, HDF5: written, and read as carefully as .keras files are."""
