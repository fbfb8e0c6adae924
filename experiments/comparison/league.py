"""The league of many methods: each against one baseline, best first."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Column, Table

from experiments.comparison.paired_tests import LEVEL, PairTest
from experiments.comparison.summaries import Metric, summarise
from experiments.comparison.tables import cell, row_of_cells, runs_text
from experiments.results.experiment import Experiment

NOTE = (
    f"Differences from {{baseline}} in points; *: significant at {LEVEL} over recordings, after Holm's correction over "
    "all {tests} tests."
)


def league_rows(experiments: Sequence[Experiment], tests: Sequence[PairTest]) -> tuple[list[str], list[list[str]]]:
    """Names of the columns, and a row a method, best by the first metric first; the baseline has no differences.

    Args:
        experiments: the baseline, then the others.
        tests: each of the others against the baseline by each metric, as `compare_experiments` gives them `with_first`.
    """
    metrics = list(dict.fromkeys(test.metric for test in tests))
    found = {(test.method, test.metric): test for test in tests}

    def row(experiment: Experiment) -> list[str]:
        cells = [experiment.name, str(len(experiment.runs))]
        for metric in metrics:
            test = found.get((experiment.name, metric))
            cells += [cell(summarise(experiment, metric), _factor(metric)), _difference(test) if test else ""]
        return cells

    headers = [part for metric in metrics for part in (str(metric), "difference")]
    return ["method", "runs", *headers], [row(each) for each in _best_first(experiments, metrics[0])]


def league_table(experiments: Sequence[Experiment], tests: Sequence[PairTest]) -> Table:
    """The league for the screen."""
    headers, rows = league_rows(experiments, tests)
    columns = [Column(escape(name), justify="right" if place else "left") for place, name in enumerate(headers)]
    table = Table(*columns, box=SIMPLE_HEAD)
    for row in rows:
        table.add_row(*map(escape, row))
    return table


def league_markdown(experiments: Sequence[Experiment], tests: Sequence[PairTest]) -> str:
    """The league as Markdown, with what the figures are below."""
    headers, rows = league_rows(experiments, tests)
    rule = ["---", *["---:"] * (len(headers) - 1)]
    lines = [row_of_cells([text.replace("|", r"\|") for text in row]) for row in (headers, rule, *rows)]
    return "\n".join([*lines, "", league_note(experiments, tests), ""])


def league_note(experiments: Sequence[Experiment], tests: Sequence[PairTest]) -> str:
    """What the figures, differences and stars of a league are."""
    metrics = list(dict.fromkeys(test.metric for test in tests))
    differences = NOTE.format(baseline=experiments[0].name, tests=len(tests))
    return f"{runs_text(experiments, metrics, bold=False)} {differences}"


def _best_first(experiments: Sequence[Experiment], metric: Metric) -> list[Experiment]:
    def reached(experiment: Experiment) -> float:
        summary = summarise(experiment, metric)
        assert summary is not None  # it was tested
        return summary.mean

    return sorted(experiments, key=reached, reverse=not metric.is_rank)


def _difference(test: PairTest) -> str:
    points = _factor(test.metric) * test.over_clips.difference
    return f"{points:+.2f}{'*' if test.significant else ''}"


def _factor(metric: Metric) -> float:
    return 1 if metric.is_rank else 100
