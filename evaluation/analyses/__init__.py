"""What a model understands, and where it fails: pure functions of scores."""
