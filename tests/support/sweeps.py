"""Small sweeps, and a program that stands for train.py in them."""

from pathlib import Path
from typing import Any

import yaml

from cli.config_files import CONFIGS
from experiments.sweeps.sweep_file import SweepFile
from experiments.sweeps.trials import Trials

COMMAND = ["${env}", "${interpreter}", "${program}", "fit", "--config", "demo_listnet.yaml", "${args}"]
NAMED = [*COMMAND, "--run.experiment", "tau={model.objective.tau}"]
CONTENT: dict[str, Any] = {
    "program": "train.py",
    "method": "grid",
    "metric": {"name": "val/loss", "goal": "minimize"},
    "command": NAMED,
    "parameters": {"model.objective.tau": {"values": [0.1, 0.2]}, "seed_everything": {"values": [0, 1, 2]}},
}
FILES = sorted((CONFIGS / "sweeps").glob("*.yaml"))

# Stands for train.py: logs the value that it is given, an epoch at a time, into the run's folder.
STUB = """
import os, pathlib, sys, time
options = dict(argument[2:].split("=") for argument in sys.argv[1:] if "=" in argument)
if options["seed_everything"] == "2":
    sys.exit("error: no such seed")
folder = pathlib.Path("runs") / ("tau=" + options["model.objective.tau"]) / options["seed_everything"]
folder.mkdir(parents=True, exist_ok=True)
(folder / "again").write_text(str("--run.resume" in sys.argv))
(folder / "pid").write_text(str(os.getpid()))
rows = ["epoch,val/loss,test/text_to_audio/mAP@10"]
for epoch in range(3):
    rows.append(f"{epoch},{options['model.objective.tau']},")
    (folder / "metrics.csv").write_text("\\n".join([*rows, ""]))
    time.sleep(float(os.environ.get("SLEEP", 0)))
(folder / "metrics.csv").write_text("\\n".join([*rows, ",,0.25", ""]))
"""


def with_(changes: dict[str, Any]) -> dict[str, Any]:
    content = {**CONTENT, **changes}
    return {key: value for key, value in content.items() if value is not None}


def write_sweep(folder: Path, **changes: Any) -> Path:
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(with_({"program": "stub.py", **changes})))
    return path


def open_trials(folder: Path, sweep: SweepFile, extra: list[str] | None = None) -> Trials:
    return Trials(sweep, f"sqlite:///{folder / 'study.db'}", folder, extra or [])
