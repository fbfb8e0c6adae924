"""Two methods of three runs each, as their tests leave them, and what is counted plainly of their pools."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from torch.nn.functional import normalize

from cli.__main__ import main
from evaluation.embedding_pool import EmbeddingPool
from evaluation.evaluator import evaluate
from experiments.comparison.summaries import Metric
from experiments.results.pool_file import write_pool
from experiments.results.query_table import query_tables, write_queries

CAPTIONS = 3

MAP = Metric("text_to_audio", "mAP@10")

BACK = Metric("audio_to_text", "mAP@10")

NAMES = [f"{letter}.wav" for letter in "ghijklmnopqrstuvwxyzabcdef"]


def make_pool(names: Sequence[str], seed: int, signal: float) -> EmbeddingPool:
    """Captions that lie near their recordings, the nearer the higher `signal`; in another order for each seed."""
    rng = np.random.default_rng(seed)
    names = [names[i] for i in rng.permutation(len(names))]
    described = rng.permutation(CAPTIONS * len(names)) // CAPTIONS
    audio = normalize(torch.from_numpy(rng.standard_normal((len(names), 8))).float(), dim=1)
    noise = torch.from_numpy(rng.standard_normal((len(described), 8))).float()
    texts = [f"$sound$ [of] {names[row]}, {sum(described[:i] == row)} times" for i, row in enumerate(described)]
    text = normalize(signal * audio[described] + noise, dim=1)
    return EmbeddingPool.of_texts(audio, names, text, texts, torch.from_numpy(described))


def write_run(
    folder: Path,
    names: Sequence[str],
    seed: int,
    signal: float,
    *,
    split: str = "test",
    manifest: str = "one corpus",
    ndcg: bool = False,
) -> EmbeddingPool:
    pool = make_pool(names, seed, signal)
    tables = query_tables(evaluate(split, pool.in_order()))
    if ndcg:
        for side, table in tables.items():
            values = np.where(np.arange(len(table)) == 1, np.nan, table["R@5"].to_numpy())
            tables[side] = table.append_column("nDCG@10", pa.array(values))
    write_queries(folder / f"queries_{split}.parquet", tables, {"split": split, "manifest_sha256": manifest})
    write_pool(folder / f"pool_{split}.safetensors", evaluate(split, pool))
    return pool


def rewrite(file: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    """The per-query results of a run, changed."""
    table = pq.read_table(file)
    pq.write_table(change(table).replace_schema_metadata(table.schema.metadata), file)


def changed(table: pa.Table, column: str, row: int, value: object) -> pa.Table:
    values = table[column].to_pylist()
    values[row] = value
    index = table.schema.get_field_index(column)
    return table.set_column(index, column, pa.array(values, table.schema.field(column).type))


def plain_scores(pool: EmbeddingPool) -> tuple[np.ndarray, np.ndarray]:
    """Ranks and AP@10 of each caption, counted, captions by recording and text."""
    pool = pool.in_order()
    scores = (pool.text @ pool.audio.T).numpy()
    own = scores[np.arange(len(scores)), pool.caption_audio]
    ranks = 1 + (scores > own[:, None]).sum(axis=1)
    return ranks, np.where(ranks <= 10, 1 / ranks, 0)


def two_methods(folder: Path) -> Path:
    """Runs of two methods on 26 recordings, the second the better one, in `base_line` and `better`."""
    for method, signal in (("base_line", 1.0), ("better", 2.0)):
        for seed in (0, 2, 10):
            write_run(folder / method / str(seed), NAMES, 7 * seed + round(signal), signal)
    return folder


def said(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main(["compare", *(str(argument) for argument in arguments)]) == 0
    return capsys.readouterr().out
