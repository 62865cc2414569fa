"""Commands about operations: which they are, what equals what, how each framework writes them."""
