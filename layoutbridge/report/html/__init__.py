"""One module a command: what it found as one HTML page that needs nothing beside it."""
