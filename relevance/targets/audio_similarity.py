"""Graded relevance from recordings: what a frozen audio model embeds alike is taken to be alike."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from common.directions import TEXT_TO_AUDIO, Direction
from common.errors import RelevanceError
from common.text import cause_of
from relevance.base import Relevance
from relevance.objectives.cusa import CUSA
from relevance.scoring import Linear, Scoring
from relevance.targets.caption_similarity import caption_similarity


class AudioSimilarity(Relevance):
    """g = f(cosine similarity of two recordings' embeddings), which come from a file.

    Args:
        embeddings: npz file with `names` (A,) of recordings, as the data set names them, and `embeddings` (A, D) float.
            Each recording of the data set has to be there.
        scoring: f; default: the similarity as it is, cut to [0, 1].

    Relations: `CaptionSimilarity` compares what was said of two recordings. With `ByDirection` each is used where it is
    of the query's own modality.

    Source: the audio side of what CUSA does with images and a frozen image model.
    """

    symmetric = True
    citation, bibtex = CUSA.citation, CUSA.bibtex

    def __init__(self, embeddings: str, scoring: Scoring = Linear()) -> None:  # noqa: B008 (frozen)
        super().__init__()
        self.path = Path(embeddings).expanduser()
        self.scoring = scoring
        self._names: Sequence[str] = ()
        self._audio_of: Tensor | None = None  # (C,)
        self._table: Tensor | None = None  # (A, D)

    def name_recordings(self, names: Sequence[str]) -> None:
        """Like `Relevance.name_recordings`."""
        self._names = names

    def prepare(self, captions: Sequence[str], audio_ids: npt.NDArray[np.int64]) -> None:
        """Like `Relevance.prepare`.

        Raises:
            RelevanceError: the file cannot be used, or does not have a recording.
        """
        rows = _read(self.path)
        wanted = [self._names[audio] if audio < len(self._names) else "" for audio in range(int(audio_ids.max()) + 1)]
        if missing := [name for name in wanted if name not in rows]:
            raise RelevanceError(
                f"{self.path}: has no embedding of {len(missing)} of {len(wanted)} recordings, such as '{missing[0]}'; "
                "embed all recordings of the data set"
            )
        table = torch.from_numpy(np.stack([rows[name] for name in wanted]).astype(np.float32))
        self._table = torch.nn.functional.normalize(table, dim=1)
        self._audio_of = torch.as_tensor(audio_ids, dtype=torch.int64)

    def forward(self, query_ids: Tensor, item_ids: Tensor, direction: Direction = TEXT_TO_AUDIO) -> Tensor:
        """Like `Relevance.forward`."""
        if self._table is None or self._audio_of is None:
            raise RelevanceError("AudioSimilarity was called before prepare(): it has no embeddings")
        if self._table.device != query_ids.device:
            self._table, self._audio_of = self._table.to(query_ids.device), self._audio_of.to(query_ids.device)
        queries, items = (self._table[self._audio_of[ids]] for ids in (query_ids, item_ids))
        return self.scoring(caption_similarity(queries, items))


def _read(path: Path) -> dict[str, npt.NDArray[np.floating]]:
    """The embedding (D,) of each recording by name."""
    try:
        with np.load(path, allow_pickle=False) as file:
            names, embeddings = file["names"].tolist(), file["embeddings"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RelevanceError(
            f"{path}: cannot be read ({cause_of(error)}); give an npz file with the arrays names and embeddings"
        ) from error
    if embeddings.ndim != 2 or len(names) != len(embeddings) or not np.isfinite(embeddings).all():
        raise RelevanceError(
            f"{path}: embeddings {embeddings.shape} of {len(names)} names; give one finite row for each name"
        )
    return dict(zip(names, embeddings, strict=True))
