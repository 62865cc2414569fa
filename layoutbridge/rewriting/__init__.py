"""Models changed where they move elements: each change proven, and tried by running both models."""
