"""In which order the axes of each tensor are stored: what operators allow, and the choice that moves the fewest bytes."""
