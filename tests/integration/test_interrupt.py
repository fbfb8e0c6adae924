"""Ctrl-C: the processes get a SIGINT while they work."""

from pathlib import Path

import pytest

from tests.support.corpus import write_corpus
from tests.support.runs import arguments, python

PROCESS = """
import importlib, os, signal, sys
from cli.__main__ import main

owner, name, call, *arguments = sys.argv[1:]
module, _, attribute = owner.partition(":")
place = importlib.import_module(module)
place = getattr(place, attribute) if attribute else place
original, calls = getattr(place, name), []

def interrupted(*positional, **named):
    calls.append(name)
    if len(calls) == int(call):
        os.kill(os.getpid(), signal.SIGINT)
    return original(*positional, **named)

setattr(place, name, interrupted)
sys.exit(main(arguments))
"""
MODEL = "lightning_modules.dual_encoder:DualEncoder"


def interrupted(owner: str, name: str, call: int, *command: object) -> str:
    """What a command prints to stderr that is interrupted at the n-th call of something."""
    ended = python(PROCESS, owner, name, call, *command)
    assert ended.returncode == 130, ended.stderr
    return ended.stderr


@pytest.mark.slow
def test_a_training_ends_with_how_to_continue_it_and_a_test_without(tmp_path: Path) -> None:
    told = "interrupted; the same command with --run.resume true continues the run\n"
    assert interrupted(MODEL, "training_step", 3, "fit", *arguments(tmp_path, 2)).endswith(told)
    resumed = interrupted(MODEL, "test_step", 1, "fit", *arguments(tmp_path, 2), "--run.resume", "true")
    assert resumed.endswith(told)
    assert "KeyboardInterrupt" not in resumed
    tested = interrupted(MODEL, "test_step", 1, "test", *arguments(tmp_path, 2), "--ckpt_path", "last")
    assert tested.endswith("\ninterrupted\n") or tested == "interrupted\n"


@pytest.mark.slow
def test_a_packing_ends_with_how_to_continue_it(tmp_path: Path) -> None:
    data = ["--data", "Clotho", "--data.root", write_corpus(tmp_path / "clotho").root, "--shard_size", 2]
    command = ["pack", tmp_path / "shards", *data, "--workers", 1]
    told = interrupted("datamodules.shards.format", "write_shard", 2, *command)
    assert told.strip() == "interrupted; the same command continues"
    assert len(list((tmp_path / "shards").glob("*.parquet"))) == 1
