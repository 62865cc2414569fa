"""Commands about Darknet networks and detectors."""
