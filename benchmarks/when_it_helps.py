"""When does learned relevance help? Tables and a figure out of the runs of `configs/sweeps/when_it_helps*.yaml`.

    python benchmarks/when_it_helps.py runs/when_it_helps --output docs/evidence

Each run's settings and metrics go into `captions_runs.csv`; ListNet is tested against InfoNCE in the same
direction, at the same noise, batch size and encoders, by annotated pairs, lists and ratings of listeners, into
`captions_tests.csv` (paired over recordings, Holm's correction over all tests, and Welch's test over runs);
`captions.png` shows the differences. Values are fractions of 1.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from timing import command_line

from common.atomic_files import replacing
from common.settings import setting_at
from evaluation.significance import holm
from experiments.comparison.paired_tests import PairTest, compare_pair
from experiments.comparison.summaries import Metric, run_means
from experiments.figures.style import BLUE, GREEN, GREY, ORANGE, new_figure, save_figure, without_frame
from experiments.loggers.csv_logger import read_rows
from experiments.results.experiment import read_experiment
from experiments.run_folder import RunFolder
from experiments.saved_config import read_saved_config

METRICS = {
    ("test", Metric("text_to_audio", "mAP@10")): "annotated pair, mAP@10",
    ("test", Metric("audio_to_text", "mAP@10_all")): "annotated pairs, audio to text, mAP@10_all",
    ("test", Metric("text_to_audio", "mAP@16_all_listed")): "all relevant clips listed by listeners, mAP@16",
    ("validation", Metric("text_to_audio", "nDCG@10_rated")): "listeners' ratings, nDCG@10",
}
SETTINGS = {
    "objective": "model.objective",
    "direction": "model.objective.direction",
    "tau": "model.objective.tau",
    "omega": "model.objective.omega",
    "scoring": "model.relevance.scoring",
    "targets": "sentence_bert",
    "audio": "data.experts.caption",
    "batch_size": "data.batch_size",
    "lr": "model.optimizer.lr",
    "epochs": "trainer.max_epochs",
}
CONDITION = ("direction", "targets", "audio", "batch_size", "lr", "epochs")
"""What a method and its baseline share."""
Row = dict[str, Any]


def settings_of(run: Path) -> Row:
    """What varies in the study, of one run."""
    config = read_saved_config(RunFolder(run).config)
    return {name: _plain(config, key) for name, key in SETTINGS.items()}


def _plain(config: Any, key: str) -> Any:
    """A setting; of a class its name and options, of a path its last part; None where there is none."""
    try:
        value = setting_at(config, key)
    except (KeyError, TypeError):
        return None
    if isinstance(value, dict) and "class_path" in value:
        options = value.get("init_args") or {} if key.endswith("scoring") else {}
        numbers = ", ".join(f"{name} {option:g}" for name, option in options.items() if option is not None)
        return value["class_path"].rpartition(".")[2] + (f" ({numbers})" if numbers else "")
    if isinstance(value, str) and "/" in value:
        return re.sub(r"^package:|/model$", "", value).rstrip("/").rpartition("/")[2]
    return value


def _last(run: Path, name: str) -> float:
    """What a run logged last under a name."""
    return float([row[name] for row in read_rows(RunFolder(run).metrics) if name in row][-1])


class Method:
    """An experiment's results on both splits, and its settings."""

    def __init__(self, folder: Path) -> None:
        self.splits = {split: read_experiment(folder, split) for split in ("test", "validation")}
        self.runs: Sequence[Path] = self.splits["test"].runs
        self.settings = settings_of(self.runs[0])
        self.condition = tuple(self.settings[key] for key in CONDITION)
        self.is_baseline = self.settings["objective"] == "InfoNCE"

    def means(self, split: str, metric: Metric) -> Any:
        return run_means(self.splits[split], metric)


Tested = tuple[Method, str, PairTest]
"""A method, the split it was tested on, and the test against its baseline."""


def rows_of_runs(methods: Iterable[Method]) -> list[Row]:
    """A row a run: settings, seed, metrics, mean entropy of the targets in nats, checksums, seconds of training."""
    rows = []
    for method in methods:
        means = {f"{split} {metric.key}": method.means(split, metric) for split, metric in METRICS}
        for i, run in enumerate(method.runs):
            fit = json.loads((run / "provenance.json").read_text())["fit"]
            values = {name: f"{column[i]:.6f}" for name, column in means.items()}
            facts = {
                "target_entropy": f"{_last(run, 'train/target_entropy'):.4f}",
                "weights_sha256": fit["weights_sha256"]["best"][:16],
                "train_sha256": fit["data"]["train"]["captions_sha256"][:16],
                "seconds": fit["wall_seconds"],
            }
            rows.append({**settings_of(run), "seed": run.name, **values, **facts})
    return rows


def tests_of(methods: Sequence[Method], permutations: int) -> list[Tested]:
    """Every method against the baseline of its condition, by each metric; Holm's correction over all."""
    baselines = {method.condition: method for method in methods if method.is_baseline}
    tests: list[Tested] = []
    for method in methods:
        baseline = baselines.get(method.condition)
        if baseline is None or method is baseline:
            continue
        for split, metric in METRICS:
            test = compare_pair(baseline.splits[split], method.splits[split], metric, permutations)
            tests.append((method, split, test))
    corrected = holm([test.over_clips.p for _, _, test in tests]).tolist() if tests else []
    return [(*each[:2], replace(each[2], p_holm=p)) for each, p in zip(tests, corrected, strict=True)]


def rows_of_tests(tests: Iterable[Tested]) -> list[Row]:
    """A row a test: difference of method and baseline, interval and p over recordings, Holm's p, Welch's over runs."""
    rows = []
    for method, split, test in tests:
        welch = test.uncertainty.welch
        rows.append(
            {
                **method.settings,
                "runs": len(method.runs),
                "metric": f"{split} {test.metric.key}",
                "difference": f"{test.over_clips.difference:.6f}",
                "low": f"{test.over_clips.interval[0]:.6f}",
                "high": f"{test.over_clips.interval[1]:.6f}",
                "recordings": int(test.over_clips.df) + 1,
                "p_recordings": f"{test.over_clips.p:.3g}",
                "p_sign_flips": f"{test.flips_over_clips:.3g}",
                "p_holm": f"{test.p_holm:.3g}",
                "p_runs": f"{welch.p:.3g}" if welch else "",
            }
        )
    return rows


def draw(path: Path, tests: Sequence[Tested]) -> None:
    """ListNet less InfoNCE in both directions, a column a metric: by batch size and noise, by omega and batch size."""
    figure = new_figure(4 * len(METRICS), 7)
    shown = [each for each in tests if each[0].settings["direction"] == "both"]
    rows: list[tuple[str, str, Row]] = [
        ("batch_size", "audio", {"omega": 0.05}),
        ("omega", "batch_size", {"audio": "noise_1"}),
    ]
    for axes_of_row, (x, color, fixed) in zip(figure.subplots(2, len(METRICS)), rows, strict=True):
        chosen = [each for each in shown if fixed.items() <= each[0].settings.items()]
        for axes, ((split, metric), title) in zip(axes_of_row, METRICS.items(), strict=True):
            _draw_panel(axes, [each for each in chosen if (each[1], each[2].metric) == (split, metric)], x, color)
            axes.set_title(title, fontsize=9)
        axes_of_row[0].set_ylabel("ListNet less InfoNCE, points")
        axes_of_row[0].legend(frameon=False, fontsize=8)
    with replacing(path) as beside:
        save_figure(figure, beside)


def _draw_panel(axes: Any, tests: Sequence[Tested], x: str, color: str) -> None:
    """The differences in points with their 95 % intervals over recordings."""
    places = sorted({method.settings[x] for method, _, _ in tests})
    levels = sorted({method.settings[color] for method, _, _ in tests})
    for i, (level, shade) in enumerate(zip(levels, (BLUE, ORANGE, GREEN), strict=False)):
        found = {method.settings[x]: test.over_clips for method, _, test in tests if method.settings[color] == level}
        at = [place for place in places if place in found]
        middle = [100 * found[place].difference for place in at]
        half = [100 * (found[place].interval[1] - found[place].difference) for place in at]
        xs = [places.index(place) + 0.12 * (i - 1) for place in at]
        axes.errorbar(xs, middle, half, color=shade, marker="o", capsize=3, label=f"{color} {level}".replace("_", " "))
    axes.axhline(0, color=GREY, linewidth=0.8)
    axes.set_xticks(range(len(places)), [str(place) for place in places])
    axes.set_xlabel(x.replace("_", " "))
    without_frame(axes)


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """Write rows that have the same columns."""
    with replacing(path) as beside, beside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("folder", type=Path, help="run.root of the sweep")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--permutations", type=int, default=10_000)
    options = parser.parse_args()
    folders = sorted(path.parent.parent for path in options.folder.glob("*/*/queries_test.parquet"))
    methods = [Method(folder) for folder in dict.fromkeys(folders)]
    methods.sort(key=lambda method: json.dumps(method.settings, sort_keys=True))
    tests = tests_of(methods, options.permutations)
    options.output.mkdir(parents=True, exist_ok=True)
    write_csv(options.output / "captions_runs.csv", rows_of_runs(methods))
    write_csv(options.output / "captions_tests.csv", rows_of_tests(tests))
    draw(options.output / "captions.png", tests)
    print(f"{sum(len(method.runs) for method in methods)} runs, {len(tests)} tests: {options.output}")


if __name__ == "__main__":
    main()
