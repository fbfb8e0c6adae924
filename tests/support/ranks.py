"""Run a function on several ranks of a gloo group."""

import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.multiprocessing.spawn import start_processes


def on_ranks(work: Callable[[int], Any], folder: Path, ranks: int = 2) -> list[Any]:
    """What `work(rank)` returns on each of `ranks` fresh processes with one thread; `work` is a module's function.

    The processes exchange results through files in `folder`.
    """
    # A fork server imports the heavy modules once for all such tests; its children have inherited nothing else.
    multiprocessing.get_context("forkserver").set_forkserver_preload(["lightning_modules.dual_encoder", "pytest"])
    start_processes(_join, (work, folder, ranks), nprocs=ranks, start_method="forkserver")
    return [torch.load(folder / f"rank{rank}.pt") for rank in range(ranks)]


def _join(rank: int, work: Callable[[int], Any], folder: Path, ranks: int) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=ranks)
    try:
        torch.save(work(rank), folder / f"rank{rank}.pt")
    finally:
        dist.destroy_process_group()
