"""What happens beside training and evaluation: checkpoints, results, embeddings, media."""
