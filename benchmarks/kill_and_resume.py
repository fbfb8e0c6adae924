"""Twenty runs killed at random moments, each resumed: do they end like one never interrupted?

    python benchmarks/kill_and_resume.py --runs 20 --seed 0

Every run is `train.py fit` on a small synthetic corpus with dropout, masks and random crops, and a checkpoint every few
steps. It gets SIGKILL at a moment drawn uniformly over the time that the uninterrupted run took, from the start of
Python to the end of the test, and is then resumed with `--run.resume true`. Compared are the final and best weights,
bit for bit, the per-query results of the test, and metrics.csv. Exit code 1 if anything differs.

One thread computes in each process, unless OMP_NUM_THREADS says otherwise.
"""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pyarrow.parquet as pq
import torch
from timing import QUIET, TRAIN, command_line, flags, one_thread, timed

SETTINGS = {
    "config": "demo_listnet",
    "data.train_clips": 48,
    "data.validation_clips": 24,
    "data.test_clips": 24,
    "data.batch_size": 8,
    "data.max_seconds": 2,
    "data.num_workers": 1,
    "run.save_minutes": 0.01,
    "trainer.max_epochs": 2,
    "trainer.callbacks+": "kill_and_resume.Marks",
    **QUIET,
    "trainer.log_every_n_steps": 5,
}


class Marks(L.Callback):
    """Says on stdout where a run is."""

    def _mark(self, stage: str, trainer: L.Trainer) -> None:
        print(f"mark: {stage}, step {trainer.global_step}", flush=True)

    def on_train_batch_start(self, trainer: L.Trainer, *rest: Any) -> None:
        self._mark("training", trainer)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._mark("validation", trainer)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._mark("after validation", trainer)

    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._mark("test", trainer)

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._mark("after test", trainer)


def start(folder: Path, name: str, *more: str) -> "subprocess.Popen[bytes]":
    """The run `folder/name/0` in a process of its own; what it says goes to `folder/name.log`."""
    settings = {**SETTINGS, "data.root": folder / "corpus", "run.root": folder, "run.experiment": name}
    with (folder / f"{name}.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, TRAIN, "fit", *flags(settings), *more],
            env=one_thread(PYTHONPATH=str(Path(__file__).parent)),
            stdout=log,
            stderr=subprocess.STDOUT,
        )


def finish(folder: Path, name: str, *more: str) -> None:
    """Let a run come to its end."""
    if status := start(folder, name, *more).wait():
        raise SystemExit(f"a run ended with exit status {status}: {(folder / f'{name}.log').read_text()[-500:]}")


def kill(folder: Path, name: str, moment: float) -> str:
    """Begin a run and kill it after `moment` seconds; says where it was then. Its data workers die by themselves."""
    process = start(folder, name)
    try:
        process.wait(timeout=moment)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    marks = [line for line in (folder / f"{name}.log").read_text().splitlines() if line.startswith("mark: ")]
    where = marks[-1].removeprefix("mark: ") if marks else "start-up"
    return "at its end" if process.returncode == 0 else where


def saved_step(run: Path) -> str:
    """Where a resumed run continues."""
    last = run / "checkpoints" / "last.ckpt"
    return f"step {torch.load(last, weights_only=True)['global_step']}" if last.is_file() else "the beginning"


def differences(run: Path, whole: Path) -> list[str]:
    """Names of what is not the same in two run folders."""
    found = []
    for name in ("last", "best"):
        ours, theirs = (
            torch.load(folder / "checkpoints" / f"{name}.ckpt", weights_only=True)["state_dict"]
            for folder in (run, whole)
        )
        if ours.keys() != theirs.keys() or not all(torch.equal(ours[key], theirs[key]) for key in theirs):
            found.append(f"{name} weights")
    if not pq.read_table(run / "queries_test.parquet").equals(pq.read_table(whole / "queries_test.parquet")):
        found.append("queries_test.parquet")
    if (run / "metrics.csv").read_bytes() != (whole / "metrics.csv").read_bytes():
        found.append("metrics.csv")
    return found


def main() -> int:
    parser = command_line(__doc__)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="keep the runs here (default: a temporary folder)")
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        finish(folder, "first")  # renders the corpus, embeds its captions
        duration, _ = timed(lambda: finish(folder, "whole"))
        whole = folder / "whole" / "0"
        print(f"uninterrupted: {duration:.1f} s, {saved_step(whole)}", flush=True)
        failed = 0
        for number in range(options.runs):
            name, moment = f"killed{number + 1}", rng.uniform(0, duration)
            where = kill(folder, name, moment)
            step = saved_step(folder / name / "0")
            finish(folder, name, "--run.resume=true")
            found = differences(folder / name / "0", whole)
            failed += bool(found)
            outcome = f"DIFFERENT: {', '.join(found)}" if found else "equal"
            print(f"{number + 1:2}: killed {moment:5.1f} s, {where:26} from {step:14} {outcome}", flush=True)
    print(f"{options.runs - failed} of {options.runs} resumed runs ended like the uninterrupted one")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
