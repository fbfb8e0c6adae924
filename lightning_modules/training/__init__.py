"""Ways of training: frozen or low-rank layers, schedules, large batches, caches, compilation."""
