"""What is learned: spectrograms, encoders, the dual encoder and its steps. (Knows not where data lie.)"""
