"""The catalogue of named operations, and what Darknet's own loops do where they are no permutation."""
