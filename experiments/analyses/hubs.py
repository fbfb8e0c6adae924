"""Hubness of the recordings in each run's ranking, and after QB-Norm where there is a bank of captions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from evaluation.analyses.hubness import Hubness, Ints, hubness, k_occurrence
from evaluation.embedding_pool import EmbeddingPool
from evaluation.evaluator import scores_of
from evaluation.normalisation import qb_norm
from evaluation.ranks import best_items
from experiments.analyses.runs import Method
from experiments.combined.shared_pool import SharedPool, has_pool, read_shared_pool
from experiments.results.pool_file import read_pool
from experiments.run_folder import RunFolder

PLAIN, NORMALISED = "plain", "QB-Norm"
BETA = 20.0


@dataclass(frozen=True)
class Bank:
    """Captions that QB-Norm reads, as one run embeds them.

    Attributes:
        text: (B, ...).
        source: what they are.
    """

    text: Tensor
    source: str


@dataclass(frozen=True)
class HubRow:
    """The hubness of one run.

    Attributes:
        method: that the run is of.
        run: its folder.
        scores: "plain" or "QB-Norm".
        bank: what QB-Norm read; empty for plain scores.
        occurrences: (N,) of how many queries each recording is among the best k.
        k: 10, or the size of a smaller pool.
        found: what the occurrences say.
        recall: share of queries whose annotated recording is among the best k.
    """

    method: str
    run: Path
    scores: str
    bank: str
    occurrences: Ints
    k: int
    found: Hubness
    recall: float


def hubs(methods: Sequence[Method], split: str, banks: Mapping[Path, Bank]) -> list[HubRow]:
    """A row for each run, and one after QB-Norm for each that has a bank and the embeddings of the split.

    Args:
        methods: of runs.
        split: "test" or "validation".
        banks: by run folder; default of a tested run: the captions of its validation pool, where it has one.

    Raises:
        RunError: embeddings that cannot be read.
    """
    rows = []
    for method in methods:
        for run in method.runs:
            rows.append(_row(method, run.folder, PLAIN, "", run.best))
            bank = banks.get(run.folder) or _validation_bank(run.folder, split)
            if bank is not None and has_pool(run.folder, split):
                shared = read_shared_pool([run.folder], split)
                rows.append(_row(method, run.folder, NORMALISED, bank.source, _best_normalised(shared, bank)))
    return rows


def _row(method: Method, folder: Path, scores: str, bank: str, best: Ints) -> HubRow:
    occurrences = k_occurrence(best, len(method.names))
    recall = float((best == method.own[:, None]).any(1).mean())
    return HubRow(method.name, folder, scores, bank, occurrences, best.shape[1], hubness(occurrences), recall)


def _best_normalised(shared: SharedPool, bank: Bank) -> Ints:
    """The best ten recordings (Q, k) by normalised scores, from text to audio."""
    (pool,) = shared.pools
    described = torch.zeros(len(bank.text), dtype=torch.int64)
    asked = EmbeddingPool(
        pool.audio, pool.audio_ids, bank.text.to(pool.text), torch.arange(len(bank.text)), described, gates=pool.gates
    )
    best: Ints = best_items(qb_norm(scores_of(pool), scores_of(asked), BETA), 10)[0].numpy()
    return best


def _validation_bank(folder: Path, split: str) -> Bank | None:
    if split != "test" or not has_pool(folder, "validation"):
        return None
    text = read_pool(RunFolder(folder).pool("validation")).text
    return Bank(text, f"{len(text)} validation captions")
