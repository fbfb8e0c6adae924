"""What came out of a sweep: rows of a table, one a trial; the table on the screen and as csv; a picture."""

import csv
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from optuna.trial import FrozenTrial, TrialState
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from common.atomic_files import replacing
from experiments.figures.style import BLUE, ORANGE, new_figure, without_frame
from experiments.sweeps.parameters import value_text
from experiments.sweeps.sweep_file import SweepFile

SEED = "seed_everything"
STATES = {
    TrialState.COMPLETE: "done",
    TrialState.PRUNED: "ended early",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}
FIRST_TESTED = "text_to_audio/mAP@10"
Row = dict[str, Any]


def rows_of_trials(sweep: SweepFile, trials: Sequence[FrozenTrial]) -> list[Row]:
    """A row a trial, best first, then those without a value: trial, state, settings, the metric, test results."""
    rows = []
    for trial in trials:
        attributes = trial.user_attrs
        tested = {key: value for key, value in attributes.items() if key.startswith("tested ")}
        rows.append(
            {
                "trial": attributes.get("place", trial.number),
                "state": f"as {attributes['same_as']}" if "same_as" in attributes else STATES[trial.state],
                **{key: attributes.get("settings", {}).get(key) for key in sweep.parameters},
                sweep.metric: trial.value if trial.state == TrialState.COMPLETE else None,
                **tested,
                "minutes": attributes.get("minutes"),
                "folder": attributes.get("folder"),
                "reason": attributes.get("reason"),
            }
        )
    sign = -1 if sweep.maximise else 1
    return sorted(rows, key=lambda row: (row[sweep.metric] is None, sign * (row[sweep.metric] or 0), row["trial"]))


def varying(sweep: SweepFile) -> list[str]:
    """The settings that vary."""
    return [key for key, parameter in sweep.parameters.items() if len(parameter.values) != 1]


def over_seeds(sweep: SweepFile, rows: Sequence[Row]) -> dict[tuple[str, ...], list[float]]:
    """The metric of all finished trials by their settings without the seed, in the order of the rows."""
    keys = [key for key in varying(sweep) if key != SEED]
    values: dict[tuple[str, ...], list[float]] = defaultdict(list)
    for row in rows:
        if row["state"] == "done":
            values[tuple(value_text(row[key]) for key in keys)].append(row[sweep.metric])
    return dict(values)


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """Write all rows, with every column that any of them has."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    with replacing(path) as beside, beside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


def print_results(sweep: SweepFile, rows: Sequence[Row]) -> None:
    """Print the trials, and means over seeds where seeds vary."""
    console = Console(width=None if sys.stdout.isatty() else 160)
    table = Table(title=escape(f"{sweep.name}: {len(rows)} trials"), title_justify="left", title_style="bold")
    for column in ("trial", "state", *varying(sweep)):
        table.add_column(escape(column), overflow="fold")
    for column in (escape(sweep.metric), f"tested {FIRST_TESTED}", "minutes"):
        table.add_column(column, justify="right", overflow="fold")
    has_failed = any(row["reason"] for row in rows)
    if has_failed:
        table.add_column("reason", overflow="fold")
    for row in rows:
        figures = [_figure(row[sweep.metric]), _figure(row.get(f"tested {FIRST_TESTED}")), _figure(row["minutes"], 1)]
        texts = [escape(value_text(row[key])) for key in varying(sweep)]
        reason = [escape(row["reason"] or "")] if has_failed else []
        table.add_row(str(row["trial"]), row["state"], *texts, *figures, *reason)
    console.print(table)
    if SEED in varying(sweep):
        _print_over_seeds(console, sweep, rows)


def _print_over_seeds(console: Console, sweep: SweepFile, rows: Sequence[Row]) -> None:
    keys = [key for key in varying(sweep) if key != SEED]
    table = Table(title="over seeds", title_justify="left", title_style="bold")
    for key in keys:
        table.add_column(escape(key), overflow="fold")
    for column in ("runs", f"mean {escape(sweep.metric)}", "sd"):
        table.add_column(column, justify="right")
    for settings, values in over_seeds(sweep, rows).items():
        spread = _figure(stdev(values)) if len(values) > 1 else "one run"
        table.add_row(*map(escape, settings), str(len(values)), _figure(mean(values)), spread)
    console.print(table)


def draw_sweep(path: Path, sweep: SweepFile, rows: Sequence[Row]) -> bool:
    """Draw the metric over the settings; False where no trial has ended well.

    Two settings of numbers, each pair tried, make a heat map; one makes a curve; else each combination has a line of
    its own, best first, with a dot for each seed.
    """
    values = over_seeds(sweep, rows)
    if not values:
        return False
    keys = [key for key in varying(sweep) if key != SEED]
    numeric = [all(_is_number(settings[i]) for settings in values) for i in range(len(keys))]
    figure = new_figure(9, 5.5)
    axes = figure.subplots()
    steps = [sorted({float(settings[i]) for settings in values}) for i in range(len(keys))] if all(numeric) else []
    if len(steps) == 2 and len(values) == len(steps[0]) * len(steps[1]):
        _draw_map(figure, axes, sweep, keys, steps, values)
    elif len(steps) == 1:
        _draw_curve(axes, sweep, keys[0], values)
    else:
        height = 1.5 + 0.4 * len(values)
        figure.set_size_inches(9, height)
        _draw_dots(axes, sweep, values)
    done = sum(len(runs) for runs in values.values())
    axes.set_title(f"{sweep.name}: {done} of {len(rows)} trials", parse_math=False)
    with replacing(path) as beside:
        figure.savefig(beside, dpi=110)
    return True


def _draw_map(
    figure: Any, axes: Any, sweep: SweepFile, keys: list[str], steps: list[list[float]], values: dict[Any, list[float]]
) -> None:
    means = {(float(a), float(b)): mean(runs) for (a, b), runs in values.items()}
    grid = [[means[a, b] for b in steps[1]] for a in steps[0]]
    image = axes.imshow(grid, cmap="viridis", aspect="auto", origin="lower")
    axes.set_yticks(range(len(steps[0])), [f"{step:g}" for step in steps[0]])
    axes.set_xticks(range(len(steps[1])), [f"{step:g}" for step in steps[1]])
    axes.set(xlabel=keys[1], ylabel=keys[0])
    middle = (min(map(min, grid)) + max(map(max, grid))) / 2
    for y, line in enumerate(grid):
        for x, value in enumerate(line):
            axes.text(x, y, f"{value:.4g}", ha="center", va="center", color="black" if value > middle else "white")
    figure.colorbar(image, label=sweep.metric)


def _draw_curve(axes: Any, sweep: SweepFile, key: str, values: dict[Any, list[float]]) -> None:
    ordered = sorted((float(settings[0]), runs) for settings, runs in values.items())
    axes.plot([x for x, _ in ordered], [mean(runs) for _, runs in ordered], color=BLUE)
    axes.plot(*zip(*((x, run) for x, runs in ordered for run in runs), strict=True), "o", color=BLUE, alpha=0.6)
    if sweep.parameters[key].distribution == "log_uniform_values":
        axes.set_xscale("log")
    axes.set(xlabel=key, ylabel=sweep.metric)
    without_frame(axes)


def _draw_dots(axes: Any, sweep: SweepFile, values: dict[Any, list[float]]) -> None:
    ordered = sorted(values.items(), key=lambda pair: mean(pair[1]), reverse=not sweep.maximise)
    for y, (_, runs) in enumerate(ordered):
        axes.plot(runs, [y] * len(runs), "o", color=BLUE, alpha=0.6)
        axes.plot(mean(runs), y, "|", color=ORANGE, markersize=18, markeredgewidth=2)
    axes.set_yticks(range(len(ordered)), [", ".join(settings) or sweep.name for settings, _ in ordered])
    axes.set(xlabel=f"{sweep.metric} (dots: runs, bar: mean)", ylim=(-0.6, len(ordered) - 0.4))
    axes.grid(axis="x", alpha=0.3)
    without_frame(axes)


def _figure(value: float | None, digits: int = 4) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
