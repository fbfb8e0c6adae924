"""What a finished run's data and model say for its analysis."""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from cli.__main__ import main
from common.errors import RunError
from evaluation.analyses.rank_agreement import rank_agreement
from evaluation.evaluator import evaluate
from experiments.analyses.runs import read_methods
from experiments.results.pool_file import read_pool, write_pool
from experiments.run_folder import RunFolder
from retrieval.open_model import load_run
from retrieval.query_pairs import TextScorer
from retrieval.run_data import bank_of_run, data_of_run, facts_of_data
from tests.support.compared import changed, rewrite
from tests.support.judgements import write_rows


def test_training_captions_are_those_of_the_runs_data(teacher: Path) -> None:
    methods = read_methods([teacher], "test")
    facts = facts_of_data(methods, "test")
    data = data_of_run(teacher)
    captions, _ = data.read_captions()
    assert facts.training == [captions[i] for i in data.caption_ids("train")]
    assert len(facts.training) == 30
    assert (facts.known, facts.events, facts.note) == (None, None, "")


def test_known_relevance_and_events_stand_in_the_order_of_the_run(
    teacher: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    truth = np.arange(16, dtype=np.float32).reshape(4, 4) / 16
    kind = type(data_of_run(teacher))
    monkeypatch.setattr(kind, "graded_relevance", lambda self, split: truth)
    monkeypatch.setattr(kind, "event_counts", lambda self, split: np.array([1, 2, 3, 4]))
    methods = read_methods([teacher], "test")
    facts = facts_of_data(methods, "test")
    assert facts.known is not None
    assert facts.events is not None
    names = data_of_run(teacher).read_split("test").audio["name"].to_pylist()
    order = [names.index(name) for name in methods[0].names]
    assert facts.known.tolist() == truth[np.ix_(order, order)].tolist()
    assert facts.events.tolist() == [order[i] + 1 for i in range(4)]


def test_data_that_changed_or_are_gone_are_not_used(copied: Path) -> None:
    methods = read_methods([copied], "test")
    rewrite(RunFolder(copied).queries("test"), lambda table: changed(table, "query", 0, "other words"))
    note = facts_of_data(read_methods([copied], "test"), "test").note
    assert note == f"the data of {copied} have other captions now than it was evaluated on"
    config = RunFolder(copied).config
    config.write_text(config.read_text().replace("clotho", "gone"))
    facts = facts_of_data(methods, "test")
    assert facts.training is None
    assert facts.note.startswith(f"the data of {copied} cannot be read: ")
    config.unlink()
    assert facts_of_data(methods, "test").note == "no run has a saved config, so its data are not known"


def test_a_bank_holds_evenly_spaced_training_captions(teacher: Path) -> None:
    bank = bank_of_run(teacher, 10)
    data = data_of_run(teacher)
    captions, _ = data.read_captions()
    texts = [captions[i] for i in data.caption_ids("train")[::3]]
    assert bank.source == "10 training captions"
    torch.testing.assert_close(bank.text, load_run(teacher).encode_text(texts, output="torch"))


def test_an_analysis_with_a_bank(teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyse", str(teacher), "--bank", "6", "--output", str(tmp_path / "found")]) == 0
    out = capsys.readouterr().out
    assert "QB-Norm (6 training captions)" in out
    assert "by the number of 30 training captions" in out


def test_texts_are_scored_as_the_run_was_tested(teacher: Path) -> None:
    scorer = TextScorer(teacher)
    pool = read_pool(RunFolder(teacher).pool("test"))
    expected = (pool.text @ pool.audio.T).numpy()
    np.testing.assert_allclose(scorer.matrix(pool.captions), expected, atol=1e-5)
    first = [pool.caption_audio.tolist()[pool.captions.index(text)] for text in pool.captions]
    assert scorer.own([*pool.captions, "no caption"]).tolist() == [*first, -1]


def test_rank_agreement_of_pairs(teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scorer = TextScorer(teacher)
    query = scorer.pool.captions[0]
    pairs = [(query, query), (query, "something else"), ("no caption", "keine")]
    file = write_rows(tmp_path / "pairs.csv", ("query", "translation"), *pairs)
    assert main(["rank-agreement", str(teacher), str(file), "--output", str(tmp_path / "found.csv")]) == 0
    assert "rank_query" in capsys.readouterr().out
    header, *rows = [line.split(",") for line in (tmp_path / "found.csv").read_text().replace('""', "'").splitlines()]
    column = header.index("spearman") - len(header)
    first, second = (scorer.matrix(texts) for texts in zip(*pairs, strict=True))
    expected = rank_agreement(first, second)["spearman"]
    assert [float(row[column]) for row in rows] == pytest.approx(expected.tolist())
    assert float(rows[0][column]) == pytest.approx(1)
    assert rows[2][header.index("rank_query") - len(header)] == ""


def test_a_run_without_embeddings_is_refused(copied: Path) -> None:
    RunFolder(copied).pool("test").unlink()
    with pytest.raises(RunError, match=r"pool_test.safetensors: no such file; run `python train.py test`"):
        TextScorer(copied)


def test_a_pool_of_other_weights_or_of_one_recording_is_refused(copied: Path) -> None:
    path = RunFolder(copied).pool("test")
    whole = read_pool(path)
    part = whole.rows([0], [i for i, row in enumerate(whole.caption_audio.tolist()) if row == 0])
    write_pool(path, evaluate("test", part))
    with pytest.raises(RunError, match=r"pool_test.safetensors: holds one recording alone; take a run"):
        TextScorer(copied)
    whole.text = whole.text.flip(1)
    write_pool(path, evaluate("test", whole))
    with pytest.raises(RunError, match=r"pool_test.safetensors: embedded with other weights than .*best.ckpt"):
        TextScorer(copied)


def test_a_pool_of_fewer_queries_than_the_run_was_tested_on_is_refused(
    copied: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = RunFolder(copied).pool("test")
    whole = read_pool(path)
    rows = [i for i, row in enumerate(whole.caption_audio.tolist()) if row < 2]
    write_pool(path, evaluate("test", whole.rows([0, 1], rows)))
    assert main(["analyse", str(copied), "--output", str(tmp_path / "found")]) == 1
    assert "queries_test.parquet: holds other queries than pool_test.safetensors" in capsys.readouterr().err


def test_a_config_without_data_is_named(copied: Path) -> None:
    config = RunFolder(copied).config
    settings = yaml.safe_load(config.read_text())
    del settings["data"]
    config.write_text(yaml.safe_dump(settings))
    said = f"{config}: no settings of data in it; restore it from a copy, or repeat the run"
    assert facts_of_data(read_methods([copied], "test"), "test").note == f"the data of {copied} cannot be read: {said}"
    with pytest.raises(RunError, match="no settings of data in it"):
        bank_of_run(copied, 5)
