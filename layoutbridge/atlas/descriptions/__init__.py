"""What a subject of the atlas is, and where it runs."""
