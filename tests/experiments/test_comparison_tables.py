"""Tables of a comparison: the forms of papers, in Markdown, LaTeX and CSV."""

import csv
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evaluation.evaluator import evaluate
from experiments.comparison.paired_tests import compare_experiments
from experiments.comparison.summaries import Metric, shown_metrics, summarise
from experiments.comparison.tables import csv_of_table, latex, markdown
from experiments.results.experiment import read_experiments
from experiments.results.pool_file import read_pool
from tests.support.compared import rewrite


def test_the_table_is_that_of_the_paper(runs: Path) -> None:
    experiments = read_experiments([runs / "base_line", runs / "better"])
    metrics = shown_metrics(experiments)
    cells = {
        (experiment.name, metric): [100 * figure for figure in (summarise(experiment, metric) or (0, 0))[:2]]
        for experiment in experiments
        for metric in metrics
    }
    lines = markdown(experiments, metrics, "test").splitlines()
    assert lines[0] == (
        "Test split: text to audio 78 queries in a pool of 26, audio to text 26 queries in a pool of 78."
    )
    assert lines[2] == (
        "| method | runs | text to audio mAP@10 | R@1 | R@5 | R@10 "
        "| audio to text mAP@10 | mAP@10_all | R@1 | R@5 | R@10 |"
    )
    assert lines[3] == "| --- |" + " ---: |" * 10
    for line, experiment in zip(lines[4:6], experiments, strict=True):
        shown = line.strip("| ").split(" | ")
        assert shown[:2] == [experiment.name, "3"]
        for text, metric in zip(shown[2:], metrics, strict=True):
            mean, sd = cells[experiment.name, metric]
            best = round(mean, 1) == round(max(cells[other.name, metric][0] for other in experiments), 1)
            plain = f"{mean:.1f} ± {sd:.1f}"
            assert text == (f"**{plain}**" if best else plain)
    assert lines[-1] == (
        "Mean over runs in % ± sample standard deviation. Bold: the best mean of a column, whether or not it is "
        "significantly better. Audio to text mAP@10_all divides by all captions of a recording, as Xie et al. 2024 "
        "print it; mAP@10 by those found."
    )

    rows = list(csv.DictReader(csv_of_table(experiments, metrics).splitlines()))
    assert len(rows) == 2 * len(metrics)
    for row in rows:
        mean, sd = cells[row["method"], Metric(row["direction"], row["metric"])]
        assert (100 * float(row["mean"]), 100 * float(row["sd"])) == (mean, sd)
    assert {(row["direction"], row["runs"], row["queries"], row["pool_size"]) for row in rows} == {
        ("text_to_audio", "3", "78", "26"),
        ("audio_to_text", "3", "26", "78"),
    }


def test_latex_is_well_formed(runs: Path) -> None:
    first, second = read_experiments([runs / "base_line", runs / "better"])
    text = latex([replace(first, name=r"a_b&c%d#e{f}\~^$"), second], shown_metrics([first, second]), "test")
    assert r"a\_b\&c\%d\#e\{f\}\textbackslash{}\textasciitilde{}\textasciicircum{}\$ & 3 & " in text
    body = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert len(body) == 4
    assert [len(re.findall(r"(?<!\\)&", line)) for line in body] == [3, 10, 10, 10]
    assert r"\begin{tabular}{lrrrrrrrrrr}" in text
    assert r"\cmidrule(lr){3-6} \cmidrule(lr){7-11}" in text
    assert text.count(r"\textbf{") >= 8
    assert text.replace(r"\{", "").replace(r"\}", "").count("{") == text.replace(r"\{", "").replace(r"\}", "").count(
        "}"
    )
    assert not re.search(r"[^\x00-\x7f]", text.split("\\begin")[1])  # no character that needs an input encoding


def test_the_form_of_oncescu_2021_has_hit_rates_and_median_ranks(runs: Path) -> None:
    experiments = read_experiments([runs / "base_line", runs / "better"])
    metrics = shown_metrics(experiments, form="oncescu2021")
    lines = markdown(experiments, metrics, "test").splitlines()
    assert lines[2] == "| method | runs | text to audio R@1 | R@5 | R@10 | MdR | audio to text R@1 | R@5 | R@10 | MdR |"
    assert "Mean over runs in % (ranks as they are)" in lines[-1]
    assert lines[-1].endswith("R@k is hit@k: whether any caption of the recording is among the first k.")
    medians = []
    for line, experiment in zip(lines[4:6], experiments, strict=True):
        cells = [cell.strip("*") for cell in line.strip("| ").split(" | ")]
        columns = []
        for direction, name in (("text_to_audio", "R"), ("audio_to_text", "hit")):
            side = experiment.directions[direction]
            columns += [100 * side.scores[f"{name}@{k}"].mean(axis=1) for k in (1, 5, 10)]
            columns.append(np.array([np.median(ranks) for ranks in side.first_rank]))
        assert cells[2:] == [f"{runs.mean():.1f} ± {np.std(runs, ddof=1):.1f}" for runs in columns]
        medians.append((columns[3].mean(), line.split(" | ")[5].startswith("**")))
    assert medians[0][0] > medians[1][0]  # the lower rank is the better one, and in bold
    assert [bold for _, bold in medians] == [False, True]
    rows = list(csv.DictReader(csv_of_table(experiments, metrics).splitlines()))
    assert [(row["direction"], row["metric"]) for row in rows[4:8]] == [
        ("audio_to_text", name) for name in ("hit@1", "hit@5", "hit@10", "median_rank")
    ]
    assert latex(experiments, metrics, "test").count("MdR") == 2


def test_summaries_of_a_run_are_those_of_its_evaluation(runs: Path) -> None:
    (experiment,) = read_experiments([runs / "better" / "2"])
    ranking = evaluate("test", read_pool(runs / "better" / "2" / "pool_test.safetensors")).rankings["audio_to_text"]
    for name in ("median_rank", "mean_rank", "R_geo", "mAP@10_all", "R@50"):
        summary = summarise(experiment, Metric("audio_to_text", name))
        assert summary is not None
        assert summary.mean == pytest.approx(ranking.summary()[name])


def test_results_of_a_version_without_a_metric_are_compared_by_the_others(runs: Path) -> None:
    for file in (runs / "base_line").glob("*/queries_test.parquet"):
        rewrite(file, lambda table: table.drop_columns(["R@50", "hit@50"]))
    experiments = read_experiments([runs / "base_line", runs / "better"])
    assert "text to audio R@50 |" not in markdown(experiments, shown_metrics(experiments), "test")
    asked = shown_metrics(experiments, [Metric("text_to_audio", "R@50")])
    assert "| base_line | 3 |" in markdown(experiments, asked, "test")
    (test,) = compare_experiments(experiments, permutations=9)
    assert test.over_queries.df == 77
