"""Where metrics are logged: a CSV file, Weights & Biases."""
