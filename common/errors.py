"""Mistakes that a user can correct: each message is one line that names the file or key, the cause and the remedy."""


class UserError(ValueError):
    """The family of all of them: the command line prints the message in one line and leaves with exit code 1."""


class DataError(UserError):
    """A data set's files cannot be used as they are."""


class RelevanceError(UserError):
    """Relevance, targets or a ranking cannot be computed from what was given."""


class ModelError(UserError):
    """A model cannot be found, built, loaded or used as asked."""


class CacheError(UserError):
    """A table of cached rows cannot be made, written or read."""


class RunError(UserError):
    """A run folder cannot be used as asked."""
