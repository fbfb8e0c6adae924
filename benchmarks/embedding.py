"""How long does embedding captions take, beside `SentenceTransformer.encode` alone, and how long a second start?

    python benchmarks/embedding.py --captions captions.txt --rounds 3

Both load the same MiniLM (from the package index) and embed the same captions in this process, in turns: the peer
with one call of `encode`, ours into a fresh cache folder, in chunks from which a killed run would resume. The second
start finds the table there: it hashes the model and the captions and maps the file. Without `--captions` those of the
synthetic corpus are taken. Ours embeds equal captions once, the peer each time; how many are different is printed.
"""

import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from timing import MINILM, command_line, timed

from common.pretrained import find_model
from datamodules.synthesis.corpus import describe
from relevance.caption_embeddings import embed_captions


def synthetic_captions(count: int) -> list[str]:
    recordings = (describe(0, "development", index) for index in range(-(-count // 5)))
    return [caption for _, captions in recordings for caption in captions][:count]


def peer(captions: Sequence[str], batch_size: int) -> Any:
    model = SentenceTransformer(find_model(MINILM).name_or_path, local_files_only=True)
    return model.encode(list(captions), batch_size=batch_size, normalize_embeddings=True, show_progress_bar=False)


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--captions", type=Path, metavar="FILE", help="text file with a caption a line")
    parser.add_argument("--count", type=int, help="at most so many captions; default: all, of the corpus 6,000")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch_size", type=int, default=64)
    options = parser.parse_args()
    if options.captions:
        lines = options.captions.read_text(encoding="utf-8").splitlines()
        captions = [line.strip() for line in lines if line.strip()][: options.count]
    else:
        captions = synthetic_captions(options.count or 6000)
    threads = torch.get_num_threads()
    print(f"{len(captions):,} captions, {len(set(captions)):,} different; MiniLM, {threads} threads", flush=True)
    timed(lambda: peer(captions[:64], options.batch_size))  # imports, first allocations
    took: dict[str, list[float]] = {"peer": [], "ours": [], "second": []}
    for number in range(options.rounds):
        with tempfile.TemporaryDirectory() as folder:

            def ours(folder: str = folder) -> Any:
                return embed_captions(
                    captions, MINILM, cache_dir=Path(folder), batch_size=options.batch_size, progress=False
                )

            works = {"peer": lambda: peer(captions, options.batch_size), "ours": ours}
            tables = {}
            for name in sorted(works, reverse=number % 2 == 0):  # who goes first changes
                duration, tables[name] = timed(works[name])
                took[name].append(duration)
            took["second"].append(timed(ours)[0])
            apart = float(np.abs(tables["peer"] - tables["ours"]).max())
        encode, embed, second = (took[name][-1] for name in ("peer", "ours", "second"))
        print(
            f"round {number + 1}: encode alone {encode:8.2f} s, ours {embed:8.2f} s, ratio {embed / encode:.3f}, "
            f"second start {second:.3f} s, largest difference {apart:.1e}",
            flush=True,
        )
    ratio = statistics.median(ours / peer for ours, peer in zip(took["ours"], took["peer"], strict=True))
    encode, embed, second = (statistics.median(took[name]) for name in ("peer", "ours", "second"))
    print(f"medians: encode alone {encode:8.2f} s, ours {embed:8.2f} s, ratio {ratio:.3f}, second start {second:.3f} s")


if __name__ == "__main__":
    main()
