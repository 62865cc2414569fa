"""What makes the site: pages as they lie in docs/, beside them those that are generated, all checked, and built."""
