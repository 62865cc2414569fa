"""From cfg and weights files to a `Network`: each kind of layer read once, with its shapes and parameters."""
