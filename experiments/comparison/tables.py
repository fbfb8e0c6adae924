"""The table of methods, a row each, in the form of Table II of Xie et al. 2024; and the tests as a csv file."""

from collections.abc import Sequence
from itertools import groupby

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Column, Table

from common.directions import DIRECTIONS
from experiments.comparison.paired_tests import PairTest
from experiments.comparison.summaries import Metric, Summary, notes_on, summarise
from experiments.result_files import csv_text
from experiments.results.experiment import Experiment

LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}


def pools_text(experiment: Experiment, split: str) -> str:
    """How many queries were asked, and in pools of what size."""
    parts = [
        f"{direction.replace('_', ' ')} {len(side.queries):,} queries in a pool of {side.pool_size:,}"
        for direction, side in experiment.directions.items()
    ]
    return f"{split.capitalize()} split: {', '.join(parts)}."


def runs_text(experiments: Sequence[Experiment], metrics: Sequence[Metric], *, bold: bool = True) -> str:
    """What the figures and, where there is any, bold type are, and which methods have no standard deviation."""
    text = "Mean over runs in %" + (" (ranks as they are)" if any(metric.is_rank for metric in metrics) else "")
    lone = [experiment.name for experiment in experiments if len(experiment.runs) == 1]
    if len(lone) < len(experiments):
        text += " ± sample standard deviation"
    text += f"; one run only, so no standard deviation: {', '.join(lone)}." if lone else "."
    if bold and len(experiments) > 1:
        text += " Bold: the best mean of a column, whether or not it is significantly better."
    return " ".join([text, *notes_on(metrics)])


def screen_tables(experiments: Sequence[Experiment], metrics: Sequence[Metric], rows: str = "method") -> list[Table]:
    """A table for each direction; with the usual metrics and short names narrow enough for a terminal.

    Args:
        experiments: a row each.
        metrics: a column each.
        rows: what the names of the experiments are.
    """
    tables = []
    for direction, columns in groupby(metrics, key=lambda metric: metric.direction):
        shown = list(columns)
        headers = [Column(metric.header, justify="right", no_wrap=True) for metric in shown]
        title = direction.replace("_", " ")
        table = Table(
            Column(escape(rows), no_wrap=True),
            Column("runs", justify="right"),
            *headers,
            box=SIMPLE_HEAD,
            title=title,
            title_justify="left",
            title_style="bold",
        )
        for experiment, cells in zip(experiments, _cells(experiments, shown, "[bold]{}[/bold]"), strict=True):
            table.add_row(escape(experiment.name), str(len(experiment.runs)), *cells)
        tables.append(table)
    return tables


def markdown(experiments: Sequence[Experiment], metrics: Sequence[Metric], split: str) -> str:
    """The table as Markdown, with the sizes of the pools above and what the figures are below."""
    headers = ["method", "runs", *_headers(metrics)]
    lines = [
        pools_text(experiments[0], split),
        "",
        row_of_cells(headers),
        row_of_cells(["---", *["---:"] * (len(headers) - 1)]),
    ]
    for experiment, cells in zip(experiments, _cells(experiments, metrics, "**{}**"), strict=True):
        lines.append(row_of_cells([experiment.name.replace("|", r"\|"), str(len(experiment.runs)), *cells]))
    return "\n".join([*lines, "", runs_text(experiments, metrics), ""])


def latex(experiments: Sequence[Experiment], metrics: Sequence[Metric], split: str) -> str:
    r"""The table as a LaTeX `tabular`; it needs the package booktabs."""
    counts = [sum(metric.direction == direction for metric in metrics) for direction in DIRECTIONS]
    spans = [
        rf"\multicolumn{{{count}}}{{c}}{{{direction.replace('_', ' ')}}}"
        for direction, count in zip(DIRECTIONS, counts, strict=True)
    ]
    rules, first = [], 3
    for count in counts:
        rules.append(rf"\cmidrule(lr){{{first}-{first + count - 1}}}")
        first += count
    lines = [
        f"% {pools_text(experiments[0], split)}",
        f"% {runs_text(experiments, metrics)} Needs \\usepackage{{booktabs}}.",
        rf"\begin{{tabular}}{{lr{'r' * len(metrics)}}}",
        r"\toprule",
        f" & & {' & '.join(spans)} \\\\",
        " ".join(rules),
        f"method & runs & {' & '.join(_escaped(metric.header) for metric in metrics)} \\\\",
        r"\midrule",
    ]
    for experiment, cells in zip(experiments, _cells(experiments, metrics, r"\textbf{{{}}}"), strict=True):
        figures = " & ".join(cells).replace(" ± ", r" $\pm$ ").replace("–", "--")
        lines.append(rf"{_escaped(experiment.name)} & {len(experiment.runs)} & {figures} \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def csv_of_table(experiments: Sequence[Experiment], metrics: Sequence[Metric]) -> str:
    """A row a method and metric, unrounded, as fractions of 1; ranks as they are."""
    rows = []
    for experiment in experiments:
        for metric in metrics:
            if summary := summarise(experiment, metric):
                side = experiment.directions[metric.direction]
                sd = summary.sd if summary.runs > 1 else ""
                pool = (summary.runs, len(side.queries), side.pool_size)
                rows.append([experiment.name, metric.direction, metric.name, *pool, summary.mean, sd])
    return csv_text(["method", "direction", "metric", "runs", "queries", "pool_size", "mean", "sd"], rows)


def csv_of_tests(tests: Sequence[PairTest]) -> str:
    """A row a pair and metric, unrounded; differences and errors as fractions of 1. Empty: too few runs."""
    header = [
        *("method", "baseline", "direction", "metric"),
        *("difference_over_clips", "interval_low", "interval_high"),
        *("t_over_queries", "df_over_queries", "p_over_queries", "p_flips_over_queries", "d_z_over_queries"),
        *("t_over_clips", "df_over_clips", "p_over_clips", "p_flips_over_clips", "d_z_over_clips", "p_holm_over_clips"),
        *("sd_runs_method", "sd_runs_baseline", "se_runs", "se_clips"),
        *("t_over_runs", "df_over_runs", "p_over_runs", "run_pairs_ahead", "run_pairs_behind", "run_pairs"),
    ]
    rows = []
    for test in tests:
        queries, clips, doubt = test.over_queries, test.over_clips, test.uncertainty
        welch = doubt.welch
        rows.append(
            [
                *(test.method, test.baseline, test.metric.direction, test.metric.name),
                *(clips.difference, *clips.interval),
                *(queries.t, queries.df, queries.p, test.flips_over_queries, queries.effect_size),
                *(clips.t, clips.df, clips.p, test.flips_over_clips, clips.effect_size, test.p_holm),
                *("" if value != value else value for value in (doubt.sd_a, doubt.sd_b, doubt.se_seeds)),
                doubt.se_queries,
                *((welch.t, welch.df, welch.p) if welch else ("", "", "")),
                *(test.ahead, test.behind, test.run_pairs),
            ]
        )
    return csv_text(header, rows)


def _escaped(text: str) -> str:
    """Text for LaTeX."""
    return "".join(LATEX.get(character, character) for character in text)


def _headers(metrics: Sequence[Metric]) -> list[str]:
    """Names of columns; the first of each direction says which it is."""
    first = {next(metric for metric in metrics if metric.direction == side) for side in {m.direction for m in metrics}}
    return [str(metric) if metric in first else metric.header for metric in metrics]


def _cells(experiments: Sequence[Experiment], metrics: Sequence[Metric], bold: str) -> list[list[str]]:
    """Cells (methods, metrics), "28.2 ± 0.3" in %; the best of a column in bold, and all that look the same."""
    columns = []
    for metric in metrics:
        summaries = [summarise(experiment, metric) for experiment in experiments]
        factor = 1 if metric.is_rank else 100
        means = [None if summary is None else round(factor * summary.mean, 1) for summary in summaries]
        best = (min if metric.is_rank else max)((mean for mean in means if mean is not None), default=None)
        columns.append(
            [
                bold.format(cell(summary, factor)) if len(means) > 1 and mean == best else cell(summary, factor)
                for summary, mean in zip(summaries, means, strict=True)
            ]
        )
    return [list(row) for row in zip(*columns, strict=True)]


def cell(summary: Summary | None, factor: float) -> str:
    """A mean and its standard deviation, "28.2 ± 0.3", times a factor; a dash where there is none."""
    if summary is None:
        return "–"
    return f"{factor * summary.mean:.1f}" + (f" ± {factor * summary.sd:.1f}" if summary.runs > 1 else "")


def row_of_cells(cells: Sequence[str]) -> str:
    """A row of a table in Markdown."""
    return f"| {' | '.join(cells)} |"
