"""Per-query tables of a pool that is judged anew, without the model and the data that it came from."""

from typing import Any

import pyarrow as pa
import torch

from reporting.judged_pool import JudgedPool
from reporting.query_table import query_table


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
