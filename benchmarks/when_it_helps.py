"""When does learned relevance help? Tables and a figure out of the runs of `configs/sweeps/when_it_helps*.yaml`.

    python benchmarks/when_it_helps.py captions runs/when_it_helps --output docs/evidence
    python benchmarks/when_it_helps.py synthetic runs/when_it_helps_synthetic --output docs/evidence

Each run's settings and metrics go into `STUDY_runs.csv`; every other method is tested against InfoNCE under the same
conditions, into `STUDY_tests.csv` (paired over recordings, Holm's correction over all tests, and Welch's test over
runs); `STUDY.png` shows the differences. Values are fractions of 1.
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
from when_it_helps_figures import FIGURES, Metrics, Row

from common.atomic_files import replacing
from common.settings import setting_at
from evaluation.significance import holm
from experiments.comparison.paired_tests import PairTest, compare_pair
from experiments.comparison.summaries import Metric, run_means
from experiments.loggers.csv_logger import read_rows
from experiments.results.experiment import read_experiment
from experiments.run_folder import RunFolder
from experiments.saved_config import read_saved_config

METHOD = {
    "objective": "model.objective",
    "relevance": "model.relevance",
    "tau": "model.objective.tau",
    "omega": "model.objective.omega",
    "scoring": "model.relevance.scoring",
    "sentence_bert": "model.relevance.model",
    "target_noise": "model.relevance.noise",
}
"""What may differ between a method and its baseline."""
CONDITION = {
    "direction": "model.objective.direction",
    "audio": "data.experts.caption",
    "batch_size": "data.batch_size",
    "lr": "model.optimizer.lr",
    "epochs": "trainer.max_epochs",
    "train_captions": "data.train_captions",
    "label_noise": "data.label_noise",
    "train_fraction": "data.train_fraction",
    "group": "data.related.group",
}
"""What they share."""
SETTINGS = {**METHOD, **CONDITION}
ANNOTATED: Metrics = {
    ("test", Metric("text_to_audio", "mAP@10")): "annotated pair, mAP@10",
    ("test", Metric("audio_to_text", "mAP@10_all")): "annotated pairs, audio to text, mAP@10_all",
}
STUDIES: dict[str, Metrics] = {
    "captions": {
        **ANNOTATED,
        ("test", Metric("text_to_audio", "mAP@16_all_listed")): "all relevant clips listed by listeners, mAP@16",
        ("validation", Metric("text_to_audio", "nDCG@10_rated")): "listeners' ratings, nDCG@10",
    },
    "synthetic": {
        **ANNOTATED,
        ("test", Metric("text_to_audio", "nDCG@10")): "known relevance, nDCG@10",
        ("test", Metric("audio_to_text", "nDCG@10")): "known relevance, audio to text, nDCG@10",
    },
}


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
        numbers = ", ".join(f"{option:g}" for option in options.values() if option is not None)
        return value["class_path"].rpartition(".")[2] + (f" ({numbers})" if numbers else "")
    if isinstance(value, str) and "/" in value:
        return re.sub(r"^package:|/model$", "", value).rstrip("/").rpartition("/")[2]
    return value


def _last(run: Path, name: str) -> float:
    """What a run logged last under a name."""
    return float([row[name] for row in read_rows(RunFolder(run).metrics) if name in row][-1])


class Method:
    """An experiment's results on both splits, and its settings."""

    def __init__(self, folder: Path, splits: Iterable[str]) -> None:
        self.splits = {split: read_experiment(folder, split) for split in splits}
        self.runs: Sequence[Path] = self.splits["test"].runs
        self.settings = settings_of(self.runs[0])
        self.condition = tuple(self.settings[key] for key in CONDITION)
        self.is_baseline = self.settings["objective"] == "InfoNCE"

    def means(self, split: str, metric: Metric) -> Any:
        return run_means(self.splits[split], metric)


Tested = tuple[Method, str, PairTest]
"""A method, the split it was tested on, and the test against its baseline."""


def rows_of_runs(methods: Iterable[Method], metrics: Metrics) -> list[Row]:
    """A row a run: settings, seed, metrics, mean entropy of the targets in nats, checksums, seconds of training."""
    rows = []
    for method in methods:
        means = {f"{split} {metric.key}": method.means(split, metric) for split, metric in metrics}
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


def tests_of(methods: Sequence[Method], metrics: Metrics, permutations: int) -> list[Tested]:
    """Every method against the baseline of its condition, by each metric; Holm's correction over all."""
    baselines = {method.condition: method for method in methods if method.is_baseline}
    tests: list[Tested] = []
    for method in methods:
        baseline = baselines.get(method.condition)
        if baseline is None or method is baseline:
            continue
        for split, metric in metrics:
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


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """Write rows that have the same columns."""
    with replacing(path) as beside, beside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("study", choices=STUDIES)
    parser.add_argument("folder", type=Path, help="run.root of the sweep")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--permutations", type=int, default=10_000)
    options = parser.parse_args()
    metrics = STUDIES[options.study]
    splits = dict.fromkeys(split for split, _ in metrics)
    folders = sorted(path.parent.parent for path in options.folder.rglob("queries_test.parquet"))
    methods = [Method(folder, splits) for folder in dict.fromkeys(folders)]
    methods.sort(key=lambda method: json.dumps(method.settings, sort_keys=True))
    tests = tests_of(methods, metrics, options.permutations)
    options.output.mkdir(parents=True, exist_ok=True)
    write_csv(options.output / f"{options.study}_runs.csv", rows_of_runs(methods, metrics))
    write_csv(options.output / f"{options.study}_tests.csv", rows_of_tests(tests))
    shown = [(method.settings, split, test) for method, split, test in tests]
    FIGURES[options.study](options.output / f"{options.study}.png", shown, metrics)
    print(f"{sum(len(method.runs) for method in methods)} runs, {len(tests)} tests: {options.output}")


if __name__ == "__main__":
    main()
