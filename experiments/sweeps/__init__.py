"""Sweeps: many runs from one file in Weights & Biases' form, run here with Optuna."""
