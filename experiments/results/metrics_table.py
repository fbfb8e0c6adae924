"""The table of metrics beside chance that ends a test."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from common.directions import TEXT_TO_AUDIO
from evaluation.evaluator import Evaluation
from evaluation.metrics import lower_is_better
from experiments.run_folder import RunFolder

NOTE = (
    "mAP@10 divides by the relevant items found in the top 10, mAP@10_all by all relevant items; R@k is the share of "
    "relevant items found, hit@k whether any was; ties count at their expected rank."
)


def print_results(evaluation: Evaluation, folder: RunFolder) -> None:
    """Print every metric of both directions with its chance level."""
    columns = {side: (ranking.summary(), ranking.chance()) for side, ranking in evaluation.rankings.items()}
    table = Table(title=escape(f"{folder.path} ({evaluation.split} split)"), title_justify="left", title_style="bold")
    table.add_column("metric")
    for direction, (values, _) in columns.items():
        name = direction.replace("_", " ")
        table.add_column(f"{name}\n{values['queries']:.0f} in {values['items']:.0f}", justify="right")
        table.add_column("chance", justify="right", style="dim")
    for metric in [name for name in columns[TEXT_TO_AUDIO][0] if name not in ("queries", "items", "tie_rate")]:
        cells = [shown_value(metric, side[metric]) for pair in columns.values() for side in pair]
        table.add_row(metric, *cells)
    ties = [cell for values, _ in columns.values() for cell in (shown_value("tie_rate", values["tie_rate"]), "")]
    table.add_row("tie_rate", *ties)
    console = Console()
    console.print(table)
    for note in (NOTE, *evaluation.notes):
        console.print(note, style="dim")


def shown_value(metric: str, value: float) -> str:
    """A metric as tables show it: ranks and correlations as they are, all else in percent; a dash for NaN.

    >>> shown_value("mAP@10", 0.2815), shown_value("mean_rank", 12.04), shown_value("spearman", 0.5)
    ('28.1 %', '12.0', '0.500')
    """
    if value != value:
        return "-"
    if metric in ("spearman", "kendall_tau_b"):
        return f"{value:.3f}"
    return f"{value:.1f}" if lower_is_better(metric) else f"{100 * value:.1f} %"
