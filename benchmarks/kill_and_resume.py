"""Twenty runs killed at random moments, each resumed: do they end like one never interrupted?

    python benchmarks/kill_and_resume.py --runs 20 --seed 0

Every run is `train.py fit` on a small synthetic corpus with dropout, masks and random crops, and a checkpoint every few
steps. It gets SIGKILL at a moment drawn uniformly over the time that the uninterrupted run took, from the start of
Python to the end of the test, and is then resumed with `--run.resume true`. Compared are the final and best weights,
bit for bit, the per-query results of the test, and metrics.csv. Exit code 1 if anything differs.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch

TRAIN = Path(__file__).parent.parent / "train.py"
SETTINGS = {
    "config": "demo_listnet",
    "data.train_clips": 64,
    "data.validation_clips": 24,
    "data.test_clips": 24,
    "data.batch_size": 8,
    "data.max_seconds": 2,
    "data.num_workers": 1,
    "run.save_minutes": 0.01,
    "trainer.max_epochs": 2,
    "trainer.accelerator": "cpu",
    "trainer.enable_progress_bar": "false",
    "trainer.enable_model_summary": "false",
    "trainer.log_every_n_steps": 5,
}


def start(root: Path, corpus: Path, *more: str) -> "subprocess.Popen[bytes]":
    """A run in a process of its own; one thread, since two sum in changing order."""
    flags = {**SETTINGS, "data.root": corpus, "run.root": root}
    arguments = [text for name, value in flags.items() for text in (f"--{name}", str(value))]
    return subprocess.Popen(
        [sys.executable, str(TRAIN), "fit", *arguments, *more],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def finish(process: "subprocess.Popen[bytes]") -> None:
    _, said = process.communicate()
    if process.returncode:
        raise SystemExit(f"a run ended with exit status {process.returncode}: {said.decode()[-500:]}")


def stage(run: Path) -> str:
    """What a killed run leaves: how far its last checkpoint was, and whether it was being tested."""
    last = run / "checkpoints" / "last.ckpt"
    if not last.is_file():
        return "no checkpoint yet"
    state = torch.load(last, weights_only=True, mmap=True)
    return f"checkpoint at step {state['global_step']}" + (
        ", tested" if (run / "queries_test.parquet").is_file() else ""
    )


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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="keep the runs here (default: a temporary folder)")
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        corpus = folder / "corpus"
        finish(start(folder / "first", corpus))  # renders the corpus, embeds its captions
        began = time.monotonic()
        finish(start(folder / "whole", corpus))
        duration = time.monotonic() - began
        whole = folder / "whole" / "demo_listnet" / "0"
        fit = json.loads((whole / "provenance.json").read_text())["fit"]
        print(f"uninterrupted: {duration:.1f} s, {fit['steps']} steps", flush=True)
        failed = 0
        for number in range(options.runs):
            root = folder / str(number)
            run = root / "demo_listnet" / "0"
            moment = rng.uniform(0, duration)
            process = start(root, corpus)
            time.sleep(moment)
            os.killpg(process.pid, signal.SIGKILL)  # the data worker too, as when a machine goes down
            process.communicate()
            left = stage(run)
            finish(start(root, corpus, "--run.resume", "true"))
            found = differences(run, whole)
            failed += bool(found)
            verdict = f"DIFFERENT: {', '.join(found)}" if found else "same"
            print(f"{number + 1:2}: killed after {moment:5.1f} s, {left:34} resumed: {verdict}", flush=True)
    print(f"{options.runs - failed} of {options.runs} resumed runs ended like the uninterrupted one")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
