"""How long does ranking a large pool take, and how much memory beside the embeddings?

    python benchmarks/ranking.py                                                 # 10,000 queries, 100,000 items, 512-d
    python benchmarks/ranking.py --queries 100000 --items 400000 --rounds 1

Ranks and the ten best items of every query (`evaluation.ranks.count_ranks`), in turns with the bare fp32 product, which
gets blocks as large as the memory that ranking allows itself. Embeddings are random. Peak memory is the process's
largest resident set after the first ranking, less that before, which the embeddings had just made.
"""

from __future__ import annotations

import resource
import sys

import torch
from timing import command_line, machine, print_table, timed
from torch import Tensor

from evaluation.ranks import BLOCK_ELEMENTS, count_ranks
from evaluation.scores import EmbeddingScores


def embeddings(count: int, dim: int, seed: int) -> Tensor:
    """Random unit vectors, made in place: the largest resident set shall be what they take, no more."""
    vectors = torch.empty(count, dim).normal_(generator=torch.Generator().manual_seed(seed))
    return vectors.div_(vectors.norm(dim=1, keepdim=True))


def relevant_pairs(queries: int, items: int, relevant: int) -> tuple[Tensor, Tensor]:
    """Each query's relevant items: neighbours, from a random one on."""
    first = torch.randint(items, (queries,), generator=torch.Generator().manual_seed(2))
    item = (first[:, None] + torch.arange(relevant)) % items
    return torch.arange(queries).repeat_interleave(relevant), item.flatten()


def product(queries: Tensor, items: Tensor) -> None:
    rows = max(16, BLOCK_ELEMENTS // len(items) // 16 * 16)
    buffer = torch.empty(min(rows, len(queries)), len(items), device=items.device)
    for block in queries.split(rows):
        torch.mm(block, items.T, out=buffer[: len(block)])


def peak_memory() -> int:
    """The process's largest resident set so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--queries", type=int, default=10_000)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--relevant", type=int, default=1, help="relevant items of each query")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    queries, items = embeddings(options.queries, options.dim, 0), embeddings(options.items, options.dim, 1)
    pairs = relevant_pairs(options.queries, options.items, options.relevant)
    print(machine())
    print(
        f"{options.queries:,} queries, {options.items:,} items, {options.dim}-d, {options.relevant} relevant",
        flush=True,
    )
    before, beside = peak_memory(), 0
    count_ranks(EmbeddingScores(queries[:16], items[:16]), *relevant_pairs(16, 16, 1))  # what the first call sets up
    taken: dict[str, list[float]] = {"bare product": [], "ranks and top 10": []}
    for _ in range(options.rounds):
        taken["ranks and top 10"].append(timed(lambda: count_ranks(EmbeddingScores(queries, items), *pairs))[0])
        beside = beside or peak_memory() - before  # before the product takes any
        taken["bare product"].append(timed(lambda: product(queries, items))[0])
    print_table(taken, "bare product")
    print(f"  peak memory beside the embeddings' {(queries.nbytes + items.nbytes) / 1e9:.3f} GB: {beside / 1e9:.3f} GB")


if __name__ == "__main__":
    main()
