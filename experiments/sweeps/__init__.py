"""Sweeps: many runs out of one file in Weights & Biases' form, carried out here with Optuna."""
