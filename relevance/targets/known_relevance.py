"""Relevance that is known beforehand, out of files: an upper bound for what is learned from captions."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from common.directions import TEXT_TO_AUDIO, Direction
from common.errors import RelevanceError
from common.numbers import check_numbers
from relevance.base import Relevance
from relevance.mapped_table import mapped_table

Floats = npt.NDArray[np.float32]


class KnownRelevance(Relevance):
    """Relevance of recordings to each other, looked up in files; each caption stands for its recording.

    Args:
        files: `.npy` files, each (A, A) float32 in [0, 1] for the A recordings of a split, in the order of audio ids:
            of the training split first, then of the validation split, ... Splits without a file are not asked for.
        noise: standard deviation of symmetric Gaussian noise that is added to all but a recording's relevance to
            itself, before values are cut to [0, 1]; the same for every run.

    Relations: take it to see how much better targets could be, on data whose relevance is known (`Synthetic` renders it
    to `relevance/`); on others take `CaptionSimilarity`.

    Raises:
        RelevanceError: a file cannot be read or is no square table of numbers in [0, 1].
    """

    symmetric = True

    def __init__(self, files: list[str], noise: float = 0.0) -> None:
        super().__init__()
        check_numbers(RelevanceError, "KnownRelevance", 0.0, noise=noise)
        if not files:
            raise RelevanceError("KnownRelevance.files is empty; give the file of the training split")
        self.files = [Path(file).expanduser() for file in files]
        self.noise = noise
        self._audio_of: Tensor | None = None  # (C,) not buffers: DDP would broadcast them at every step
        self._tables: list[Tensor] = []

    def prepare(self, captions: Sequence[str], audio_ids: npt.NDArray[np.int64]) -> None:
        """Like `Relevance.prepare`: read the files."""
        self._audio_of = torch.as_tensor(audio_ids, dtype=torch.int64)
        tables = [read_relevance(file) for file in self.files]
        if self.noise:
            tables = [torch.from_numpy(noisy(table.numpy(), self.noise, i)) for i, table in enumerate(tables)]
        self._tables = tables

    def forward(self, query_ids: Tensor, item_ids: Tensor, direction: Direction = TEXT_TO_AUDIO) -> Tensor:
        """Like `Relevance.forward`; queries and items are of one split.

        Raises:
            RelevanceError: there is no file for their split.
        """
        if self._audio_of is None:
            raise RelevanceError("KnownRelevance was called before prepare(): it has no table")
        queries, items = (self._audio_of[ids.cpu()] for ids in (query_ids, item_ids))
        begin = 0
        for table in self._tables:
            end = begin + len(table)
            if int(queries.min()) >= begin and int(queries.max()) < end:
                found: Tensor = table[queries - begin][:, items - begin]  # (Q, N)
                return found.to(query_ids.device)
            begin = end
        raise RelevanceError(
            f"KnownRelevance.files know {begin} recordings, and recording {int(queries.max())} is none of one file; "
            "give the files of all splits that are trained or validated on, in their order"
        )


def read_relevance(path: Path) -> Tensor:
    """A square table (A, A) float32 of relevance, mapped into memory."""
    try:
        table = mapped_table(path)
    except (OSError, ValueError, TypeError) as error:  # torch raises TypeError for arrays of texts
        raise RelevanceError(f"{path}: cannot be read ({error}); give a .npy file of relevance") from error
    if table.ndim != 2 or table.shape[0] != table.shape[1] or table.dtype != torch.float32:
        kind = str(table.dtype).removeprefix("torch.")
        raise RelevanceError(f"{path}: holds {kind} {tuple(table.shape)}; give a square table of float32")
    if not (table.min() >= 0 and table.max() <= 1):  # NaN fails this as well
        raise RelevanceError(f"{path}: holds values outside [0, 1]; relevance lies between them")
    return table


def noisy(table: Floats, noise: float, seed: int) -> Floats:
    """The table plus symmetric noise, cut to [0, 1], with its diagonal as it was; the variance is that of one draw."""
    drawn = np.random.default_rng(seed).standard_normal(table.shape, np.float32)
    upper = np.triu(drawn, 1)
    found = np.clip(table + noise * (upper + upper.T), 0, 1).astype(np.float32)
    np.fill_diagonal(found, np.diag(table))
    return found
