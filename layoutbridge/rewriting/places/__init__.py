"""Where in a model something is to be done, what is to be there, and names that are still free."""
