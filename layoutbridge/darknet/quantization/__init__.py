"""A network written in whole numbers of 8 bits, and what that costs: per layer, and in what is found in pictures."""
