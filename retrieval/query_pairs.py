"""Queries and their translations, scored by a finished run for the recordings that it was tested on."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from common.errors import RunError
from evaluation.embedding_pool import EmbeddingPool
from evaluation.evaluator import scores_of
from evaluation.scores import Scores
from experiments.run_folder import find_run
from retrieval.finished_model import FinishedModel
from retrieval.run_model import kept_pool, load_model, read_config


class TextScorer:
    """Scores of texts for the recordings of a run's pool: its model embeds the texts, the recordings are embedded.

    Args:
        folder: of the run, or of an experiment with one.
        split: "test" or "validation".

    Attributes:
        pool: of the split.

    Raises:
        UserError: the run is not finished, its model cannot be loaded, or it holds no embeddings of the split by this
            model, or those of one recording.
    """

    def __init__(self, folder: Path, split: str = "test") -> None:
        run = find_run(folder)
        self.model = FinishedModel(load_model(run, read_config(run)), device="cpu")
        self.pool: EmbeddingPool = kept_pool(run, self.model.model, split)
        if len(self.pool.names) < 2:
            raise RunError(f"{run.pool(split)}: holds one recording alone; take a run that was tested on more")

    def scores(self, texts: Sequence[str]) -> Scores:
        """Of texts (Q) and the pool's recordings (N)."""
        text: Tensor = self.model.encode_text(texts, output="torch")
        return scores_of(EmbeddingPool.of_texts(self.pool.audio, [], text, [], torch.arange(0), self.pool.gates))

    def matrix(self, texts: Sequence[str]) -> npt.NDArray[np.float64]:
        """The same (Q, N) as a matrix."""
        scores = self.scores(texts)
        return scores.block(slice(0, scores.queries), slice(0, scores.items)).double().numpy()

    def own(self, texts: Sequence[str]) -> npt.NDArray[np.int64]:
        """The row (Q,) of the recording that each text is a caption of, the first one; -1: of none."""
        rows: dict[str, int] = {}
        for caption, row in zip(self.pool.captions, self.pool.caption_audio.tolist(), strict=True):
            rows.setdefault(caption.strip(), row)
        return np.array([rows.get(text, -1) for text in texts], dtype=np.int64)
