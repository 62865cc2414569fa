"""How right a model is: what it finds in labelled pictures, counted as Darknet counts it, and as COCO does."""
