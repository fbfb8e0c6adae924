"""The report of a comparison: on the screen, and as files."""

import sys
from collections.abc import Sequence
from itertools import groupby, zip_longest
from pathlib import Path
from typing import Any

from rich.console import Console

from common.class_defaults import with_later_settings
from common.errors import RunError
from common.settings import differing_settings
from experiments.comparison.league import league_markdown, league_note, league_table
from experiments.comparison.paired_tests import PairTest
from experiments.comparison.summaries import Metric
from experiments.comparison.tables import (
    csv_of_table,
    csv_of_tests,
    latex,
    markdown,
    pools_text,
    runs_text,
    screen_tables,
)
from experiments.comparison.text import conclusion, lines_of
from experiments.figures.comparison import draw_comparison
from experiments.result_files import write_together
from experiments.results.experiment import Experiment
from experiments.run_folder import RunFolder
from experiments.saved_config import read_saved_config

FILES = ("table.md", "table.tex", "table.csv", "tests.csv", "league.md", "comparison.png")
"""All that a comparison may write."""
MAY_DIFFER = (
    "data.init_args.root",
    "data.init_args.packed",
    "data.init_args.num_workers",
    "data.init_args.seed",
    "trainer.enable_",
    "trainer.logger",
)
"""Beginnings of the settings in which runs of one experiment may differ."""


def print_comparison(
    experiments: Sequence[Experiment],
    shown: Sequence[Metric],
    tests: Sequence[PairTest],
    split: str,
    *,
    intersected: bool,
    league: bool = False,
) -> None:
    """Print the table, what each test found, and a sentence a pair; on stderr which folders were left out.

    As a league, which needs tests, all of this is one table; they are of each method against the first one.
    """
    console = Console(highlight=False, width=200)  # a narrower one would drop letters of names and figures
    for experiment in experiments:
        if different := differing_runs(experiment):
            print(f"warning: {different}", file=sys.stderr)
        if experiment.skipped:
            names = ", ".join(folder.name for folder in experiment.skipped)
            print(f"warning: {experiment.name}: left out, queries_{split}.parquet is missing: {names}", file=sys.stderr)
    if intersected:
        own = [number for experiment in experiments for number in experiment.own_recordings]
        captions, recordings = (len(side.queries) for side in experiments[0].directions.values())
        say(
            console,
            f"Evaluated again on the {recordings:,} recordings and {captions:,} captions that all runs share; the "
            f"runs' own pools have {min(own):,} to {max(own):,} recordings. Metrics of one's own "
            "cannot be computed again.",
        )
    say(console, pools_text(experiments[0], split))
    if league:
        console.print(league_table(experiments, tests))
        say(console, league_note(experiments, tests))
        return
    for table in screen_tables(experiments, shown):
        console.print(table)
    say(console, runs_text(experiments, shown))
    if not tests:
        say(console, "One method: nothing to test.")
    for test in tests:
        say(console, "", *lines_of(test, len(tests)))
    for _, pair in groupby(tests, key=lambda test: (test.baseline, test.method)):
        say(console, "", conclusion(list(pair)))


def differing_runs(experiment: Experiment) -> str:
    """Settings in which the runs of an experiment differ besides their seed, by their saved configs; empty: none."""
    try:
        found = first_difference(experiment.runs, MAY_DIFFER)
    except RunError as error:
        return f"{experiment.name}: the settings of its runs were not compared ({error})"
    if found is None:
        return ""
    run, other, differences = found
    return (
        f"{experiment.name}: runs {run.name} and {other.name} have different settings ({'; '.join(differences[:3])}), "
        "yet count as one experiment"
    )


def first_difference(runs: Sequence[Path], may_differ: tuple[str, ...]) -> tuple[Path, Path, list[str]] | None:
    """The first run whose saved config differs from that of the first of all, that one, and how; None: there is none.

    Args:
        runs: run folders; those without a saved config are left out.
        may_differ: beginnings of the settings that do not count; nor do paths that differ in the runs' own seeds alone.

    Raises:
        RunError: a config cannot be read.
    """
    configs = [(run, read_saved_config(path)) for run in runs if (path := RunFolder(run).config).is_file()]
    for run, config in configs[1:]:
        first_run, first = configs[0]
        seeds = str(first.get("seed_everything")), str(config.get("seed_everything"))
        config = _with_paths_of(first, config, seeds)
        if _differing(first, config, may_differ):  # an option that one run is too old for counts as its default
            first, config = with_later_settings(first, config), with_later_settings(config, first)
        if differences := _differing(first, config, may_differ):
            return first_run, run, differences
    return None


def _with_paths_of(first: Any, second: Any, seeds: tuple[str, str]) -> Any:
    """`second` with the paths of `first`, such as those of teachers, where only one's seed is in place of the other's.

    >>> _with_paths_of({"teachers": ["runs/a/0", "runs/b/0"]}, {"teachers": ["runs/a/1", "runs/b/2"]}, ("0", "1"))
    {'teachers': ['runs/a/0', 'runs/b/2']}
    """
    if isinstance(first, dict) and isinstance(second, dict):
        return {name: _with_paths_of(first.get(name), value, seeds) for name, value in second.items()}
    if isinstance(first, list) and isinstance(second, list):
        return [_with_paths_of(*pair, seeds) for pair in zip_longest(first, second)][: len(second)]
    if isinstance(first, str) and isinstance(second, str) and "/" in first:
        parts = zip_longest(first.split("/"), second.split("/"))
        return first if all(a == b or (a, b) == seeds for a, b in parts) else second
    return second


def _differing(first: dict[str, Any], second: dict[str, Any], may_differ: tuple[str, ...]) -> list[str]:
    return [
        difference
        for part in ("model", "data", "trainer")
        for difference in differing_settings(first.get(part), second.get(part), part)
        if not difference.startswith(may_differ)
    ]


def say(console: Console, *lines: str) -> None:
    """Print lines as they are: names with brackets are no markup, and long lines stay in one piece."""
    for line in lines:
        console.print(line, soft_wrap=True, markup=False)


def write_comparison(
    folder: Path,
    experiments: Sequence[Experiment],
    shown: Sequence[Metric],
    tests: Sequence[PairTest],
    split: str,
    *,
    league: bool = False,
) -> None:
    """Write all files or, when one fails, none: with tests a figure of the pairs, or in its place `league.md`."""
    contents: dict[str, Any] = {
        "table.md": markdown(experiments, shown, split),
        "table.tex": latex(experiments, shown, split),
        "table.csv": csv_of_table(experiments, shown),
        "tests.csv": csv_of_tests(tests),
    }
    if league:
        contents["league.md"] = league_markdown(experiments, tests)
    elif tests:
        contents["comparison.png"] = draw_comparison(experiments, tests)
    write_together(folder, contents, FILES)
