"""Getting data sets and weights: HTTP, archives, checksums."""
