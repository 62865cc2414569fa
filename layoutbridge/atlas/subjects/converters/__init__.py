"""Converters: what an op does after it was written in another form."""
