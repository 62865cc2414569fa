"""One module a family of operators: how each computes the same where the axes of its tensors are stored otherwise."""
