"""The pool: every recording and caption of a split, embedded once."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from common.errors import RunError
from evaluation.ranking import RankingResult, retrieval_metrics


class Pool:
    """Embeddings of a whole split, in order of ids, without repeats.

    Attributes:
        audio: (A, D) float32; audio_ids: (A,) int64.
        text: (C, D) float32; caption_ids: (C,) int64; caption_audio: (C,) int64, the row of `audio` described.
    """

    # Neither a tuple nor a dataclass: of those torchmetrics would turn each (1,) tensor into a scalar.
    def __init__(
        self, audio: Tensor, audio_ids: Tensor, text: Tensor, caption_ids: Tensor, caption_audio: Tensor
    ) -> None:
        self.audio = audio
        self.audio_ids = audio_ids
        self.text = text
        self.caption_ids = caption_ids
        self.caption_audio = caption_audio


def batches_of_captions(pool: Pool, size: int) -> Iterator[Tensor]:
    """Rows of the pool's captions, at most `size` at a time: all recordings' first captions, then all second ones, ...

    So a batch pairs each of its recordings with one caption, as in training.
    """
    slots = caption_slots(pool.caption_audio.cpu().numpy())
    for slot in range(int(slots.max()) + 1):
        rows = torch.from_numpy(np.flatnonzero(slots == slot)).to(pool.audio.device)
        yield from rows.split(size)


def caption_slots(caption_audio: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """How many captions of the same recording stand before each caption: (C,) of (C,) rows in any order.

    >>> caption_slots(np.array([0, 0, 1, 0, 1]))
    array([0, 1, 0, 2, 1])
    """
    order = np.argsort(caption_audio, kind="stable")
    ordered = caption_audio[order]
    starts = np.searchsorted(ordered, ordered)
    slots = np.empty_like(order)
    slots[order] = np.arange(len(order)) - starts
    return slots


class JudgedPool(NamedTuple):
    """Recordings and captions of a split as a model saw them.

    Attributes:
        audio: (A, D) float32 unit vectors; names: A file names, all different.
        text: (C, D) float32 unit vectors; captions: C sentences; caption_audio: (C,) int64, the row of `audio`
            that each caption describes.
    """

    audio: Tensor
    names: list[str]
    text: Tensor
    captions: list[str]
    caption_audio: Tensor

    def judge(self) -> dict[str, RankingResult]:
        """Both directions over the whole pool."""
        rows = torch.arange(len(self.text))
        return {
            "text_to_audio": retrieval_metrics(self.text, self.audio, rows, self.caption_audio),
            "audio_to_text": retrieval_metrics(self.audio, self.text, self.caption_audio, rows),
        }

    def only(self, names: set[str]) -> "JudgedPool":
        """The recordings called so, in their order, and their captions."""
        kept = torch.tensor([name in names for name in self.names], dtype=torch.bool)  # (A,)
        new_row = torch.cumsum(kept, 0) - 1  # (A,)
        described = kept[self.caption_audio]  # (C,)
        return JudgedPool(
            self.audio[kept],
            [name for name in self.names if name in names],
            self.text[described],
            [caption for caption, is_kept in zip(self.captions, described.tolist(), strict=True) if is_kept],
            new_row[self.caption_audio[described]],
        )


def on_common_recordings(pools: Sequence[JudgedPool]) -> list[JudgedPool]:
    """Each pool with the recordings that all of them have.

    Raises:
        RunError: there are none, or captions of the same recording differ.
    """
    names = set.intersection(*(set(pool.names) for pool in pools))
    if not names:
        raise RunError("the runs have no test recording in common: they were judged on different data")
    common = [pool.only(names) for pool in pools]
    said = [_captions_by_name(pool) for pool in common]
    for other in said[1:]:
        if differing := sorted(name for name in names if said[0][name] != other[name]):
            raise RunError(f"captions of '{differing[0]}' differ between the runs: they were judged on different data")
    return common


def _captions_by_name(pool: JudgedPool) -> dict[str, list[str]]:
    said: dict[str, list[str]] = {name: [] for name in pool.names}
    for caption, row in zip(pool.captions, np.asarray(pool.caption_audio).tolist(), strict=True):
        said[pool.names[row]].append(caption)
    return {name: sorted(captions) for name, captions in said.items()}
