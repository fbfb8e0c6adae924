"""Two scorers of synthetic twins whose shares are known: they show that an analysis measures what it says."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from datamodules.synthesis.scenes import Scene
from datamodules.synthesis.truth import relevance
from datamodules.twins.synthetic import ScenePair
from evaluation.analyses.twins import Floats, TwinScores


def oracle(pairs: Sequence[ScenePair]) -> TwinScores:
    """The known relevance of each scene to what the captions were written of: a model told the truth."""

    def related(captions: Sequence[Scene], recordings: Sequence[Scene]) -> Floats:
        return np.array([relevance([c], [a])[0, 0] for c, a in zip(captions, recordings, strict=True)], np.float64)

    first, second = [pair.scene for pair in pairs], [pair.twin_scene for pair in pairs]
    return TwinScores(
        related(first, first),
        related(second, first),
        np.arange(len(pairs)),
        related(first, second),
        related(second, second),
    )


def bag_of_words(pairs: Sequence[ScenePair]) -> TwinScores:
    """The cosine of counted words between a caption and the one its recording was made with: all words, no order."""

    def alike(left: Sequence[str], right: Sequence[str]) -> Floats:
        return np.array([_cosine(_counted(a), _counted(b)) for a, b in zip(left, right, strict=True)])

    first, second = [pair.caption for pair in pairs], [pair.twin_caption for pair in pairs]
    return TwinScores(
        alike(first, first),
        alike(second, first),
        np.arange(len(pairs)),
        alike(first, second),
        alike(second, second),
    )


REFERENCES = {"oracle": oracle, "bag of words": bag_of_words}


def _counted(text: str) -> Counter[str]:
    return Counter(word.strip(".,").lower() for word in text.split())


def _cosine(a: Counter[str], b: Counter[str]) -> float:
    shared, left, right = (sum(x[word] * y[word] for word in x) for x, y in ((a, b), (a, a), (b, b)))
    return float(shared / np.sqrt(left * right))
