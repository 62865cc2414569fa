"""Commands about models of any kind: what they move, where two differ, and other forms of them."""
