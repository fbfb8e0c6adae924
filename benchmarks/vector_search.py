"""How long does one query take over a million vectors?

    python benchmarks/vector_search.py                                    # 1,000,000 x 512, 200 queries, ten best

`retrieval.vector_search.VectorSearch` beside FAISS' flat index and one NumPy product, in turns. Vectors are drawn round
centres, as embeddings lie, and queries near some of them; `--random` draws them evenly from the sphere, the hardest
case. Recall is the share of the true ten best that are found.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import faiss
import numpy as np
import numpy.typing as npt
import torch
from timing import command_line, machine

from retrieval.vector_search import VectorSearch

Floats = npt.NDArray[np.float32]


def drawn(count: int, dim: int, centres: int, spread: float) -> tuple[Floats, Floats]:
    """Unit vectors (count, dim) and 1,000 queries near some of them; with no centres evenly from the sphere."""
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((count, dim), dtype=np.float32)
    if centres:
        middle = rng.standard_normal((centres, dim), dtype=np.float32)
        vectors *= spread
        vectors += middle[rng.integers(centres, size=count)]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    queries = vectors[rng.integers(count, size=1000)] + rng.standard_normal((1000, dim), dtype=np.float32) / dim**0.5
    return vectors, queries / np.linalg.norm(queries, axis=1, keepdims=True)


def best(rows: npt.NDArray[np.int64], values: Floats, top: int) -> set[int]:
    chosen = np.argpartition(-values, top)[:top] if len(values) > top else np.arange(len(values))
    return set(rows[chosen].tolist())


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--vectors", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--top", type=int, default=10)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--random", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    faiss.omp_set_num_threads(options.threads)
    print(machine(), flush=True)
    vectors, queries = drawn(options.vectors, options.dim, 0 if options.random else 5000, 1.0)
    began = time.perf_counter()
    ours = VectorSearch(vectors)
    print(f"{options.vectors:,} x {options.dim}; index made in {time.perf_counter() - began:.0f} s", flush=True)
    flat = faiss.IndexFlatIP(options.dim)
    flat.add(vectors)
    every, top = np.arange(len(vectors)), options.top
    works: dict[str, Callable[[Floats], set[int]]] = {
        "VectorSearch": lambda query: best(*ours.nearest(query, top), top),
        "FAISS flat": lambda query: set(flat.search(query[None], top)[1][0].tolist()),
        "NumPy": lambda query: best(every, vectors @ query, top),
    }
    taken: dict[str, list[float]] = {name: [] for name in works}
    hits = 0
    for number in range(options.queries + 5):
        found = {}
        for name, work in works.items():
            began = time.perf_counter()
            found[name] = work(queries[number])
            if number >= 5:  # what the first calls set up
                taken[name].append(1000 * (time.perf_counter() - began))
        hits += len(found["VectorSearch"] & found["FAISS flat"]) if number >= 5 else 0
    for name, ms in taken.items():
        print(f"  {name:<14} median {np.median(ms):7.1f} ms, p99 {np.percentile(ms, 99):7.1f} ms")
    print(f"  recall at {top}: {hits / (top * options.queries):.3f}; load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
