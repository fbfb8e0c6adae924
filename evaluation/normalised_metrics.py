"""Normalisations that a test reports beside the plain result, under names of their own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np
import torch

from common.directions import AUDIO_TO_TEXT, TEXT_TO_AUDIO, Direction
from common.errors import RelevanceError
from evaluation.evaluator import Evaluation, Rank
from evaluation.metrics import summary_name
from evaluation.normalisation import check_positive, dual_softmax, qb_norm, sinkhorn
from evaluation.ranking import retrieval_metrics
from evaluation.scores import Scores

METRICS = ("AP@10", "AP@10_all", "R@1", "R@5", "R@10")
"""Those that are reported of normalised scores."""


class Normalisation(ABC):
    """A normalisation that a test reports beside the plain result; name subclasses in `model.normalisation`.

    Attributes:
        suffix: of its metrics, as in "mAP@10_qb_norm".
        reads: what it reads besides the scores of the query itself.
        transductive: whether it reads other queries of the evaluated split, so that a result is of the whole set.
        reads_bank: whether it reads training captions.
        bank: how many of them at most, evenly spaced; None: all.
    """

    suffix: ClassVar[str]
    reads: ClassVar[str]
    transductive: ClassVar[bool] = False
    reads_bank: ClassVar[bool] = False
    bank: int | None = None

    @abstractmethod
    def __call__(self, scores: Scores, bank: Scores | None) -> Scores | None:
        """Normalised scores (Q, N); None for a direction that it is not defined for.

        Args:
            scores: of one direction.
            bank: scores (B, N) of training captions for the same items; None where the queries are recordings.
        """

    @property
    def note(self) -> str:
        """What has to be said of its figures."""
        how = "transductive: not comparable with results that treat each query alone" if self.transductive else "fair"
        return f"_{self.suffix}: {type(self).__name__}, reads {self.reads} ({how})."


class QBNorm(Normalisation):
    """Querybank normalisation with a bank of training captions: `qb_norm`. Text to audio only.

    No test query but the one that is answered is read.

    Args:
        beta: inverse temperature.
        k: items of each caption of the bank that count as hubs.
        bank: training captions in the bank at most; default: all.

    Source: Bogolin et al. 2022; beta 20 and k 1 are theirs.
    """

    suffix = "qb_norm"
    reads = "training captions"
    reads_bank = True

    def __init__(self, beta: float = 20.0, k: int = 1, bank: int | None = None) -> None:
        check_positive("beta", beta)
        if k < 1 or (bank is not None and bank < 1):
            raise RelevanceError(f"k and bank of QBNorm are {k} and {bank}: give at least 1")
        self.beta, self.k, self.bank = beta, k, bank

    def __call__(self, scores: Scores, bank: Scores | None) -> Scores | None:
        """None without a bank."""
        return None if bank is None else qb_norm(scores, bank, self.beta, self.k)


class DualSoftmax(Normalisation):
    """`dual_softmax`, in both directions. Transductive.

    Args:
        temperature: of the softmax over queries.
    """

    suffix = "dual_softmax"
    reads = "all queries of the split"
    transductive = True

    def __init__(self, temperature: float = 0.05) -> None:
        check_positive("temperature", temperature)
        self.temperature = temperature

    def __call__(self, scores: Scores, bank: Scores | None) -> Scores:
        """Of either direction."""
        return dual_softmax(scores, self.temperature)


class Sinkhorn(Normalisation):
    """`sinkhorn`, in both directions. Transductive.

    Args:
        temperature: of the scores.
        iterations: of alternate normalisation.
    """

    suffix = "sinkhorn"
    reads = "all queries of the split"
    transductive = True

    def __init__(self, temperature: float = 0.05, iterations: int = 10) -> None:
        check_positive("temperature", temperature)
        if iterations < 1:
            raise RelevanceError(f"iterations of Sinkhorn are {iterations}: give at least 1")
        self.temperature, self.iterations = temperature, iterations

    def __call__(self, scores: Scores, bank: Scores | None) -> Scores:
        """Of either direction."""
        return sinkhorn(scores, self.temperature, self.iterations)


def check_normalisations(normalisations: Sequence[Normalisation]) -> None:
    """Whether each kind is given once, since the names of its metrics are its own.

    Raises:
        RelevanceError: one is there twice.
    """
    suffixes = [each.suffix for each in normalisations]
    if twice := [suffix for suffix in suffixes if suffixes.count(suffix) > 1]:
        raise RelevanceError(f"model.normalisation: {twice[0]} is given twice; give each normalisation once")


def with_normalisation(
    evaluation: Evaluation,
    normalisation: Normalisation,
    bank: Callable[[int | None], Scores],
    rank: Rank = retrieval_metrics,
) -> Evaluation:
    """An evaluation with the metrics of normalised scores beside its own, as "AP@10_qb_norm".

    They are NaN in a direction that the normalisation is not defined for, since both directions have the same columns.

    Args:
        evaluation: of plain scores, which stay as they are.
        normalisation: of scores.
        bank: from the number of training captions at most to their scores (B, N); called only where it is read.
        rank: how a ranking is made.

    Raises:
        RelevanceError: as the normalisation.
    """
    described = evaluation.pool.caption_audio
    captions = torch.arange(len(described), device=described.device)
    of_captions = bank(normalisation.bank) if normalisation.reads_bank else None
    normalised: dict[Direction, Scores | None] = {
        TEXT_TO_AUDIO: normalisation(evaluation.scores, of_captions),
        AUDIO_TO_TEXT: normalisation(evaluation.scores.transposed(), None),
    }
    pairs = {TEXT_TO_AUDIO: (captions, described), AUDIO_TO_TEXT: (described, captions)}
    rankings = dict(evaluation.rankings)
    for side, scores in normalised.items():
        plain = rankings[side]
        chance = plain.chance()
        undefined = np.full(len(plain.per_query["AP@10"]), np.nan)
        made = dict.fromkeys(METRICS, undefined) if scores is None else rank(scores, *pairs[side]).per_query
        rankings[side] = plain.with_further(
            {f"{name}_{normalisation.suffix}": made[name] for name in METRICS},
            {
                f"{name}_{normalisation.suffix}": np.nan if scores is None else chance[summary_name(name)]
                for name in METRICS
            },
        )
    return replace(evaluation, rankings=rankings, notes=(*evaluation.notes, normalisation.note))
