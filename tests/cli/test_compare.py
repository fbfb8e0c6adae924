"""Finished runs against each other: read, held against plain counts and SciPy, printed, written, and refused."""

import csv
import itertools
import re
import runpy
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from matplotlib.figure import Figure
from scipy import stats
from torch.nn.functional import normalize

from cli.__main__ import main
from common.errors import RunError
from evaluation.embedding_pool import EmbeddingPool
from evaluation.evaluator import evaluate
from experiments.comparison.paired_tests import (
    Metric,
    compare_experiments,
    compare_pair,
    metrics_to_test,
    shown_metrics,
    summarise,
)
from experiments.comparison.tables import csv_of_table, latex, markdown
from experiments.comparison.text import conclusion
from experiments.figures.comparison import draw_comparison
from experiments.results.experiment import check_same_pool, find_runs, read_experiment, read_experiments
from experiments.results.pool_file import write_pool
from experiments.results.query_table import query_tables, write_queries

ROOT = Path(__file__).parents[2]
FILES = ["comparison.png", "table.csv", "table.md", "table.tex", "tests.csv"]
CAPTIONS = 3
MAP = Metric("text_to_audio", "mAP@10")
BACK = Metric("audio_to_text", "mAP@10")


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


NAMES = [f"{letter}.wav" for letter in "ghijklmnopqrstuvwxyzabcdef"]


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Two methods of three runs on 26 recordings, the second the better one."""
    for method, signal in (("base_line", 1.0), ("better", 2.0)):
        for seed in (0, 2, 10):
            write_run(tmp_path / method / str(seed), NAMES, 7 * seed + round(signal), signal)
    return tmp_path


def said(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main(["compare", *(str(argument) for argument in arguments)]) == 0
    return capsys.readouterr().out


# ---------------------------------------------------------------------------------------------------------- reading


def plain_scores(pool: EmbeddingPool) -> tuple[np.ndarray, np.ndarray]:
    """Ranks and AP@10 of each caption, counted, captions by recording and text."""
    pool = pool.in_order()
    scores = (pool.text @ pool.audio.T).numpy()
    own = scores[np.arange(len(scores)), pool.caption_audio]
    ranks = 1 + (scores > own[:, None]).sum(axis=1)
    return ranks, np.where(ranks <= 10, 1 / ranks, 0)


def test_an_experiment_has_all_its_runs_in_order(tmp_path: Path) -> None:
    pools = [write_run(tmp_path / "x" / str(seed), NAMES, seed, 2.0) for seed in (10, 0, 2)]
    (tmp_path / "x" / "3" / "checkpoints").mkdir(parents=True)
    (tmp_path / "x" / ".hidden").mkdir()
    experiment = read_experiment(tmp_path / "x")
    assert experiment.name == "x"
    assert [run.name for run in experiment.runs] == ["0", "2", "10"]
    assert [folder.name for folder in experiment.skipped] == ["3"]
    assert experiment.own_recordings == (26, 26, 26)
    side = experiment.directions["text_to_audio"]
    assert (len(side.queries), side.pool_size, experiment.directions["audio_to_text"].pool_size) == (78, 26, 78)
    for row, pool in enumerate((pools[1], pools[2], pools[0])):
        ranks, ap = plain_scores(pool)
        np.testing.assert_allclose(side.scores["mAP@10"][row], ap)
        np.testing.assert_allclose(side.scores["R@5"][row], ranks <= 5)
        np.testing.assert_allclose(side.first_rank[row], ranks)
    assert side.queries == tuple(pools[0].in_order().captions)
    recordings = [sorted(NAMES)[clip] for clip in side.clip_ids]
    assert all(f" {name}," in text for name, text in zip(recordings, side.queries, strict=True))
    assert side.relevant == tuple((int(clip),) for clip in side.clip_ids)


def test_rows_may_come_in_any_order(runs: Path) -> None:
    before = read_experiment(runs / "better")
    order = np.random.default_rng(0).permutation(26 + 78)
    rewrite(runs / "better" / "2" / "queries_test.parquet", lambda table: table.take(order))
    after = read_experiment(runs / "better")
    for direction, side in before.directions.items():
        assert side.queries == after.directions[direction].queries
        for metric, scores in side.scores.items():
            np.testing.assert_array_equal(scores, after.directions[direction].scores[metric])


def test_names_tell_experiments_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("one/x/0", "two/x/0", "one/y/0"):
        write_run(tmp_path / folder, NAMES, 0, 2.0)
    monkeypatch.chdir(tmp_path)
    paths = [Path("one/x"), Path("one/y/0")]
    assert [experiment.name for experiment in read_experiments(paths)] == ["x", "y/0"]
    paths = [Path("one/x"), Path("two/x"), Path("one/y")]
    assert [experiment.name for experiment in read_experiments(paths)] == ["one/x", "two/x", "one/y"]
    monkeypatch.chdir(tmp_path / "one" / "x" / "0")
    assert read_experiment(Path(".")).name == "x/0"


# ---------------------------------------------------------------------------------------------------------- judging


def test_tests_are_those_of_plain_counts_and_scipy(runs: Path) -> None:
    baseline, method = experiments = read_experiments([runs / "base_line", runs / "better"])
    ap = {
        name: np.stack([plain_scores(make_pool(NAMES, 7 * seed + signal, signal))[1] for seed in (0, 2, 10)])
        for name, signal in (("base_line", 1), ("better", 2))
    }
    a, b = ap["base_line"], ap["better"]
    for experiment in experiments:
        mean, sd, count = summarise(experiment, MAP) or (0, 0, 0)
        each = ap[experiment.name].mean(axis=1)
        assert (mean, sd, count) == (pytest.approx(each.mean()), pytest.approx(np.std(each, ddof=1)), 3)

    test = compare_pair(baseline, method, MAP, permutations=999)
    theirs = stats.ttest_rel(b.mean(axis=0), a.mean(axis=0))
    assert (test.over_queries.t, test.over_queries.p) == pytest.approx((theirs.statistic, theirs.pvalue), rel=1e-9)
    assert test.over_queries.df == 77
    clips_a, clips_b = (scores.mean(axis=0).reshape(26, CAPTIONS).mean(axis=1) for scores in (a, b))
    theirs = stats.ttest_rel(clips_b, clips_a)
    assert (test.over_clips.t, test.over_clips.p) == pytest.approx((theirs.statistic, theirs.pvalue), rel=1e-9)
    assert test.over_clips.df == 25
    assert test.p_holm == test.over_clips.p
    assert test.flips_over_clips == test.flips_over_queries == 1 / 1000
    ahead = sum(float(y) > float(x) for x in a.mean(axis=1) for y in b.mean(axis=1))
    assert (test.ahead, test.behind, test.run_pairs) == (ahead, 9 - ahead, 9)
    welch = stats.ttest_ind(b.mean(axis=1), a.mean(axis=1), equal_var=False)
    assert test.uncertainty.welch is not None
    assert test.uncertainty.welch.t == pytest.approx(welch.statistic, rel=1e-9)
    assert test.uncertainty.sd_a == pytest.approx(np.std(b.mean(axis=1), ddof=1))


def test_holm_takes_all_pairs_and_metrics_together(runs: Path) -> None:
    write_run(runs / "third" / "0", NAMES, 99, 1.1)
    experiments = read_experiments([runs / name for name in ("base_line", "better", "third")])
    metrics = metrics_to_test(experiments, ["R@1", "text_to_audio/mAP@10"])
    assert [str(metric) for metric in metrics] == ["text to audio mAP@10", "text to audio R@1", "audio to text R@1"]
    tests = compare_experiments(experiments, metrics, 99)
    pairs = [("base_line", "better"), ("base_line", "third"), ("better", "third")]
    assert [(test.baseline, test.method, test.metric) for test in tests] == [(*p, m) for p in pairs for m in metrics]
    alone = [
        compare_pair(first, second, metric, 99)
        for first, second in itertools.combinations(experiments, 2)
        for metric in metrics
    ]
    assert [test.over_clips for test in tests] == [test.over_clips for test in alone]
    ascending = sorted(tests, key=lambda test: test.over_clips.p)
    highest = 0.0
    for left, test in zip(range(9, 0, -1), ascending, strict=True):
        highest = max(highest, min(1, left * test.over_clips.p))
        assert test.p_holm == pytest.approx(highest)


def test_queries_without_any_gain_are_left_out_of_ndcg(tmp_path: Path) -> None:
    for name, signal in (("a", 1.0), ("b", 2.0)):
        write_run(tmp_path / name / "0", NAMES, 0, signal, ndcg=True)
    write_run(tmp_path / "without" / "0", NAMES, 0, 1.5)
    experiments = read_experiments([tmp_path / "a", tmp_path / "b"])
    graded = Metric("text_to_audio", "nDCG@10")
    scores = [experiment.directions["text_to_audio"].scores["nDCG@10"][0] for experiment in experiments]
    assert np.isnan(scores[0]).sum() == 1
    assert summarise(experiments[0], graded) == (
        pytest.approx(np.nanmean(scores[0])),
        pytest.approx(np.nan, nan_ok=True),
        1,
    )
    test = compare_pair(experiments[0], experiments[1], graded)
    keep = ~np.isnan(scores[0])
    assert test.over_queries.df == 76
    assert test.over_queries.t == pytest.approx(stats.ttest_rel(scores[1][keep], scores[0][keep]).statistic)

    three = read_experiments([tmp_path / "a", tmp_path / "b", tmp_path / "without"])
    assert graded in shown_metrics(three)
    assert graded not in shown_metrics(three[2:])
    assert "| without | 1 |" in (table := markdown(three, shown_metrics(three), "test"))
    assert table.count("| – |") == 2
    with pytest.raises(
        RunError, match=r"^without has no metric 'text_to_audio/nDCG@10'; it has mAP@10, .*hit@10, each"
    ):
        metrics_to_test(three, ["nDCG@10"])


# ------------------------------------------------------------------------------------------------------------ saying


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
        "| method | runs | text to audio mAP@10 | R@1 | R@5 | R@10 | audio to text mAP@10 | R@1 | R@5 | R@10 |"
    )
    assert lines[3] == "| --- |" + " ---: |" * 9
    for line, experiment in zip(lines[4:6], experiments, strict=True):
        shown = line.strip("| ").split(" | ")
        assert shown[:2] == [experiment.name, "3"]
        for text, metric in zip(shown[2:], metrics, strict=True):
            mean, sd = cells[experiment.name, metric]
            best = round(mean, 1) == round(max(cells[other.name, metric][0] for other in experiments), 1)
            plain = f"{mean:.1f} ± {sd:.1f}"
            assert text == (f"**{plain}**" if best else plain)
    assert lines[-1] == "Mean over runs in % ± sample standard deviation, the best in bold."

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
    assert [len(re.findall(r"(?<!\\)&", line)) for line in body] == [3, 9, 9, 9]
    assert r"\begin{tabular}{lrrrrrrrrr}" in text
    assert r"\cmidrule(lr){3-6} \cmidrule(lr){7-10}" in text
    assert text.count(r"\textbf{") >= 8
    assert text.replace(r"\{", "").replace(r"\}", "").count("{") == text.replace(r"\{", "").replace(r"\}", "").count(
        "}"
    )
    assert not re.search(r"[^\x00-\x7f]", text.split("\\begin")[1])  # no character that needs an input encoding


def test_the_command_says_all_and_writes_nothing(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(runs.rglob("*"))
    out = said(capsys, runs / "base_line", runs / "better", "--permutations", 99)
    assert sorted(runs.rglob("*")) == before
    (test,) = compare_experiments(read_experiments([runs / "base_line", runs / "better"]), permutations=99)
    queries, clips = test.over_queries, test.over_clips
    assert f"t(77) = {queries.t:.3f}, p < .001; sign flips p = .0100" in out
    assert f"t(25) = {clips.t:.3f}, p < .001; sign flips p = .0100; d_z {clips.effect_size:.3f}; Holm over 1" in out
    assert f"better against base_line, text to audio mAP@10: {100 * clips.difference:+.2f} points" in out
    assert "Welch's t(" in out
    assert out.rstrip().endswith(
        "is significant (p < .001), and over runs too (Welch's p = .0018, better is ahead in 9 of 9 pairs of runs): "
        "the methods differ."
    )
    assert re.search(r"better +3 +\d\d\.\d ± \d\.\d", out)

    back = said(capsys, runs / "better", runs / "base_line", "--metrics", "audio_to_text/mAP@10")
    assert "base_line against better, audio to text mAP@10: -" in back
    assert back.count("over queries (the paper's test)") == 1  # a recording that asks is one query


def test_files_are_written_together(
    runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    output = runs / "new" / "comparison"
    command = [runs / "base_line", runs / "better", "--metrics", "R@10", "hit@5", "--output", output]
    said(capsys, *command)
    assert sorted(file.name for file in output.iterdir()) == FILES
    assert (output / "comparison.png").read_bytes().startswith(b"\x89PNG")
    rows = list(csv.DictReader((output / "tests.csv").read_text().splitlines()))
    names = [(row["direction"], row["metric"]) for row in rows]
    assert names == [
        MAP,
        *(Metric(side, name) for name in ("R@10", "hit@5") for side in (MAP.direction, BACK.direction)),
    ]
    experiments = read_experiments([runs / "base_line", runs / "better"])
    test = compare_experiments(experiments, [Metric(*name) for name in names])[1]
    assert float(rows[1]["t_over_queries"]) == test.over_queries.t
    assert float(rows[1]["p_holm_over_clips"]) == test.p_holm
    assert float(rows[1]["se_runs"]) == test.uncertainty.se_seeds
    assert "hit@5" in (output / "table.md").read_text()
    before = {file.name: file.read_bytes() for file in output.iterdir()}

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("experiments.comparison.report.save_figure", fail)
    assert main(["compare", str(runs / "base_line"), "--output", str(runs / "alone")]) == 0
    capsys.readouterr()
    assert sorted(file.name for file in (runs / "alone").iterdir()) == [name for name in FILES if name[0] == "t"]
    assert main(["compare", *(str(argument) for argument in [runs / "better", *command[:1], *command[-2:]])]) == 1
    assert capsys.readouterr().err == "error: No space left on device (TRACEBACK=1 shows where)\n"
    assert {file.name: file.read_bytes() for file in output.iterdir()} == before


def test_one_run_has_no_standard_deviation(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = said(capsys, runs / "base_line" / "0", runs / "better" / "2")
    assert "±" not in out
    assert "one run only, so no standard deviation: base_line/0, better/2." in out
    assert "over runs: nothing to say with one run of a method" in out
    assert out.rstrip().endswith("for these runs; with one run of a method nothing is known of other seeds.")
    mixed = said(capsys, runs / "base_line" / "0", runs / "better")
    assert "no standard deviation: base_line/0." in mixed
    assert "± sample standard deviation" in mixed
    assert "nothing is known of other seeds" in mixed


def test_one_method_has_nothing_to_test(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (runs / "better" / "4").mkdir()
    assert main(["compare", str(runs / "better")]) == 0
    printed = capsys.readouterr()
    assert printed.out.endswith("One method: nothing to test.\n")
    assert "bold" not in printed.out
    assert printed.err == "warning: better: left out, queries_test.parquet is missing: 4\n"


def test_runs_of_different_settings_are_named(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed, tau in ((0, 0.05), (2, 0.05), (10, 0.1)):
        settings = {"model": {"objective": {"tau": tau}}, "data": {"init_args": {"seed": seed, "root": f"/{seed}"}}}
        (runs / "better" / str(seed) / "config_fit.yaml").write_text(yaml.safe_dump(settings))
    assert main(["compare", str(runs / "better")]) == 0
    error = capsys.readouterr().err
    assert (
        "warning: better: runs 0 and 10 have different settings (model.objective.tau: 0.05 before, 0.1 now), yet "
        "count as one experiment" in error
    )


def test_the_verdict_in_words(runs: Path) -> None:
    experiments = read_experiments([runs / "base_line", runs / "better"])
    (test,) = compare_experiments(experiments, permutations=9)
    assert test.uncertainty.welch is not None
    by_seed = replace(test.uncertainty, welch=replace(test.uncertainty.welch, p=0.3))
    seeds = replace(test, uncertainty=by_seed)
    weak = replace(seeds, p_holm=0.2, ahead=4, behind=5)
    odd = replace(test, p_holm=0.2)
    points = f"text to audio mAP@10 {100 * test.over_clips.difference:+.2f} points is"
    sentence = conclusion([test, seeds, weak, odd])
    start = "better against base_line, at .05 over recordings after Holm: "
    assert sentence.startswith(start)
    ahead, behind = ("better is ahead in 9 of 9 pairs of runs", "base_line is ahead in 5 of 9 pairs of runs")
    assert sentence.removeprefix(start).rstrip(".").split("; ") == [
        f"{points} significant (p < .001), and over runs too (Welch's p = .0018, {ahead}): the methods differ",
        f"{points} significant (p < .001), but not over runs (Welch's p = .3000, {ahead}): it may be the seeds",
        f"{points} not significant (p = .2000), nor over runs (Welch's p = .3000, {behind})",
        f"{points} not significant (p = .2000), though over runs it is (Welch's p = .0018, {ahead})",
    ]


def shown_row(query: str, change: float, before: float, after: float) -> list[str]:
    return [f"{100 * change:+.2f}", f"{before:.3g} → {after:.3g}", query]


def test_the_figure_shows_what_changed_most(runs: Path) -> None:
    for method in ("base_line", "better"):
        for seed in (0, 2, 10):
            (runs / method / str(seed) / "pool_test.safetensors").unlink()  # it needs none
    experiments = read_experiments([runs / "base_line", runs / "better"])
    tests = compare_experiments(experiments, [MAP, BACK], 9)
    figure = draw_comparison(experiments, tests)
    assert isinstance(figure, Figure)
    curve, text, means = figure.axes
    shown = [item.get_text().replace("\n", " ") for item in text.texts]
    first, second = (experiment.directions["text_to_audio"] for experiment in experiments)
    change = second.scores["mAP@10"].mean(axis=0) - first.scores["mAP@10"].mean(axis=0)
    before, after = (side.first_rank.mean(axis=0) for side in (first, second))
    order = sorted(range(len(change)), key=lambda row: (-change[row], after[row] - before[row]))
    assert change[order[4]] > 0 > change[order[-5]]
    cells = [cell for row in order[:5] for cell in shown_row(first.queries[row], change[row], before[row], after[row])]
    assert shown[1:16] == cells
    cells = [c for row in order[:-6:-1] for c in shown_row(first.queries[row], change[row], before[row], after[row])]
    assert shown[17:] == cells
    legend = curve.get_legend()
    assert legend is not None
    labels = [item.get_text() for item in legend.get_texts()]
    assert labels == [f"better: {100 * (change > 0).mean():.0f} %", f"worse: {100 * (change < 0).mean():.0f} %"]
    assert [label.get_text() for label in means.get_yticklabels()] == ["queries", "recordings", "runs"]
    figure.savefig(runs / "figure.png")  # dollar signs and brackets in captions are no markup

    same = [experiments[0], replace(experiments[0], name="the same")]
    figure = draw_comparison(same, compare_experiments(same, [MAP], 9))
    figure.savefig(runs / "figure.png")
    assert len(figure.axes[1].texts) == 2  # headings over nothing

    many = [replace(experiments[0], name=name) for name in "abcd"]
    figure = draw_comparison(many, compare_experiments(many, [MAP], 9))
    assert len(figure.axes) == 4 * 3
    assert figure.get_supxlabel() == "The first 4 of 6 pairs of methods"


# ------------------------------------------------------------------------------------------------- pools that differ


def test_runs_of_other_pools_are_evaluated_again_on_what_they_share(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pools = {
        "a": [write_run(tmp_path / "a" / str(seed), NAMES[:20], seed, 1.0, manifest="a") for seed in (0, 1)],
        "b": [write_run(tmp_path / "b" / "5", NAMES[6:], 8, 2.0, manifest="b")],
    }
    folders = [tmp_path / "a", tmp_path / "b"]
    with pytest.raises(RunError) as caught:
        read_experiments([folders[0], folders[1]])
    assert str(caught.value) == (
        f"{tmp_path / 'a' / '0'} and {tmp_path / 'b' / '5'} were evaluated on different pools: query 0 is another text "
        "(18 such queries), text to audio; evaluate all again on the recordings they share with --intersect"
    )
    experiments = read_experiments(folders, intersect=True)
    shared = set(NAMES[6:20])
    for experiment in experiments:
        side, back = (experiment.directions[metric.direction] for metric in (MAP, BACK))
        assert (side.pool_size, len(side.queries), len(back.queries), back.pool_size) == (14, 42, 14, 42)
        assert back.queries == tuple(sorted(shared))
        for row, pool in enumerate(pools[experiment.name]):
            ranks, ap = plain_scores(pool.only(shared))
            np.testing.assert_allclose(side.scores["mAP@10"][row], ap)
            np.testing.assert_allclose(side.first_rank[row], ranks)
            summary = evaluate("test", pool.only(shared)).rankings["audio_to_text"].summary()
            assert back.scores["mAP@10"][row].mean() == pytest.approx(summary["mAP@10"])
    check_same_pool(experiments)
    out = said(capsys, *folders, "--intersect")
    assert (
        "Evaluated again on the 14 recordings and 42 captions that all runs share; the runs' own pools have 20" in out
    )
    assert "text to audio 42 queries in a pool of 14" in out
    (tmp_path / "b" / "5" / "pool_test.safetensors").unlink()
    assert main(["compare", *(str(folder) for folder in [*folders, "--intersect"])]) == 1
    assert "pool_test.safetensors: no such file; run `python train.py test`" in capsys.readouterr().err
    (tmp_path / "b" / "5" / "pool_test.safetensors").write_bytes(b"rubbish that is no table")
    assert main(["compare", *(str(folder) for folder in [*folders, "--intersect"])]) == 1
    assert "pool_test.safetensors: cannot be read" in capsys.readouterr().err


def test_evaluating_again_on_all_recordings_changes_nothing(runs: Path) -> None:
    paths = [runs / "base_line", runs / "better"]
    for before, after in zip(read_experiments(paths), read_experiments(paths, intersect=True), strict=True):
        for direction, side in before.directions.items():
            for metric, scores in side.scores.items():
                np.testing.assert_allclose(scores, after.directions[direction].scores[metric])


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        (
            lambda table: table.slice(1),
            "1 queries of the first are not in the second and 0 the other way round, text to",
        ),
        (lambda table: changed(table, "query_id", 77, 500), "1 queries of the first are not in the second and 1 the"),
        (lambda table: changed(table, "query", 5, "else"), "query 5 is another text (1 such queries), text to audio"),
        (lambda table: changed(table, "clip_id", 4, 0), "query 4 belongs to another recording (1 such queries), text"),
        (
            lambda table: changed(table, "relevant_ids", 80, [1, 2]),
            "query 2 has other relevant items (1 such queries), audio",
        ),
        (lambda table: changed(table, "pool_size", 0, 25), "26 and 25 items to choose from, text to audio"),
        (
            lambda table: changed(changed(table, "relevant_ids", 1, [9]), "relevant_ids", 0, [9]),
            "query 0 has other relevant items (2 such queries), text to audio",
        ),
    ],
)
def test_what_differs_between_pools_is_said(
    runs: Path, change: Callable[[pa.Table], pa.Table], differs: str, capsys: pytest.CaptureFixture[str]
) -> None:
    rewrite(runs / "better" / "2" / "queries_test.parquet", change)
    for arguments in ([runs / "base_line", runs / "better"], [runs / "better"]):  # also among runs of one experiment
        assert main(["compare", *(str(argument) for argument in arguments)]) == 1
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert f"{runs / 'better' / '2'} were evaluated on different pools: {differs}" in error
        assert error.endswith("evaluate all again on the recordings they share with --intersect\n")


def test_relevant_items_may_be_listed_in_any_order(runs: Path) -> None:
    def turn(table: pa.Table) -> pa.Table:
        return changed(table, "relevant_ids", 80, table["relevant_ids"][80].as_py()[::-1])

    rewrite(runs / "better" / "2" / "queries_test.parquet", turn)
    assert len(read_experiments([runs / "base_line", runs / "better"])) == 2


def test_another_manifest_is_another_pool(runs: Path) -> None:
    write_run(runs / "other" / "0", NAMES, 3, 1.0, manifest="another corpus")
    with pytest.raises(RunError, match=r"other file names \(manifest one corp and another \)"):
        read_experiments([runs / "better", runs / "other"])
    apart = [read_experiment(runs / name) for name in ("better", "other")]
    with pytest.raises(RunError, match="other file names"):
        compare_experiments(apart)


# --------------------------------------------------------------------------------------------------------- bad input


def spoil(runs: Path) -> dict[str, list[Path | str]]:
    """Arguments that must be refused."""
    write_run(runs / "validated" / "0", NAMES, 3, 1.0, split="validation")
    (runs / "empty").mkdir()
    (runs / "trained" / "0" / "checkpoints").mkdir(parents=True)
    for name in ("corrupt", "renamed", "headless", "onesided"):
        write_run(runs / name / "0", NAMES, 3, 1.0)
    results = {
        name: runs / name / "0" / "queries_test.parquet" for name in ("corrupt", "renamed", "headless", "onesided")
    }
    results["corrupt"].write_bytes(b"PAR1 and then rubbish PAR1")
    results["renamed"].write_bytes((runs / "validated" / "0" / "queries_validation.parquet").read_bytes())
    rewrite(results["headless"], lambda table: table.drop_columns(["clip_id"]))
    rewrite(results["onesided"], lambda table: table.slice(0, 78))
    better = runs / "better"
    for name in ("two", "one"):
        write_run(runs / name / "0", NAMES[:1], 3, 1.0)
        write_run(runs / name / "1", NAMES[:1], 4, 1.0)
    return {
        "gone": [better, runs / "gone"],
        "empty": [better, runs / "empty"],
        "trained": [better, runs / "trained" / "0"],
        "validated": [better, runs / "validated"],
        "not validated": [runs / "validated", better, "--split", "validation"],
        "corrupt": [runs / "corrupt"],
        "renamed": [runs / "renamed"],
        "headless": [runs / "headless"],
        "onesided": [runs / "onesided" / "0"],
        "twice": [better, better],
        "inside": [better, better / "2"],
        "around": [better, runs / "empty" / ".." / "better"],
        "metric": [better, "--metrics", "mAP@20"],
        "direction": [better, "--metrics", "audio/mAP@10"],
        "file": [better, "--output", runs / "better" / "2" / "queries_test.parquet"],
        "no flips": [runs / "base_line", better, "--permutations", "0"],
        "one recording": [runs / "one", runs / "two"],
    }


NO_RESULTS = r"no per-query results of the test split \(queries_test.parquet\); run `python train.py test` for it first"
NO_TABLE = r"queries_test.parquet: is not a table of per-query results"
REFUSED = {
    "gone": r"gone: no such folder; give an experiment's, such as runs/clotho_listnet, or a run's, such as runs/clotho",
    "empty": rf"empty: {NO_RESULTS}$",
    "trained": rf"trained/0: {NO_RESULTS}$",
    "validated": rf"validated: {NO_RESULTS}, or compare what is there with --split validation$",
    "not validated": r"better: no per-query results of the validation .*`python train.py validate` .* --split test$",
    "corrupt": r"corrupt/0/queries_test.parquet: cannot be read \(.*\); run `python train.py test` again$",
    "renamed": r"queries_test.parquet: holds results of the validation split, not of test; run `python train.py test`",
    "headless": rf"{NO_TABLE} \(.*clip_id.*\); run `python train.py test` again$",
    "onesided": rf"{NO_TABLE} \(a direction is missing\); run `python train.py test` again$",
    "twice": r"better/0: given twice; name each run once$",
    "inside": r"better/2: given twice; name each run once$",
    "around": r"better/0: given twice; name each run once$",
    "metric": r"better has no metric 'text_to_audio/mAP@20'; it has mAP@10, mAP@10_all, R@1, .*, each in both",
    "direction": r"better has no metric 'audio/mAP@10'; .* or in one, as in text_to_audio/mAP@10$",
    "file": r"queries_test.parquet: is a file; give --output a folder$",
    "no flips": r"0 permutations: give at least 1$",
    "one recording": r"1 of at least 2 values: nothing can be tested on so few",
}


def test_bad_input_ends_in_one_line(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mistakes = spoil(runs)
    assert mistakes.keys() == REFUSED.keys()
    for name, arguments in mistakes.items():
        assert main(["compare", *(str(argument) for argument in arguments)]) == 1, name
        error = capsys.readouterr().err
        assert error.count("\n") == 1, error
        assert re.search(f"^error: .*{REFUSED[name]}", error), error


def test_a_run_folder_is_found_before_what_is_in_it(runs: Path) -> None:
    write_run(runs / "better" / "0" / "inner", NAMES, 3, 1.0)
    assert find_runs(runs / "better" / "0", "test") == ([runs / "better" / "0"], [])


# ---------------------------------------------------------------------------------------------------- a known effect


def test_a_known_effect_goes_through_the_files(capsys: pytest.CaptureFixture[str]) -> None:
    program = runpy.run_path(str(ROOT / "benchmarks" / "paired_tests.py"))
    target = program["mean_for"](0.3, 60)
    assert program["expected_map"](target, 60) == pytest.approx(0.3)
    assert program["expected_map"](1e3, 60) == pytest.approx(1)
    assert program["main"](["--clips", "60", "--runs", "2", "--effect", "25"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"t\(299\): ours (\d+\.\d+), SciPy's \1, apart", out)
    planted, found, error = map(float, re.findall(r"planted \+(\S+) points, found \+(\S+) ± (\S+)", out)[0])
    assert planted == 25
    assert abs(found - planted) < 3 * error
    assert "is significant (p < .001)" in out
