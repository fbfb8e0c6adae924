"""Paired tests of methods, held against plain counts and SciPy, and their conclusion in words."""

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from common.errors import RunError
from experiments.comparison.paired_tests import compare_experiments, compare_pair
from experiments.comparison.summaries import Metric, metrics_to_test, shown_metrics, summarise
from experiments.comparison.tables import markdown
from experiments.comparison.text import conclusion
from experiments.results.experiment import read_experiments
from tests.support.compared import CAPTIONS, MAP, NAMES, make_pool, plain_scores, write_run


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
        RunError, match=r"^without has no metric 'text_to_audio/nDCG@10'; it has mAP@10, .*hit@50, each"
    ):
        metrics_to_test(three, ["nDCG@10"])


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
