"""The error a user of this room can mend."""


class DataError(ValueError):
    """A data set's files cannot be used as they are; the message names the file, the cause and the remedy."""
