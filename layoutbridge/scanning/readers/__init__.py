"""One module a format: how a model of it becomes a graph whose shapes are all numbers."""
