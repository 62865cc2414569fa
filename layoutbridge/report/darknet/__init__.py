"""What is told of Darknet networks: their layers, checks, detections, evaluations and benchmarks."""
