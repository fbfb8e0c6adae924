"""Tables of made-up teachers for the stand-in data, and the mean of their cosines, one pair at a time."""

from collections.abc import Sequence

import numpy as np

from relevance.objectives.base import Objective
from relevance.objectives.listnet import ListNet
from relevance.targets.estimated_correspondence import EstimatedCorrespondence, TaughtData, TeacherTable, data_sha256
from tests.support.tiny import TinyData

TAU = 0.2
DIMS = {"a": 3, "b": 5, "c": 4}
"""Teachers, and the sizes of their embeddings."""
CAPTIONS, AUDIO_OF = TinyData().read_captions()
DATA = TaughtData(
    np.random.default_rng(1).permutation(int(AUDIO_OF.max()) + 1),
    np.random.default_rng(2).permutation(len(CAPTIONS)),
    data_sha256(CAPTIONS, AUDIO_OF),
)


def unit(rng: np.random.Generator, rows: int, dim: int) -> np.ndarray:
    vectors = rng.standard_normal((rows, dim))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)


def table_of(teacher: str) -> TeacherTable:
    rng = np.random.default_rng(ord(teacher))
    dim = DIMS[teacher]
    return TeacherTable(
        teacher, f"sha256 of {teacher}", unit(rng, len(DATA.audio_ids), dim), unit(rng, len(DATA.caption_ids), dim)
    )


def taught(teachers: Sequence[str] = tuple(DIMS), weights: list[float] | None = None) -> EstimatedCorrespondence:
    """A relevance of made-up teachers, ready for look-ups."""
    relevance = EstimatedCorrespondence([*teachers], weights)
    relevance.take([table_of(teacher) for teacher in teachers], DATA)
    relevance.prepare(CAPTIONS, AUDIO_OF)
    return relevance


def correspondences(ids: Sequence[int], weights: dict[str, float]) -> np.ndarray:
    """Weighted mean of cosines of caption i and recording j of some pairs, one by one, float64."""
    tables = {teacher: table_of(teacher) for teacher in weights}
    found = np.empty((len(ids), len(ids)))
    for row, caption in enumerate(ids):
        for column, pair in enumerate(ids):
            total = 0.0
            for teacher, weight in weights.items():
                text = tables[teacher].text[list(DATA.caption_ids).index(caption)].astype(float)
                audio = tables[teacher].audio[list(DATA.audio_ids).index(AUDIO_OF[pair])].astype(float)
                total += weight * float(text @ audio)
            found[row, column] = total / sum(weights.values())
    return found


def distilling(tau: float = TAU) -> Objective:
    """ListNet whose target is the softmax of cosines at the temperature of the prediction."""
    return ListNet("both", tau, tau / 2)
