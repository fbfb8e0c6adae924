"""Example queries with the recordings retrieved for them, to read and to listen to."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile
import soxr
import torch

from common.directions import TEXT_TO_AUDIO
from evaluation.evaluator import Evaluation
from experiments.results.query_table import query_tables

COUNT = 15  # queries
PLACES = 5  # best recordings of each
SECONDS = 10.0
SAMPLE_RATE = 32_000  # in Hz; one that MP3 knows


def from_easy_to_hard(queries: Sequence[dict[str, Any]], count: int = COUNT) -> list[dict[str, Any]]:
    """At most `count` rows of the per-query table, at evenly spaced places between the best first rank and the worst.

    >>> [row["first_rank"] for row in from_easy_to_hard([{"first_rank": r, "query_id": r} for r in range(9)], 3)]
    [1, 4, 7]
    """
    ranked = sorted(queries, key=lambda row: (row["first_rank"], row["query_id"]))
    places = (np.arange(count) + 0.5) / count * len(ranked)  # the middle of each of `count` equal parts
    return [ranked[i] for i in np.unique(places.astype(int))]


def retrieved_clips(
    queries: Sequence[dict[str, Any]],
    clip_ids: Sequence[int],
    learned: npt.NDArray[np.floating] | None = None,
    known: npt.NDArray[np.floating] | None = None,
) -> list[dict[str, Any]]:
    """One row a query and place, the best recording first.

    Args:
        queries: Q text-to-audio rows of the per-query table.
        clip_ids: (A,) of the pool, naming the columns of the next two.
        learned: (Q, A) the run's own relevance of each recording; None: not computed.
        known: (Q, A) the true relevance of each recording; None: not known.

    Returns:
        Rows of query, own_rank (of the query's own recording), place (from 1), clip_id, file, similarity, annotated
        (whether the recording is annotated with the query), learned_relevance, known_relevance.
    """
    column = {clip: i for i, clip in enumerate(clip_ids)}

    def value(relevance: npt.NDArray[np.floating] | None, query: int, clip: int) -> float | None:
        return None if relevance is None else float(relevance[query, column[clip]])

    return [
        {
            "query": row["query"],
            "own_rank": row["first_rank"],
            "place": place + 1,
            "clip_id": clip,
            "file": row["top10_items"][place],
            "similarity": row["top10_scores"][place],
            "annotated": clip in row["relevant_ids"],
            "learned_relevance": value(learned, number, clip),
            "known_relevance": value(known, number, clip),
        }
        for number, row in enumerate(queries)
        for place, clip in enumerate(row["top10_ids"][:PLACES])
    ]


@torch.no_grad()
def example_rows(
    evaluation: Evaluation, relevance: Any | None, known: npt.NDArray[np.floating] | None
) -> list[dict[str, Any]]:
    """Rows of `retrieved_clips` for queries of an evaluation of a whole split, whose pool has names.

    Learned relevance is that of the recording's caption most similar to the query.

    Args:
        evaluation: of the split.
        relevance: the model's, by caption ids; None where it has not been prepared, as in a `test` of its own.
        known: (A, A) relevance between the split's recordings, in order of ids.
    """
    queries = from_easy_to_hard(query_tables(evaluation)[TEXT_TO_AUDIO].to_pylist())
    pool = evaluation.pool
    clip_ids = pool.audio_ids.tolist()
    learned = None
    if relevance is not None:
        query_ids = torch.tensor([row["query_id"] for row in queries], device=pool.caption_ids.device)
        by_caption = relevance(query_ids, pool.caption_ids).float()  # (Q, C)
        by_clip = by_caption.new_zeros(len(queries), len(clip_ids))  # (Q, A)
        by_clip.scatter_reduce_(1, pool.caption_audio.expand(len(queries), -1), by_caption, "amax")
        learned = by_clip.cpu().numpy()
    if known is not None:
        row_of = {clip: row for row, clip in enumerate(clip_ids)}
        known = np.asarray(known)[[row_of[row["clip_id"]] for row in queries]]  # (Q, A)
    return retrieved_clips(queries, clip_ids, learned, known)


def write_excerpt(source: Path, target: Path) -> None:
    """Write the first ten seconds of an audio file as MP3 in mono, about 60 kB that every browser plays.

    Raises:
        OSError, soundfile.SoundFileError: `source` cannot be read.
    """
    with soundfile.SoundFile(source) as file:
        samples = file.read(int(SECONDS * file.samplerate), dtype="float32", always_2d=True).mean(axis=1)  # (T,)
        samples = soxr.resample(samples, file.samplerate, SAMPLE_RATE)
    soundfile.write(target, samples, SAMPLE_RATE, format="MP3")
