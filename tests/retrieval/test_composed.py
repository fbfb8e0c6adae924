"""`audio-relevance composed`: a run's ranks of the targets, from the embeddings that its test left."""

import csv
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from cli.__main__ import main
from common.errors import DataError
from datamodules.composed_queries import ComposedQuery
from evaluation.evaluator import evaluate
from experiments.results.pool_file import read_pool, write_pool
from experiments.run_folder import RunFolder
from retrieval import load_run
from retrieval.composed import rank_composed, rows_called
from tests.support.command_line import refused


def test_the_ranks_are_those_of_the_model(teacher: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = read_pool(RunFolder(teacher).pool("test"))
    # Recordings far apart: those of a model that has hardly trained are so close that rounding ranks them.
    far = torch.randn(pool.audio.shape, generator=torch.Generator().manual_seed(0))
    pool.audio = torch.nn.functional.normalize(far, dim=1)
    monkeypatch.setattr("retrieval.composed.kept_pool", lambda *_: pool)
    names, texts = pool.names, ["less rain", "a dog instead", "louder"]
    queries = [ComposedQuery(names[i], names[(i + 1) % len(names)], text) for i, text in enumerate(texts)]
    words = load_run(teacher).encode_text(texts)
    audio = pool.audio.numpy()
    for found in rank_composed(teacher, queries, [0, 0.4, 1], "test"):
        ranks = []
        for i, word in enumerate(words):
            scores = audio @ (found.weight * audio[i] + (1 - found.weight) * word)
            scores[i] = -np.inf
            ranks.append(1 + (scores > scores[(i + 1) % len(names)]).sum())
        assert found.metrics["mean_rank"] == pytest.approx(np.mean(ranks))
        assert found.metrics["items"] == len(names) - 1


def test_recordings_are_found_by_the_names_that_queries_give_them() -> None:
    names = ["r1nicOVtvkQ_130", "7fmOlUlwoNg_20", "7fmOlUlwoNg_40", " a.wav", "b.flac"]
    found = rows_called(["Yr1nicOVtvkQ.wav", "Y7fmOlUlwoNg.wav", "7fmOlUlwoNg_40", " a.wav", "b.wav", "c.wav"], names)
    assert found == {"Yr1nicOVtvkQ.wav": 0, "7fmOlUlwoNg_40": 2, " a.wav": 3, "b.wav": 4}


def test_the_command_prints_a_row_for_each_weight(
    teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    names = read_pool(RunFolder(teacher).pool("test")).names
    rows = [(names[0], names[1], "less rain"), (names[2], "gone.wav", "a dog")]
    with (tmp_path / "q.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("clip", "target", "text"), *rows])
    assert main(["composed", str(teacher), "--queries", str(tmp_path / "q.csv"), "--weights", "0", "0.7"]) == 0
    printed = capsys.readouterr().out
    said = f"1 composed queries, {len(names) - 1} recordings ranked, the query's own left out"
    assert said in " ".join(printed.split())
    assert re.findall(r"^│ (\S+)", printed, re.MULTILINE) == ["0", "0.7", "chance"]
    assert "1 of 2 queries are left out: their recordings are not in the pool" in caplog.text
    message = refused(capsys, "composed", str(teacher), "--queries", str(tmp_path / "q.csv"), "--weights", "2")
    assert "--weights must be from 0, the words alone, to 1, the recording alone" in message
    message = refused(capsys, "composed", "nowhere", "--queries", str(tmp_path / "q.csv"))
    assert "nowhere: no run" in message


def test_queries_of_another_data_set_are_refused(teacher: Path) -> None:
    with pytest.raises(DataError, match=r"split holds the recordings of none of the 1 queries .for instance 'x'"):
        rank_composed(teacher, [ComposedQuery("x", "y", "a dog")], [0.5], "test")


def test_a_pool_of_other_weights_is_refused(copied: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = RunFolder(copied).pool("test")
    pool = read_pool(path)
    (tmp_path / "q.csv").write_text(f'clip,target,text\n"{pool.names[1]}","{pool.names[2]}",a dog\n')
    pool.text = pool.text.flip(1)
    write_pool(path, evaluate("test", pool))
    message = refused(capsys, "composed", str(copied), "--queries", str(tmp_path / "q.csv"))
    assert "pool_test.safetensors: embedded with other weights than" in message
    path.unlink()
    message = refused(capsys, "composed", str(copied), "--queries", str(tmp_path / "q.csv"))
    assert "pool_test.safetensors: no such file; run `python train.py test` for this run first" in message
