"""Boxes that a port decodes itself: which columns they are, and what is wrong with them."""
