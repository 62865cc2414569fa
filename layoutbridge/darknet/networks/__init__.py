"""A whole network as users see it: loaded, run, written, summed up, and in the other fork's eyes."""
