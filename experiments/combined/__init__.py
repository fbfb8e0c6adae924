"""Finished runs combined into one: fused, or one reranked by another, from the pools that their tests left."""
