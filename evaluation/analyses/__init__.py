"""What a ranking is good at, and where it fails: pure functions of queries, scores and the best items."""
