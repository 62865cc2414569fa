"""A model of any format, run on pictures of any kind: what people had OpenCV's or Darknet's own programs for."""
