"""What files remember of how they were made."""
