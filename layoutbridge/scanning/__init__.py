"""Whole models: their graphs read into one small form, and the places in them that move elements."""
