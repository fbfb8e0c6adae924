"""The error a user of this room can mend."""


class RelevanceError(ValueError):
    """Relevance, targets or a ranking cannot be computed from what was given; the message names cause and remedy."""
