"""What is to be identified: from a word or an object to a function of arrays, or to a table."""
