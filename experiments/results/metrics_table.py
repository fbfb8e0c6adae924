"""The table of metrics beside chance that ends a test."""

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from experiments.run_folder import RunFolder

NOTE = (
    "mAP@10 divides by the relevant items found in the top 10, mAP@10_all by all relevant items; R@k is the share of "
    "relevant items found, hit@k whether any was; ties count at their expected rank."
)


def print_results(model: Any, split: str, folder: RunFolder) -> None:
    """Print every metric of both directions with its chance level."""
    columns = {}
    for direction, result in model.results.items():
        values, chance = result.summary(), result.chance()
        if direction in model.graded:
            values["nDCG@10"] = float(model.graded[direction].nanmean())
            chance["nDCG@10"] = model.graded_chance[direction]
        columns[direction] = (values, chance)
    table = Table(title=escape(f"{folder.path} ({split} split)"), title_justify="left", title_style="bold")
    table.add_column("metric")
    for direction, (values, _) in columns.items():
        name = direction.replace("_", " ")
        table.add_column(f"{name}\n{values['queries']:.0f} in {values['items']:.0f}", justify="right")
        table.add_column("chance", justify="right", style="dim")
    for metric in [name for name in columns["text_to_audio"][0] if name not in ("queries", "items", "tie_rate")]:
        cells = [_format(metric, side[metric]) for pair in columns.values() for side in pair]
        table.add_row(metric, *cells)
    ties = [cell for values, _ in columns.values() for cell in (_format("tie_rate", values["tie_rate"]), "")]
    table.add_row("tie_rate", *ties)
    console = Console()
    console.print(table)
    console.print(NOTE, style="dim")


def _format(metric: str, value: float) -> str:
    return f"{value:.1f}" if metric.endswith("rank") else f"{100 * value:.1f} %"
