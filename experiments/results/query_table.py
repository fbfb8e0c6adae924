"""Per-query tables of a pool that is judged anew, without the model and the data that it came from."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from common.atomic_files import replacing
from common.errors import RunError
from evaluation.embedding_pool import JudgedPool


def pool_tables(pool: JudgedPool) -> dict[str, pa.Table]:
    """The per-query tables of both directions, by "text_to_audio" and "audio_to_text".

    Ids are running numbers over the recordings by name, and over the captions by recording, then by text. So they are
    the same for all runs whose pools hold the same recordings, in whatever order.
    """
    pool = in_order(pool)
    results: dict[str, Any] = pool.judge()
    described = pool.caption_audio.tolist()
    clips, captions = range(len(pool.names)), range(len(pool.captions))
    captions_of: list[list[int]] = [[] for _ in clips]
    for caption, clip in zip(captions, described, strict=True):
        captions_of[clip].append(caption)
    said, heard = (captions, pool.captions, described), (clips, pool.names, clips)  # ids, texts, recordings
    rows: dict[str, tuple[Any, ...]] = {
        "text_to_audio": (*said, *heard[:2], [[clip] for clip in described]),
        "audio_to_text": (*heard, *said[:2], captions_of),
    }
    return {direction: query_table(direction, results[direction], *columns) for direction, columns in rows.items()}


def in_order(pool: JudgedPool) -> JudgedPool:
    """The same pool with recordings by name, and captions by recording, then by text."""
    clips = sorted(range(len(pool.names)), key=pool.names.__getitem__)
    place = torch.empty(len(clips), dtype=torch.int64)
    place[clips] = torch.arange(len(clips))  # (A,), new row of each recording
    described = place[pool.caption_audio]  # (C,)
    rows = described.tolist()
    captions = sorted(range(len(pool.captions)), key=lambda row: (rows[row], pool.captions[row]))
    return JudgedPool(
        pool.audio[clips],
        [pool.names[row] for row in clips],
        pool.text[captions],
        [pool.captions[row] for row in captions],
        described[captions],
    )


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
        pq.write_table(table, beside, write_page_checksum=True)


def read_queries(path: Path) -> pa.Table:
    """The table that `write_queries` wrote.

    Raises:
        RunError: there is none, or it cannot be read.
    """
    if not path.is_file():
        raise RunError(f"{path}: no per-query results; run `python train.py test` for this run first")
    try:
        return pq.read_table(path, page_checksum_verification=True)
    except (pa.ArrowException, OSError) as error:
        cause = " ".join(str(error).split())
        raise RunError(f"{path}: cannot be read ({cause}); run `python train.py test` again") from error


def rows_of(table: pa.Table, direction: str) -> list[dict[str, Any]]:
    """Rows of one direction as dictionaries."""
    return [row for row in table.to_pylist() if row["direction"] == direction]


def query_tables(model: Any, table: Any) -> list[pa.Table]:
    """The per-query tables of both directions of a model's last evaluation on the split that `table` describes."""
    pool = model.pool
    audio_ids, caption_ids = pool.audio_ids.tolist(), pool.caption_ids.tolist()
    described = pool.caption_audio.cpu().numpy()
    names = dict(zip(table.audio["audio_id"].to_pylist(), table.audio["name"].to_pylist(), strict=True))
    texts = dict(zip(table.captions["caption_id"].to_pylist(), table.captions["caption"].to_pylist(), strict=True))
    audio_names, captions = [names[i] for i in audio_ids], [texts[i] for i in caption_ids]
    clip_of_caption = [audio_ids[row] for row in described]
    captions_of = [[caption_ids[i] for i in np.flatnonzero(described == row)] for row in range(len(audio_ids))]
    extra = {direction: {"nDCG@10": values.cpu().numpy()} for direction, values in model.graded.items()}
    return [
        query_table(
            "text_to_audio",
            model.results["text_to_audio"],
            caption_ids,
            captions,
            clip_of_caption,
            audio_ids,
            audio_names,
            [[clip] for clip in clip_of_caption],
            extra.get("text_to_audio"),
        ),
        query_table(
            "audio_to_text",
            model.results["audio_to_text"],
            audio_ids,
            audio_names,
            audio_ids,
            caption_ids,
            captions,
            captions_of,
            extra.get("audio_to_text"),
        ),
    ]
