"""Ranking a large pool on one device or by several processes, and gathering with gradients: parts of `gpu.py`."""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

import torch
import torch.distributed as dist
from ranking import embeddings, product, relevant_pairs
from step import Figures, matrix_peak, now
from torch import Tensor
from torch.multiprocessing.spawn import spawn

from evaluation.ranks import count_ranks
from evaluation.scores import EmbeddingScores
from lightning_modules.distributed import _GatherWithGradient, sharded_metrics

DIM = 512


def pool(queries: int, items: int, device: torch.device) -> tuple[EmbeddingScores, tuple[Tensor, Tensor]]:
    """Random embeddings and a relevant item a query, on the device."""
    query, item = relevant_pairs(queries, items, 1)
    both = [embeddings(count, DIM, seed).to(device) for seed, count in enumerate((queries, items))]
    return EmbeddingScores(*both), (query.to(device), item.to(device))


def ranked(queries: int, items: int, device: torch.device) -> Figures:
    """Ranks and the ten best items of every query, beside the bare fp32 product in blocks."""
    scores, pairs = pool(queries, items, device)
    small, small_pairs = pool(16, 16, device)
    count_ranks(small, *small_pairs)  # what the first call sets up
    held = torch.cuda.memory_allocated() if device.type == "cuda" else 0
    began = now(device)
    count_ranks(scores, *pairs)
    seconds = now(device) - began
    gb = (torch.cuda.max_memory_allocated() - held) / 1e9 if device.type == "cuda" else None
    began = now(device)
    product(scores.of_queries, scores.of_items)
    bare = now(device) - began
    share = 2 * queries * items * DIM / seconds / matrix_peak(device, torch.float32)
    return Figures(1000 * seconds, queries / seconds, share, gb, note=f"{seconds / bare:.2f} times the bare product")


def ranked_by(world: int, queries: int, items: int, device: torch.device) -> Figures:
    """All metrics by so many processes, each of which ranks its share."""
    return by_processes(world, "ranking", (queries, items), device)


def gathered(world: int, rows: int, device: torch.device) -> Figures:
    """Forward and backward pass of gathering rows of 1,024 numbers of each process."""
    return by_processes(world, "gathering", (rows,), device)


def by_processes(world: int, task: str, counts: tuple[int, ...], device: torch.device) -> Figures:
    with tempfile.TemporaryDirectory() as folder:
        spawn(of_rank, (world, task, counts, device.type, folder), nprocs=world)
        seconds = float((Path(folder) / "seconds").read_text())
    count = world * counts[0] if task == "gathering" else counts[0]
    return Figures(1000 * seconds, count / seconds, note="NCCL" if device.type == "cuda" else "gloo")


def of_rank(rank: int, world: int, task: str, counts: tuple[int, ...], kind: str, folder: str) -> None:
    device = torch.device(kind, rank) if kind == "cuda" else torch.device(kind)
    if kind == "cuda":
        torch.cuda.set_device(device)
    backend = "nccl" if kind == "cuda" else "gloo"
    dist.init_process_group(backend, init_method=f"file://{folder}/meeting", rank=rank, world_size=world)
    if task == "ranking":
        scores, pairs = pool(counts[0], counts[1], device)

        def work() -> None:
            sharded_metrics(scores, *pairs)
    else:
        rows = torch.randn(counts[0], 1024, device=device, requires_grad=True)

        def work() -> None:  # `gather_with_gradient` has nothing to do in a single process; this gathers all the same
            _GatherWithGradient.apply(rows).sum().backward()  # type: ignore[no-untyped-call]

    times = []
    for _ in range(3):
        dist.barrier()
        began = now(device)
        work()
        times.append(now(device) - began)
    if rank == 0:
        (Path(folder) / "seconds").write_text(str(statistics.median(times[1:])))
    dist.barrier()
    dist.destroy_process_group()
