"""What HTML pages are made of: frame, tables, charts, networks drawn. Nothing in a page runs, or is fetched."""
