"""The pages, and in `making/` what makes a site of them."""
