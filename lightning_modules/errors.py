"""What went wrong with a model, in one line for the person at the keyboard."""


class ModelError(ValueError):
    """A model cannot be built, loaded or used as asked: one line with the cause and the remedy."""
