"""Weights that follow: those of a layer for the network in which another rearrangement stands, or none."""
