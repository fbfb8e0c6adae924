"""Per-query results of a tiny run, recomputed from its embeddings; files that cannot be read."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from common.directions import DIRECTIONS
from common.errors import RunError
from experiments.figures.run import draw_run
from experiments.results.query_table import read_queries, rows_of
from experiments.run_folder import RunFolder
from tests.support.tabled import STAGES, Tabled


def of_ranks(ranks: list[int]) -> dict[str, float]:
    """All metrics of one query from the ranks of its relevant items."""
    ranks = sorted(ranks)
    precisions = [(i + 1) / rank for i, rank in enumerate(ranks) if rank <= 10]
    return {
        "AP@10": sum(precisions) / max(len(precisions), 1),
        "AP@10_all": sum(precisions) / len(ranks),
        **{f"R@{k}": sum(rank <= k for rank in ranks) / len(ranks) for k in (1, 5, 10, 50)},
        **{f"hit@{k}": float(ranks[0] <= k) for k in (1, 5, 10, 50)},
        "first_rank": float(ranks[0]),
        "tied": 0.0,
    }


@pytest.mark.parametrize("split", STAGES)
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_every_row_follows_from_the_embeddings(run: Any, split: str, direction: str) -> None:
    folder, models = run
    model, data = models[split], Tabled()
    audio_ids = list(data.audio_ids[split])
    caption_ids = [i for i, audio in enumerate(data.audio_of) if audio in audio_ids]
    clip = {("text_to_audio", i): data.audio_of[i] for i in caption_ids}
    clip |= {("audio_to_text", audio): audio for audio in audio_ids}
    scores = (model.evaluation.pool.text @ model.evaluation.pool.audio.T).numpy()
    item_ids, items = audio_ids, [f"{audio}.wav" for audio in audio_ids]
    query_ids, queries = caption_ids, [data.captions[i] for i in caption_ids]
    if direction == "audio_to_text":
        scores, query_ids, queries, item_ids, items = scores.T, item_ids, items, query_ids, queries
    rows = rows_of(read_queries(folder.queries(split)), direction)
    assert [row["query_id"] for row in rows] == query_ids
    for query, (row, line) in enumerate(zip(rows, scores, strict=True)):
        mine = clip[direction, query_ids[query]]
        relevant = [mine] if direction == "text_to_audio" else data.captions_of(mine)
        best = np.argsort(-line)[:10]
        expected: dict[str, Any] = of_ranks([1 + int((line > line[item_ids.index(i)]).sum()) for i in relevant])
        expected |= {"direction": direction, "query_id": query_ids[query], "query": queries[query], "clip_id": mine}
        expected |= {"pool_size": len(items), "relevant_ids": relevant}
        expected |= {"top10_ids": [item_ids[i] for i in best], "top10_items": [items[i] for i in best]}
        assert row.pop("nDCG@10") == model.evaluation.rankings[direction].further["nDCG@10"][query]
        assert row.pop("top10_scores") == pytest.approx(line[best], abs=1e-6)
        metrics = {name: row.pop(name) for name in of_ranks([1])}
        assert metrics == pytest.approx({name: expected.pop(name) for name in metrics})
        assert row == expected


def test_the_parquet_file_names_its_split_and_manifest(run: Any) -> None:
    for split in STAGES:
        metadata = pq.read_schema(run[0].queries(split)).metadata
        assert metadata[b"split"].decode() == split
        assert metadata[b"manifest_sha256"].decode() == Tabled().tables[split].manifest()["sha256"]


@pytest.mark.parametrize("damage", ["empty", "text", "cut", "footer", "pages"])
def test_results_that_cannot_be_read_are_refused_in_one_line(run: Any, tmp_path: Path, damage: str) -> None:
    content = run[0].queries("test").read_bytes()
    footer = int.from_bytes(content[-8:-4], "little")
    damaged = {
        "empty": b"",
        "text": b"direction,query\n",
        "cut": content[:-100],
        "footer": content[: -8 - footer] + bytes(footer) + content[-8:],
        "pages": content[:4] + b"\xff" * (len(content) - footer - 12) + content[-8 - footer :],
    }
    path = tmp_path / "queries_test.parquet"
    path.write_bytes(damaged[damage])
    with pytest.raises(RunError) as caught:
        read_queries(path)
    message = str(caught.value)
    assert re.fullmatch(rf"{path}: cannot be read \(.+\); run `python train\.py test` again", message)


def test_missing_results_name_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"queries_test\.parquet: no per-query results; run `python train\.py test` for"):
        draw_run(RunFolder(tmp_path))
    assert not list(tmp_path.iterdir())


def test_a_comparison_is_imported_without_torch() -> None:
    code = "import sys, experiments.comparison.report; print({'torch', 'lightning', 'matplotlib'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"
