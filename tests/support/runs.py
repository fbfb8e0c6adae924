"""Small runs of `train.py fit` on the synthetic corpus, whole or killed at a chosen moment."""

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from datamodules.synthetic import Synthetic
from lightning_modules.dual_encoder import DualEncoder
from train import main

ROOT = Path(__file__).parents[2]
CLIPS = {"train_clips": 12, "validation_clips": 4, "test_clips": 6}


@cache
def _rendered() -> Path:
    """The corpus of all these runs."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    Synthetic(str(folder / "corpus"), *CLIPS.values()).prepare_data()
    return folder / "corpus"


def arguments(folder: Path, epochs: int = 1) -> list[str]:
    """Flags of a run in `folder`/runs/demo_listnet/0 on 12 training clips, which are put into `folder`/corpus."""
    if not (folder / "corpus").exists():
        shutil.copytree(_rendered(), folder / "corpus")
    options = {
        "config": "demo_listnet",
        "data.root": folder / "corpus",
        **{f"data.{name}": clips for name, clips in CLIPS.items()},
        "data.batch_size": 6,
        "data.num_workers": 0,
        "run.root": folder / "runs",
        "trainer.max_epochs": epochs,
        "trainer.accelerator": "cpu",
        "trainer.enable_progress_bar": "false",
        "trainer.enable_model_summary": "false",
        "trainer.log_every_n_steps": 1,
    }
    return [text for name, value in options.items() for text in (f"--{name}", str(value))]


class Killed(BaseException):
    """Raised instead of a SIGKILL: nothing catches it."""


def fit_killed(run: Path, moment: str, arguments: list[str], *, call: int = 1) -> None:
    """Run `fit` until the n-th call of something; the folder is left as it was then, half-written files included."""
    owner, name = {
        "config": (Path, "write_text"),
        "training": (DualEncoder, "training_step"),
        "test": (DualEncoder, "test_step"),
    }[moment]
    left, calls = run.with_name("left"), []

    def stop(*positional: Any, **named: Any) -> Any:
        if moment != "config" or positional[0].name.startswith(".config_fit."):
            calls.append(name)
        if len(calls) < call:
            return original(*positional, **named)
        if moment == "config":
            positional[0].write_bytes(b"seed_everything: 0\nmodel:")
        shutil.copytree(run, left)
        raise Killed

    original = getattr(owner, name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, stop)
        with pytest.raises(Killed):
            main(["fit", *arguments])
    shutil.rmtree(run, ignore_errors=True)  # a real kill would not have cleared it away
    left.rename(run)


def python(code: str, *arguments: object) -> "subprocess.CompletedProcess[str]":
    """Run `code` in a Python process of its own that finds the checkout."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
