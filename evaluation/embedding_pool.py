"""The pool: every recording and caption of a split, embedded once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from common.errors import RunError


class EmbeddingPool:
    """Embeddings of recordings and their captions, without repeats; of a whole split in order of ids.

    Attributes:
        audio: (A, ...) float32; audio_ids: (A,) int64.
        text: (C, ...) float32; caption_ids: (C,) int64; caption_audio: (C,) int64, the row of `audio` described.
        names: A file names, all different; captions: C sentences. Both are empty where only ids are known.
        gates: how many of the last columns are gates of experts (`evaluation.gated_scores`); 0: there are none.
        relevance: (A, A) float32 in [0, 1], of recordings for each other, for nDCG@10; None where it is not known.
    """

    # Neither a tuple nor a dataclass: of those torchmetrics would turn each (1,) tensor into a scalar.
    def __init__(
        self,
        audio: Tensor,
        audio_ids: Tensor,
        text: Tensor,
        caption_ids: Tensor,
        caption_audio: Tensor,
        names: Sequence[str] = (),
        captions: Sequence[str] = (),
        gates: int = 0,
        relevance: Tensor | None = None,
    ) -> None:
        self.audio, self.audio_ids = audio, audio_ids
        self.text, self.caption_ids, self.caption_audio = text, caption_ids, caption_audio
        self.names, self.captions, self.gates = list(names), list(captions), gates
        self.relevance = relevance

    @classmethod
    def of_texts(
        cls,
        audio: Tensor,
        names: Sequence[str],
        text: Tensor,
        captions: Sequence[str],
        caption_audio: Tensor,
        gates: int = 0,
        relevance: Tensor | None = None,
    ) -> EmbeddingPool:
        """A pool known by names and captions alone; ids are its row numbers."""
        ids, caption_ids = torch.arange(len(audio)), torch.arange(len(text))
        return cls(audio, ids, text, caption_ids, caption_audio, names, captions, gates, relevance)

    def named(self, names: Mapping[int, str], captions: Mapping[int, str]) -> EmbeddingPool:
        """The same pool with file names by audio id and sentences by caption id."""
        return EmbeddingPool(
            self.audio,
            self.audio_ids,
            self.text,
            self.caption_ids,
            self.caption_audio,
            [names[i] for i in self.audio_ids.tolist()],
            [captions[i] for i in self.caption_ids.tolist()],
            self.gates,
            self.relevance,
        )

    def rows(self, clips: Sequence[int], captions: Sequence[int]) -> EmbeddingPool:
        """The recordings and captions in these rows, in this order, under new ids; every caption's recording included.

        The pool must have names.
        """
        place = torch.empty(len(self.names), dtype=torch.int64)
        place[list(clips)] = torch.arange(len(clips))  # (A,), new row of each recording
        return EmbeddingPool.of_texts(
            self.audio[list(clips)],
            [self.names[row] for row in clips],
            self.text[list(captions)],
            [self.captions[row] for row in captions],
            place[self.caption_audio[list(captions)]],
            self.gates,
            None if self.relevance is None else self.relevance[list(clips)][:, list(clips)],
        )

    def only(self, names: set[str]) -> EmbeddingPool:
        """The recordings with these names, in their order, and their captions; see `rows`."""
        kept = [name in names for name in self.names]
        described = self.caption_audio.tolist()
        captions = [row for row, clip in enumerate(described) if kept[clip]]
        return self.rows(np.flatnonzero(kept).tolist(), captions)

    def in_order(self) -> EmbeddingPool:
        """Recordings by name, and captions by recording, then by text; see `rows`.

        So ids are the same for all runs whose pools hold the same recordings.
        """
        clips = sorted(range(len(self.names)), key=self.names.__getitem__)
        place = np.argsort(clips)
        described = self.caption_audio.tolist()
        captions = sorted(range(len(described)), key=lambda row: (place[described[row]], self.captions[row]))
        return self.rows(clips, captions)


def batches_of_captions(pool: EmbeddingPool, size: int) -> Iterator[Tensor]:
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


def on_common_recordings(pools: Sequence[EmbeddingPool], split: str = "test") -> list[EmbeddingPool]:
    """Each pool with the recordings that all of them have.

    Raises:
        RunError: there are none, or captions of the same recording or what is known of their relevance differ.
    """
    names = set.intersection(*(set(pool.names) for pool in pools))
    if not names:
        raise RunError(f"the runs have no {split} recording in common: they were evaluated on different data")
    common = [pool.only(names) for pool in pools]
    said = [captions_by_name(pool) for pool in common]
    for other in said[1:]:
        if differing := sorted(name for name in names if said[0][name] != other[name]):
            raise RunError(
                f"captions of '{differing[0]}' differ between the runs: they were evaluated on different data"
            )
    known = [found for pool in common if (found := pool.in_order().relevance) is not None]
    if not all(torch.allclose(known[0], other, atol=1e-4) for other in known[1:]):
        raise RunError(
            "the known relevance of the recordings differs between the runs: they were evaluated on different data"
        )
    return common


def captions_by_name(pool: EmbeddingPool) -> dict[str, list[str]]:
    """The captions of each recording of a pool with names, in alphabetical order."""
    said: dict[str, list[str]] = {name: [] for name in pool.names}
    for caption, row in zip(pool.captions, pool.caption_audio.tolist(), strict=True):
        said[pool.names[row]].append(caption)
    return {name: sorted(captions) for name, captions in said.items()}
