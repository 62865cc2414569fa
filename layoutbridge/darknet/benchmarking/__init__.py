"""A network in every format that this machine can run, or models as they are: how large, how fast, how right."""
