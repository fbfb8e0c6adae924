"""A model and the recordings it ranks: from words, an example recording, or both, to a ranking."""

import functools
import hashlib
import tempfile
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from common.errors import DataError, RunError
from common.text import one_line
from datamodules.audio import read_info
from evaluation.ranks import score_blocks
from evaluation.scores import EmbeddingScores
from lightning_modules.dual_encoder import DualEncoder
from retrieval.long_texts import warn_of_cut
from retrieval.search_folder import embed_windows, windows_of
from retrieval.search_store import Windows, as_tensor
from retrieval.vector_search import VectorSearch

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
MINUS = 0.5  # of an unwanted text's vector is taken away; as much as all of it would leave its opposite
KEPT_EXAMPLES = 64  # of recordings that were given as examples
LONGEST_EXAMPLE = 600.0  # s


class Hit(NamedTuple):
    """A recording that was found: its rank from 1, similarity to the query, name, file, length, and its best window.

    `path` and `seconds` are None where the file is not here. The window is from `start` to `end` s; None: the whole
    recording.
    """

    rank: int
    similarity: float
    name: str
    path: Path | None
    seconds: float | None
    start: float | None = None
    end: float | None = None


@dataclass(frozen=True)
class Query:
    """What is searched for.

    Args:
        text: what to hear, in words.
        like: an example: name of a recording in the index, or what `SearchIndex.add_example` gave.
        minus: what not to hear, in words.
        weight: of the example beside the text, from 0 (the text alone) to 1.
        folder: only recordings in this folder of those that are searched, at any depth.
        shortest, longest: only recordings of such lengths, in s.
    """

    text: str = ""
    like: str = ""
    minus: str = ""
    weight: float = 0.5
    folder: str = ""
    shortest: float = 0.0
    longest: float | None = None


@dataclass
class Recordings:
    """What is searched.

    Args:
        source: where it is from, for people.
        names: A names, the windows of a recording one after the other in `vectors`.
        paths, seconds: files and lengths in s (None: not here).
        vectors: what the model embeds of V windows (V, ...).
        counts: windows of each recording (A,) int64; None: one each.
        starts: of each window in s (V,); None: 0.
        window: the longest a window can be, in s; None: recordings are whole.
        file: of the index, beside which FAISS' is kept; None: it is made each time.
    """

    source: str
    names: list[str]
    paths: list[Path | None]
    seconds: list[float | None]
    vectors: Floats
    counts: Ints | None = None
    starts: npt.NDArray[np.float64] | None = None
    window: float | None = None
    file: Path | None = None
    owner: Ints = field(init=False)
    row: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        counts = np.ones(len(self.names), np.int64) if self.counts is None else self.counts
        self.owner = np.repeat(np.arange(len(self.names)), counts)  # (V,) recording of each window
        self.starts = np.zeros(len(self.owner)) if self.starts is None else self.starts
        self.row = {name: row for row, name in enumerate(self.names)}

    def folders(self) -> list[str]:
        """All folders that recordings are in, at any depth."""
        found = {parent.as_posix() for name in self.names for parent in Path(name).parents}
        return sorted(found - {"."})


class SearchIndex:
    """A model and the recordings it ranks.

    Args:
        model: embeds texts and examples.
        recordings: embedded by it.
    """

    def __init__(self, model: DualEncoder, recordings: Recordings) -> None:
        self.model, self.recordings = model, recordings
        self._lock = threading.Lock()  # the page asks from several threads
        self._examples: OrderedDict[str, tuple[str, Floats]] = OrderedDict()
        pool = as_tensor(recordings.vectors)
        one = model.matcher.pool_scores(self._embedded("a sound"), pool[:1])
        self.vectors = (
            VectorSearch(recordings.vectors, file=recordings.file) if isinstance(one, EmbeddingScores) else None
        )
        self.mask = functools.lru_cache(maxsize=32)(self._mask)

    def search(self, query: str | Query, top: int, offset: int = 0) -> list[Hit]:
        """The `top` recordings that fit a query best, after the first `offset`; ranked by their best window.

        Of equal ones the first is first. Where matchers compare one vector each, similarity is the cosine.

        Raises:
            RunError: the query is empty, or asks for what is not there.
        """
        query = Query(query) if isinstance(query, str) else query
        if not (query.text.strip() or query.like):
            raise RunError("the query is empty; say in words what you want to hear")
        rows = self._rows(query)
        if len(rows) == 0:
            return []
        whole = len(rows) == len(self.recordings.owner)
        for count in (top + offset, len(rows)):
            found, values = self._scored(query, count, None if whole else rows)
            order = np.lexsort((found, -values))
            _, first = np.unique(self.recordings.owner[found[order]], return_index=True)
            best = order[np.sort(first)]  # each recording's best window, best first
            if len(best) >= top + offset or len(found) == len(rows):
                break
        chosen = best[offset : offset + top]
        return [
            self._hit(offset + i, int(row), float(value))
            for i, (row, value) in enumerate(zip(found[chosen], values[chosen], strict=True), 1)
        ]

    def count(self, query: Query) -> int:
        """How many recordings a query ranks, after its filters."""
        return len(np.unique(self.recordings.owner[self._rows(query)]))

    def add_example(self, content: bytes, name: str) -> str:
        """Embed a recording that is no part of the index; what `Query.like` calls it.

        Raises:
            DataError: it is no audio that can be read, or longer than ten minutes.
            RunError: the model compares no recordings with each other.
        """
        self._check_examples()
        key = f"example:{hashlib.sha256(content).hexdigest()[:16]}"
        if key in self._examples:
            return key
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"example{Path(name).suffix if Path(name).suffix.isascii() else ''}"[:40]
            path.write_bytes(content)
            try:
                info = read_info(path)
                if info.frames / info.sample_rate > LONGEST_EXAMPLE:
                    raise DataError(f"is longer than {LONGEST_EXAMPLE / 60:.0f} minutes; cut it")
                windows = windows_of("example", path, info, self.recordings.window)
                with self._lock:
                    found = [
                        vectors for _, vectors in embed_windows(self.model, windows, self.recordings.window, 16, 0)
                    ]
            except DataError as error:
                raise DataError(one_line(error).replace(f"{path}: ", "").partition(";")[0]) from error
        if not found:
            raise DataError("cannot be decoded")
        self._examples[key] = (name, _unit(np.concatenate(found).mean(axis=0)))
        while len(self._examples) > KEPT_EXAMPLES:
            self._examples.popitem(last=False)
        return key

    def about(self) -> dict[str, Any]:
        """What is held, for people: counts, hours, window, and how it is searched."""
        found = self.recordings
        return {
            "source": found.source,
            "recordings": len(found.names),
            "windows": len(found.owner),
            "window": found.window,
            "hours": sum(seconds or 0.0 for seconds in found.seconds) / 3600,
            "megabytes": found.vectors.nbytes / 1e6,
            "search": "inverted file, scored exactly" if self.vectors and self.vectors.approximate else "exact",
            "folders": found.folders(),
            "examples": self.vectors is not None,
        }

    def _scored(self, query: Query, count: int, rows: Ints | None) -> tuple[Ints, Floats]:
        if self.vectors is not None:
            return self.vectors.nearest(self._vector(query), count, rows)
        if query.like:
            self._check_examples()
        values = self._function_scores(query.text, rows)
        if query.minus.strip():
            values = values - MINUS * self._function_scores(query.minus, rows)
        return np.arange(len(self.recordings.owner)) if rows is None else rows, values

    def _function_scores(self, text: str, rows: Ints | None) -> Floats:
        vectors = self.recordings.vectors if rows is None else self.recordings.vectors[rows]
        with torch.inference_mode():
            scores = self.model.matcher.pool_scores(self._embedded(text), as_tensor(vectors))
            values: Floats = next(score_blocks(scores))[1][0, : len(vectors)].numpy().copy()
        return values

    def _vector(self, query: Query) -> Floats:
        """The unit vector (D,) of a query."""
        parts: list[tuple[float, Floats]] = []
        weight = min(max(query.weight, 0.0), 1.0) if query.text.strip() else 1.0
        if query.like:
            parts.append((weight, self._example(query.like)))
        if query.text.strip():
            parts.append((1 - weight if query.like else 1.0, self._embedded(query.text)[0].numpy()))
        if query.minus.strip():
            parts.append((-MINUS, self._embedded(query.minus)[0].numpy()))
        return _unit(np.sum([factor * vector for factor, vector in parts], axis=0, dtype=np.float32))

    def _example(self, like: str) -> Floats:
        if like in self._examples:
            self._examples.move_to_end(like)
            return self._examples[like][1]
        if like not in self.recordings.row:
            what = (
                "the example is not kept any more; drop the file again"
                if like.startswith("example:")
                else (f"there is no recording '{like}' to search by")
            )
            raise RunError(what)
        row = self.recordings.row[like]
        first, last = np.searchsorted(self.recordings.owner, (row, row + 1))
        return _unit(self.recordings.vectors[first:last].mean(axis=0))

    def _embedded(self, text: str) -> torch.Tensor:
        with self._lock, torch.inference_mode():
            warn_of_cut(self.model, [text.strip()])
            return self.model.embed_text([text.strip()]).cpu()  # (1, ...)

    def _check_examples(self) -> None:
        if self.vectors is None:
            matcher = type(self.model.matcher).__name__
            raise RunError(f"{matcher} compares texts with recordings only, not two recordings; search by words")

    def _rows(self, query: Query) -> Ints:
        """Windows that may be found."""
        mask = self.mask(query.folder, query.shortest, query.longest)
        if query.like in self.recordings.row:  # it would find itself
            mask = mask.copy()
            mask[self.recordings.row[query.like]] = False
        return np.flatnonzero(mask[self.recordings.owner])

    def _mask(self, folder: str, shortest: float, longest: float | None) -> npt.NDArray[np.bool_]:
        found = self.recordings
        begin = f"{folder.rstrip('/')}/" if folder else ""
        mask = np.array([name.startswith(begin) for name in found.names], bool)
        if shortest > 0 or longest is not None:
            seconds = np.array([np.nan if length is None else length for length in found.seconds])
            mask &= (seconds >= shortest) & (seconds <= (np.inf if longest is None else longest))
        return mask

    def _hit(self, rank: int, window: int, similarity: float) -> Hit:
        found, row = self.recordings, int(self.recordings.owner[window])
        assert found.starts is not None
        start = end = None
        if found.counts is not None and found.counts[row] > 1 and found.window is not None:
            start = float(found.starts[window])
            end = start + found.window
        return Hit(rank, similarity, found.names[row], found.paths[row], found.seconds[row], start, end)


def recordings_of(windows: Windows, root: Path, file: Path | None = None) -> Recordings:
    """What an index's file holds, as it is searched."""
    counts = windows.table["windows"].to_numpy()
    numbers = windows.table["name"].combine_chunks().dictionary_encode().indices.to_numpy()  # (V,) recording
    first = np.flatnonzero(np.diff(numbers.astype(np.int64), prepend=-1))
    names = windows.table["name"].take(first).to_pylist()
    return Recordings(
        source=str(root),
        names=names,
        paths=[root.expanduser().resolve() / name for name in names],
        seconds=windows.table["seconds"].take(first).to_pylist(),
        vectors=windows.vectors,
        counts=counts[first].astype(np.int64),
        starts=windows.table["start"].to_numpy(),
        window=None if windows.facts["window"] == "None" else float(windows.facts["window"]),
        file=None if file is None else file.with_name(f"{file.stem.replace('.', '_')}.{windows.facts['id']}.faiss"),
    )


def _unit(vector: Floats) -> Floats:
    return vector / max(float(np.linalg.norm(vector)), 1e-12)
