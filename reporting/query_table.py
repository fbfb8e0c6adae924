"""The per-query table: one row a query and direction, from which every figure and test is made."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from reporting.errors import RunError
from reporting.files import replacing


class Ranking(Protocol):
    """What is needed of a ranking: its pool size, columns by metric (Q,), and the best items (Q, k)."""

    items: int
    topk_items: npt.NDArray[np.int64]
    topk_scores: npt.NDArray[np.float32]

    @property
    def per_query(self) -> dict[str, npt.NDArray[np.float64]]:
        """Metrics by name, (Q,) each."""
        ...


def query_table(
    direction: str,
    ranking: Ranking,
    query_ids: Sequence[int],
    query_texts: Sequence[str],
    clip_ids: Sequence[int],
    item_ids: Sequence[int],
    item_texts: Sequence[str],
    relevant_ids: Sequence[Sequence[int]],
    extra: Mapping[str, npt.NDArray[np.float64]] | None = None,
) -> pa.Table:
    """One row a query: direction, query_id, query, clip_id, pool_size, relevant_ids, metrics, and the best items.

    Args:
        direction: "text_to_audio" or "audio_to_text".
        ranking: of N items for Q queries.
        query_ids, query_texts: (Q,) id of each query, and its caption or file name.
        clip_ids: (Q,) recording that each query describes or is; captions of one recording share it.
        item_ids, item_texts: (N,) of the pool, in the order of the ranking's indices.
        relevant_ids: Q lists of item ids.
        extra: further metrics (Q,).
    """
    best = ranking.topk_items
    ids, texts = np.asarray(item_ids), np.asarray(item_texts, dtype=object)
    return pa.table(
        {
            "direction": pa.array([direction] * len(query_ids)),
            "query_id": pa.array(query_ids, pa.int64()),
            "query": pa.array(query_texts, pa.string()),
            "clip_id": pa.array(clip_ids, pa.int64()),
            "pool_size": pa.array([ranking.items] * len(query_ids), pa.int64()),
            "relevant_ids": pa.array(list(relevant_ids), pa.list_(pa.int64())),
            **{name: pa.array(values) for name, values in {**ranking.per_query, **(extra or {})}.items()},
            "top10_ids": pa.array(ids[best].tolist(), pa.list_(pa.int64())),
            "top10_items": pa.array(texts[best].tolist(), pa.list_(pa.string())),
            "top10_scores": pa.array(ranking.topk_scores.tolist(), pa.list_(pa.float32())),
        }
    )


def write_queries(path: Path, tables: Sequence[pa.Table], metadata: Mapping[str, str]) -> None:
    """Write the tables of both directions into one parquet file, with facts such as the manifest's hash."""
    table = pa.concat_tables(tables)
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), **metadata})
    with replacing(path) as beside:
        pq.write_table(table, beside)


def read_queries(path: Path) -> pa.Table:
    """The table that `write_queries` wrote.

    Raises:
        RunError: there is none, or it cannot be read.
    """
    if not path.is_file():
        raise RunError(f"{path}: no per-query results; run `python train.py test` for this run first")
    try:
        return pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        cause = " ".join(str(error).split())
        raise RunError(f"{path}: cannot be read ({cause}); run `python train.py test` again") from error


def rows_of(table: pa.Table, direction: str) -> list[dict[str, Any]]:
    """Rows of one direction as dictionaries."""
    return [row for row in table.to_pylist() if row["direction"] == direction]
