"""Which pairs make a batch, and in which order they come."""
