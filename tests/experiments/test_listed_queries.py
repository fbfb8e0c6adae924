"""Metrics by what listeners found relevant stand beside those by annotated pairs, for each query."""

from pathlib import Path

import numpy as np
import pytest
import torch

from evaluation.embedding_pool import EmbeddingPool
from evaluation.evaluator import evaluate
from experiments.results.experiment import read_experiments
from experiments.results.human_judgements import HumanJudgements, report_agreement
from experiments.results.query_table import query_tables, write_queries
from experiments.run_folder import RunFolder

SCORES = [[3.0, 2.0, 1.0], [1.0, 3.0, 2.0], [2.0, 1.0, 3.0], [3.0, 1.0, 2.0]]
LISTED = {"c1": {"b.wav": 1.0, "a.wav": 1.0}, "c3": {"c.wav": 1.0}}


def test_they_are_columns_that_a_comparison_reads(tmp_path: Path) -> None:
    names, captions = ["a.wav", "b.wav", "c.wav"], ["c0", "c1", "c2", "c3"]
    pool = EmbeddingPool.of_texts(torch.eye(3), names, torch.tensor(SCORES), captions, torch.tensor([0, 1, 2, 2]))
    judgements = HumanJudgements("relevant_clips", "test", "lists.csv", {}, LISTED)
    evaluation = report_agreement(judgements, evaluate("test", pool), tmp_path / "judgements.json", {})

    run = RunFolder(tmp_path / "tiny" / "0")
    run.path.mkdir(parents=True)
    write_queries(run.queries("test"), query_tables(evaluation), {"split": "test", "manifest_sha256": "0"})
    (experiment,) = read_experiments([run.path])
    # b.wav is first and a.wav last of three: (1/1 + 2/3) / 2; c.wav is second.
    listed = experiment.directions["text_to_audio"].scores["mAP@16_all_listed"]
    np.testing.assert_allclose(listed, [[np.nan, 5 / 6, np.nan, 1 / 2]])
    assert np.isnan(experiment.directions["audio_to_text"].scores["mAP@16_all_listed"]).all()
    annotated = experiment.directions["text_to_audio"].scores["mAP@10"]
    assert annotated == pytest.approx(np.array([[1, 1, 1, 1 / 2]]))
