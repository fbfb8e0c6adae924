"""A finished run's rank of the targets of composed queries, from the embeddings that its test left."""

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from common.errors import DataError, ModelError
from common.text import first_of
from datamodules.composed_queries import ComposedQuery
from datamodules.origins import video_id
from evaluation.composed_queries import composed_metrics
from experiments.run_folder import find_run
from retrieval.open_model import load_run
from retrieval.run_model import kept_pool

log = logging.getLogger(__name__)


class Composed(NamedTuple):
    """Metrics of composed queries, and those of chance, at one weight of the recording."""

    weight: float
    metrics: dict[str, float]
    chance: dict[str, float]


def rank_composed(run: Path, queries: Sequence[ComposedQuery], weights: Sequence[float], split: str) -> list[Composed]:
    """Rank the recordings of a run's split for composed queries, once for each weight.

    The query's own recording is left out of its ranking. Queries whose recordings are not in the pool are left out,
    with a warning.

    Args:
        run: a finished run's folder, which `python train.py test` (or `validate`) left the embeddings of a split in.
        queries: what is asked.
        weights: of the recording beside the words, each from 0 to 1.
        split: "test" or "validation".

    Raises:
        RunError: the run is not finished or holds no such embeddings.
        ModelError: it has no unit vectors that recordings and texts can be added as.
        DataError: none of the queries is of the pool's recordings.
    """
    folder = find_run(run)
    finished = load_run(run)
    pool = kept_pool(folder, finished.model, split)
    if not finished.model.matcher.unit_length or pool.audio.ndim != 2:
        raise ModelError(
            f"{run}: its matcher {type(finished.model.matcher).__name__} gives no cosines of unit vectors, so a "
            "recording and words cannot be added; take a run with the matcher Cosine"
        )
    rows = rows_called((name for query in queries for name in query[:2]), pool.names)
    known = [query for query in queries if rows.keys() >= {query.clip, query.target}]
    if not known:
        raise DataError(
            f"{run}: its {split} split holds the recordings of none of the {len(queries)} queries (for instance "
            f"'{queries[0].clip}'; it has {first_of(pool.names, 2)}); give queries of this data set and split"
        )
    if len(known) < len(queries):
        gone = len(queries) - len(known)
        log.warning("%d of %d queries are left out: their recordings are not in the pool", gone, len(queries))
    own, target = (np.array([rows[query[side]] for query in known]) for side in (0, 1))
    text = finished.encode_text([query.text for query in known], output="torch")
    return [Composed(weight, *composed_metrics(pool.audio, text, own, target, weight)) for weight in weights]


def rows_called(wanted: Iterable[str], names: Sequence[str]) -> dict[str, int]:
    """The rows of recordings that files of queries call so: by their name, with another audio ending or none, or by
    the id of a YouTube video, where it is that of one recording alone.

    >>> rows_called(["Yr1nicOVtvkQ.wav", "rain.wav", "x"], ["r1nicOVtvkQ_130", "rain.flac"])
    {'Yr1nicOVtvkQ.wav': 0, 'rain.wav': 1}
    """
    exact = {name: row for row, name in enumerate(names)}
    spelled = [(form, row) for row, name in enumerate(names) for form in {Path(name).stem, video_id(name)}]
    often = Counter(form for form, _ in spelled)
    known = {**{form: row for form, row in spelled if often[form] == 1}, **exact}
    found: dict[str, int] = {}
    for name in dict.fromkeys(wanted):
        form = next((form for form in (name, Path(name).stem, video_id(name)) if form in known), None)
        if form is not None:
            found[name] = known[form]
    return found
