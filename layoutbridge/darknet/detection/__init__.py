"""Pictures in, boxes out: Darknet's resizing, decoding and suppression in NumPy, and drawing."""
