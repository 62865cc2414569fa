"""JAX: rearrangements as functions of its arrays, exported functions, and their running."""
