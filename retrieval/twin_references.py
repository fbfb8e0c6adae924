"""Two scorers of synthetic twins whose shares are known: they show that an analysis measures what it says."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from datamodules.synthesis.scenes import Scene
from datamodules.synthesis.truth import relevance
from datamodules.twins.synthetic import ScenePair
from evaluation.analyses.twins import Floats, TwinScores

Thing = TypeVar("Thing")


def oracle(pairs: Sequence[ScenePair]) -> TwinScores:
    """The known relevance of each scene to what the captions were written of: what a perfect model knows."""

    def related(captions: Sequence[Scene], recordings: Sequence[Scene]) -> Floats:
        return np.array([relevance([c], [a])[0, 0] for c, a in zip(captions, recordings, strict=True)], np.float64)

    return _of_both([pair.scene for pair in pairs], [pair.twin_scene for pair in pairs], related)


def bag_of_words(pairs: Sequence[ScenePair]) -> TwinScores:
    """The cosine of counted words between a caption and the one its recording was made with: all words, no order."""

    def alike(left: Sequence[str], right: Sequence[str]) -> Floats:
        return np.array([_cosine(_counted(a), _counted(b)) for a, b in zip(left, right, strict=True)])

    return _of_both([pair.caption for pair in pairs], [pair.twin_caption for pair in pairs], alike)


REFERENCES = {"oracle": oracle, "bag of words": bag_of_words}


def _of_both(
    first: Sequence[Thing], second: Sequence[Thing], score: Callable[[Sequence[Thing], Sequence[Thing]], Floats]
) -> TwinScores:
    """Scores of captions (left) for recordings (right), where one thing stands for each of both."""
    same = np.arange(len(first))
    return TwinScores(score(first, first), score(second, first), same, score(first, second), score(second, second))


def _counted(text: str) -> Counter[str]:
    return Counter(word.strip(".,").lower() for word in text.split())


def _cosine(a: Counter[str], b: Counter[str]) -> float:
    shared, left, right = (sum(x[word] * y[word] for word in x) for x, y in ((a, b), (a, a), (b, b)))
    return float(shared / np.sqrt(left * right))
