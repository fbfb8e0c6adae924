"""The error a user of this room can mend."""


class RunError(ValueError):
    """A run folder cannot be used as asked; the message names the folder, the cause and the remedy."""
