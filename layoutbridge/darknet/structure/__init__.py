"""What a Darknet network is made of: plain, immutable data that every stage reads and none changes."""
