"""Per-query results: tables of an evaluation, and the parquet file they are kept in. (Imported without torch.)"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from common.atomic_files import replacing
from common.directions import AUDIO_TO_TEXT, DIRECTIONS, TEXT_TO_AUDIO, Direction
from common.errors import RunError
from common.text import cause_of
from evaluation.metrics import KS
from experiments.run_folder import RUN_TEST

if TYPE_CHECKING:
    from evaluation.evaluator import Evaluation
    from evaluation.ranking import RankingResult


SHARES = ("AP@10", "AP@10_all", *(f"{name}@{k}" for name in ("R", "hit") for k in KS))
"""Metrics from 0 to 1."""
NEVER_NAN = ("first_rank", "tied", *SHARES)
"""Metrics that every query has."""
COLUMNS = {
    "direction": pa.string(),
    "query_id": pa.int64(),
    "query": pa.string(),
    "clip_id": pa.int64(),
    "pool_size": pa.int64(),
    "relevant_ids": pa.list_(pa.int64()),
    "first_rank": pa.float64(),
}
"""Those that a comparison needs, with their types."""


def query_tables(evaluation: Evaluation) -> dict[Direction, pa.Table]:
    """The per-query tables of both directions; the pool must have names and captions.

    A row a query: direction, query_id, query, clip_id (the recording that a query describes or is; captions of one
    recording share it), pool_size, relevant_ids, metrics, and the best items as top10_ids, top10_items, top10_scores.
    """
    pool = evaluation.pool
    audio_ids, caption_ids = pool.audio_ids.tolist(), pool.caption_ids.tolist()
    described = pool.caption_audio.tolist()
    clip_of_caption = [audio_ids[row] for row in described]
    captions_of: list[list[int]] = [[] for _ in audio_ids]
    for caption, row in zip(caption_ids, described, strict=True):
        captions_of[row].append(caption)
    said, heard = (caption_ids, pool.captions, clip_of_caption), (audio_ids, pool.names, audio_ids)
    sides: dict[Direction, tuple[Any, Any, list[list[int]]]] = {
        TEXT_TO_AUDIO: (said, heard, [[clip] for clip in clip_of_caption]),
        AUDIO_TO_TEXT: (heard, said, captions_of),
    }
    return {side: _table(side, evaluation.rankings[side], *columns) for side, columns in sides.items()}


def _table(
    direction: str,
    ranking: RankingResult,
    queries: tuple[Sequence[int], Sequence[str], Sequence[int]],
    items: tuple[Sequence[int], Sequence[str], Sequence[int]],
    relevant_ids: Sequence[Sequence[int]],
) -> pa.Table:
    """One direction's table; queries and items are ids, texts (captions or file names) and recordings."""
    query_ids, query_texts, clip_ids = queries
    best = ranking.topk_items
    ids, texts = np.asarray(items[0]), np.asarray(items[1], dtype=object)
    return pa.table(
        {
            "direction": pa.array([direction] * len(query_ids)),
            "query_id": pa.array(query_ids, pa.int64()),
            "query": pa.array(query_texts, pa.string()),
            "clip_id": pa.array(clip_ids, pa.int64()),
            "pool_size": pa.array([ranking.items] * len(query_ids), pa.int64()),
            "relevant_ids": pa.array(relevant_ids, pa.list_(pa.int64())),
            **{name: pa.array(values) for name, values in ranking.per_query.items()},
            "top10_ids": pa.array(ids[best].tolist(), pa.list_(pa.int64())),
            "top10_items": pa.array(texts[best].tolist(), pa.list_(pa.string())),
            "top10_scores": pa.array(ranking.topk_scores.tolist(), pa.list_(pa.float32())),
        }
    )


def write_queries(path: Path, tables: Mapping[Direction, pa.Table], metadata: Mapping[str, str]) -> None:
    """Write the tables of both directions into one parquet file, with facts such as the manifest's hash."""
    table = pa.concat_tables(tables.values())
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), **metadata})
    with replacing(path) as beside:
        pq.write_table(table, beside, write_page_checksum=True)


def read_queries(path: Path) -> pa.Table:
    """The table that `write_queries` wrote.

    Raises:
        RunError: there is none, or it cannot be read.
    """
    if not path.is_file():
        raise RunError(f"{path}: no per-query results; {RUN_TEST} for this run first")
    try:
        return pq.read_table(path, page_checksum_verification=True)
    except (pa.ArrowException, OSError) as error:
        raise RunError(f"{path}: cannot be read ({cause_of(error)}); {RUN_TEST} again") from error


def fault_of(table: pa.Table) -> str | None:
    """In words, what no test writes; None where it can be one that a test wrote.

    That is: a column that is missing or of another type or has gaps, a direction without queries, a query that comes
    twice in it, a built-in metric that is no number or out of its range. Metrics of one's own may be NaN, as nDCG@10 of
    a query without any gain is, but never infinite.
    """
    for name, kind in COLUMNS.items():
        if name not in table.schema.names or table.schema.field(name).type != kind:
            return f"column {name} of type {kind} is missing"
        if table[name].null_count:
            return f"column {name} has gaps"
    for direction in DIRECTIONS:
        rows = table.filter(pc.equal(table["direction"], direction))
        if not len(rows):
            return f"direction {direction} is missing"
        ids, counts = np.unique(rows["query_id"].to_numpy(), return_counts=True)
        if (counts > 1).any():
            return f"query {ids[counts.argmax()]} of {direction} comes {counts.max()} times"
        for field in (field for field in rows.schema if pa.types.is_float64(field.type)):
            values = rows[field.name].to_numpy()
            bad = np.isinf(values) | (np.isnan(values) & (field.name in NEVER_NAN))
            if field.name in SHARES:
                bad |= (values < 0) | (values > 1)
            if bad.any():
                row = int(bad.argmax())
                return f"{field.name} of query {rows['query_id'][row]} of {direction} is {values[row]}"
    return None


def rows_of(table: pa.Table, direction: str) -> list[dict[str, Any]]:
    """Rows of one direction as dictionaries."""
    return [row for row in table.to_pylist() if row["direction"] == direction]
