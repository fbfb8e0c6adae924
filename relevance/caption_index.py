"""The captions most like each caption, of other recordings: exact search, or by an inverted file for many captions.

The search is that of FAISS (Douze et al. 2024, "The Faiss library"), imported only here: the extra `neighbours`.
"""

import hashlib
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from rich.progress import track

from common.errors import RelevanceError

Ints = npt.NDArray[np.int64]
EXACT_BELOW = 100_000  # different texts; AudioCaps and Clotho are searched exactly, WavCaps is not
NPROBE = 64  # lists looked into, of 4 sqrt(texts) lists; for the recall see docs/neighbours.md
TRAINING_ROWS = 64  # for each list's centre
BLOCK = 4096  # captions turned to float32 and searched at a time


class Neighbours(NamedTuple):
    """Captions by falling similarity: ids (Q, k) int64 and cosine similarity h (Q, k) float32.

    Where there are fewer than k, ids end in -1 and similarities in -inf.
    """

    ids: Ints
    similarity: npt.NDArray[np.float32]


class CaptionIndex:
    """The different texts among captions, to be searched by embedding.

    Rows of `table` that are equal are one text. Of a search for a caption its own text and the texts that only its own
    recording has are left out, and each other text is named once: by its caption with the smallest id that is of
    another recording. Equal similarities are in the order of ids; which of those that are equal at the k-th place are
    named, FAISS decides, each time the same. Fewer than `EXACT_BELOW` texts are each compared with all; of more, FAISS'
    inverted file is made, whose lists are the cells of a k-means of a sample, and `NPROBE` lists are looked into.

    Args:
        table: (C, D) unit-length embeddings; may be float16 and memory-mapped.
        audio_of_caption: (C,) recording of each caption.
        captions: ids that may be found.
        progress: whether to show a bar.

    Raises:
        RelevanceError: shapes that do not fit, no captions, or FAISS is not installed.

    >>> table = np.eye(4, dtype=np.float32)[[0, 0, 1, 2]]
    >>> CaptionIndex(table, np.array([0, 1, 1, 2]), np.arange(4)).of_captions(np.arange(4), 2).ids.tolist()
    [[2, 3], [3, -1], [0, 3], [0, 2]]
    """

    def __init__(
        self,
        table: npt.NDArray[np.floating],
        audio_of_caption: Ints,
        captions: Ints,
        *,
        progress: bool = False,
    ) -> None:
        if table.ndim != 2 or audio_of_caption.shape != table.shape[:1]:
            raise RelevanceError(
                f"neighbours: a table {table.shape} and recordings {audio_of_caption.shape} do not belong together; "
                "give one recording for each row"
            )
        if not len(captions):
            raise RelevanceError("neighbours: there are no captions to search")
        self.table = table
        self.progress = progress
        self.audio = audio_of_caption
        captions = np.sort(captions)
        text = _numbered_texts(table, captions, progress)  # (N,)
        self._text_of = np.full(len(table), -1)
        self._text_of[captions] = text
        self._first, self._other = _representatives(captions, text, audio_of_caption)  # (T,) each
        # Texts of one recording: so many more have to be asked for, as they may all be left out.
        pairs = np.unique(np.stack([audio_of_caption[captions], text]), axis=1)  # (2, different pairs)
        self._spare = int(np.bincount(np.unique(pairs[0], return_inverse=True)[1]).max())
        self.exact = len(self._first) < EXACT_BELOW
        self._index = self._flat() if self.exact else self._inverted_file()

    def of_captions(self, captions: Ints, k: int) -> Neighbours:
        """The neighbours (Q, k) of captions in the index, with other words and of other recordings."""
        ids = np.empty((len(captions), k), dtype=np.int64)
        similarity = np.empty((len(captions), k), dtype=np.float32)
        for start in _blocks(len(captions), "searching captions", self.progress):
            block = slice(start, start + BLOCK)
            own = captions[block]
            ids[block], similarity[block] = self._search(self.table[own], k, self._text_of[own], self.audio[own])
        return Neighbours(ids, similarity)

    def of_embeddings(self, embeddings: npt.NDArray[np.floating], k: int) -> Neighbours:
        """The neighbours (Q, k) of unit-length embeddings (Q, D), each text once."""
        nothing = np.full(len(embeddings), -1)
        return self._search(embeddings, k, nothing, nothing)

    def _search(self, embeddings: npt.NDArray[np.floating], k: int, own_text: Ints, own_audio: Ints) -> Neighbours:
        wanted = min(k + self._spare, len(self._first))
        similarity, text = self._index.search(np.ascontiguousarray(embeddings, dtype=np.float32), wanted)  # (Q, K)
        ids = np.where(self.audio[self._first[text]] != own_audio[:, None], self._first[text], self._other[text])
        ids[(text < 0) | (text == own_text[:, None])] = -1
        similarity = np.where(ids < 0, -np.inf, similarity.clip(-1, 1)).astype(np.float32)
        order = np.lexsort((ids, -similarity))[:, :k]
        ids, similarity = (np.take_along_axis(values, order, axis=1) for values in (ids, similarity))
        absent = ((0, 0), (0, k - ids.shape[1]))
        return Neighbours(np.pad(ids, absent, constant_values=-1), np.pad(similarity, absent, constant_values=-np.inf))

    def _flat(self) -> Any:
        index = _faiss().IndexFlatIP(self.table.shape[1])
        self._add(index)
        return index

    def _inverted_file(self) -> Any:
        faiss, dim = _faiss(), self.table.shape[1]
        lists = min(round(4 * len(self._first) ** 0.5), len(self._first))
        index = faiss.IndexIVFFlat(faiss.IndexFlatIP(dim), dim, lists, faiss.METRIC_INNER_PRODUCT)
        sample = min(TRAINING_ROWS * lists, len(self._first))
        rows = np.random.default_rng(0).choice(self._first, sample, replace=False, shuffle=False)
        index.cp.min_points_per_centroid = 1  # it would only warn
        index.train(np.asarray(self.table[np.sort(rows)], dtype=np.float32))
        index.nprobe = NPROBE
        self._add(index)
        return index

    def _add(self, index: Any) -> None:
        for start in _blocks(len(self._first), "indexing captions", self.progress):
            index.add(np.asarray(self.table[self._first[start : start + BLOCK]], dtype=np.float32))


def _numbered_texts(table: npt.NDArray[np.floating], captions: Ints, progress: bool) -> Ints:
    """(N,) of each caption, the number of its text, in the order of their first captions; equal rows are one text."""
    numbers: dict[bytes, int] = {}
    text = np.empty(len(captions), dtype=np.int64)
    for start in _blocks(len(captions), "comparing captions", progress):
        rows = np.ascontiguousarray(table[captions[start : start + BLOCK]])
        for place, row in enumerate(rows, start):
            text[place] = numbers.setdefault(hashlib.blake2b(row, digest_size=16).digest(), len(numbers))
    return text


def _representatives(captions: Ints, text: Ints, audio_of_caption: Ints) -> tuple[Ints, Ints]:
    """Of each text the first caption (T,), and the first one of another recording (T,), -1 where there is none."""
    _, first = np.unique(text, return_index=True)  # texts are numbered from 0, all there
    elsewhere = audio_of_caption[captions] != audio_of_caption[captions[first]][text]
    other = np.full(len(first), -1)
    texts, places = np.unique(text[elsewhere], return_index=True)
    other[texts] = captions[elsewhere][places]
    return captions[first], other


def _blocks(count: int, task: str, progress: bool) -> Any:
    starts = range(0, count, BLOCK)
    return track(starts, task, transient=True) if progress else starts


def _faiss() -> Any:
    try:
        import faiss
    except ImportError as error:
        raise RelevanceError(
            "the nearest captions are searched by FAISS, which is not installed; "
            "pip install 'audio-relevance[neighbours]'"
        ) from error
    return faiss
