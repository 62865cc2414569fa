"""One module a format: a model run once, each of its tensors given by the name that the graph readers know it by."""
