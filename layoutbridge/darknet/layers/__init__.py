"""Each kind of layer read once: its options, shapes and parameters as Darknet makes them of a cfg section."""
