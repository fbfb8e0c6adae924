"""How long do the ranking metrics take?

    python benchmarks/metrics.py            # both parts
    python benchmarks/metrics.py --part pool --queries 10000 --items 100000 --dim 512

`clotho`: all metrics in both directions for 5,225 captions and 1,045 clips (Clotho's evaluation split, 1,024-d),
beside torchmetrics' mAP@10 and R@10 alone. `pool`: ranks and the ten best of a large
pool, with one and with five relevant items, beside the bare fp32 product in the same blocks. Embeddings are random.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from relevance.metrics import retrieval_metrics
from relevance.ranks import BLOCK_ELEMENTS, count_ranks


def alternate(repeats: int, *functions: Callable[[], object]) -> list[list[float]]:
    """Seconds of each function, called in turns after a first round that is not counted: (functions, repeats)."""
    seconds: list[list[float]] = [[] for _ in functions]
    for repeat in range(repeats + 1):
        for function, taken in zip(functions, seconds, strict=True):
            start = time.perf_counter()
            function()
            if repeat:
                taken.append(time.perf_counter() - start)
    return seconds


def embeddings(count: int, dim: int, seed: int) -> Tensor:
    return normalize(torch.randn(count, dim, generator=torch.Generator().manual_seed(seed)), dim=1)


def clotho(repeats: int) -> None:
    from torchmetrics.retrieval import RetrievalMAP, RetrievalRecall

    clip_of = torch.arange(1045).repeat_interleave(5)
    clips = embeddings(1045, 1024, 0)
    captions = normalize(clips[clip_of] + 12 * embeddings(5225, 1024, 1), dim=1)
    caption = torch.arange(5225)

    def ours() -> list[dict[str, float]]:
        return [
            retrieval_metrics(captions, clips, caption, clip_of).summary(),
            retrieval_metrics(clips, captions, clip_of, caption).summary(),
        ]

    def theirs() -> list[dict[str, float]]:
        results = []
        relevant = clip_of[:, None] == torch.arange(1045)
        for queries, items, target in ((captions, clips, relevant), (clips, captions, relevant.T)):
            scores = (queries @ items.T + 2).flatten()  # + 2: relevant items that score 0 or less would be dropped
            metrics = {"mAP@10": RetrievalMAP(top_k=10), "R@10": RetrievalRecall(top_k=10)}
            query = torch.arange(len(queries)).repeat_interleave(len(items))
            results.append({name: m(scores, target.flatten(), indexes=query).item() for name, m in metrics.items()})
        return results

    for direction, mine, other in zip(("text->audio", "audio->text"), ours(), theirs(), strict=True):
        print(f"  {direction}: " + "  ".join(f"{name} {mine[name]:.4f}/{other[name]:.4f}" for name in other))
    report("all metrics, both directions", "torchmetrics, mAP@10 and R@10", *alternate(repeats, ours, theirs))


def pool(query_count: int, item_count: int, dim: int, repeats: int) -> None:
    queries, items = embeddings(query_count, dim, 0), embeddings(item_count, dim, 1)
    query = np.arange(query_count)
    one = np.random.default_rng(0).integers(item_count, size=query_count)
    five = (one[:, None] + np.arange(5)) % item_count
    rows = max(16, BLOCK_ELEMENTS // item_count // 16 * 16)
    buffer = torch.empty(rows, item_count)

    def product() -> None:
        for block in torch.split(queries, rows):
            torch.mm(block, items.T, out=buffer[: len(block)])

    raw, single, several = alternate(
        repeats,
        product,
        lambda: count_ranks(queries, items, query, one),
        lambda: count_ranks(queries, items, query.repeat(5), five.flatten()),
    )
    report("ranks and top 10, one relevant item", "bare product", single, raw)
    report("ranks and top 10, five relevant items", "bare product", several, raw)


def report(name: str, other_name: str, ours: list[float], theirs: list[float]) -> None:
    a, b = statistics.median(ours), statistics.median(theirs)
    print(f"  {name}: {a:.3f} s ({min(ours):.3f}..{max(ours):.3f})")
    print(f"  {other_name}: {b:.3f} s ({min(theirs):.3f}..{max(theirs):.3f})")
    print(f"  ratio of the medians: {a / b:.3f} (1 / {b / a:.1f})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=["clotho", "pool"])
    parser.add_argument("--queries", type=int, default=10_000)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f}")
    if options.part != "pool":
        print("clotho: 5,225 captions, 1,045 clips, 1,024-d (ours/torchmetrics)")
        clotho(options.repeats)
    if options.part != "clotho":
        print(f"pool: {options.queries:,} queries, {options.items:,} items, {options.dim}-d")
        pool(options.queries, options.items, options.dim, options.repeats)


if __name__ == "__main__":
    main()
