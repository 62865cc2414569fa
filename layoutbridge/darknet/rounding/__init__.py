"""Which of a network's numbers become whole ones of 8 bits, over which range; for each format in its own way."""
