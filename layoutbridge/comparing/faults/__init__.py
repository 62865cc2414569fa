"""What ports do wrong, kind by kind: each fault as what a layer would give with it."""
