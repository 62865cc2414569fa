"""Figures of rearrangements: one layout of cells and lanes, drawn as SVG, HTML, pictures, or on a terminal."""
