"""How long does ranking by words and frames take, and by two stages, beside one product of vectors?

    python benchmarks/late_interaction.py                  # Linux

All metrics in both directions for 5,225 captions and 1,045 clips (Clotho's evaluation split): a cosine of 512-d
vectors; late interaction of 6 to 12 words and 16 to 32 frames of 128 dimensions; text-aware pooling of as many frames;
and co-attention in 64 dimensions over the 50 best of a first stage. Embeddings and weights are random. Memory is the
peak of a process that does one of them alone, beside what it holds before, the embeddings among it.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from timing import command_line, machine, one_thread, timed

from evaluation.ranking import retrieval_metrics
from evaluation.scores import EmbeddingScores, Scores
from lightning_modules.matchers import CoAttention, LateInteraction, Matcher, TextAwarePooling
from lightning_modules.states import States

KINDS = ("product", "late interaction", "text-aware pooling", "co-attention")


def made_up(count: int, most: int, dim: int, seed: int) -> States:
    """Random states, from half as many as there may be to all of them."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(most // 2, most + 1, (count,), generator=generator)
    return States(torch.randn(count, most, dim, generator=generator), lengths)


def scores_of(kind: str, options: argparse.Namespace) -> Scores:
    captions = options.clips * options.captions
    if kind == "product":
        generator = torch.Generator().manual_seed(0)
        text, audio = (F.normalize(torch.randn(n, 512, generator=generator), dim=1) for n in (captions, options.clips))
        return EmbeddingScores(text, audio)
    dim = {"late interaction": 128, "text-aware pooling": 128, "co-attention": 64}[kind]
    matchers: dict[str, Matcher] = {
        "late interaction": LateInteraction(dim),
        "text-aware pooling": TextAwarePooling(dim),
        "co-attention": CoAttention(dim, top=options.top),
    }
    matcher = matchers[kind].eval()
    matcher.connect(dim, dim)
    said, heard = made_up(captions, options.words, dim, 1), made_up(options.clips, options.frames, dim, 2)
    text = matcher.text(said.values.mean(1) if kind == "text-aware pooling" else said)
    return matcher.pool_scores(text, matcher.audio(heard))


def memory(name: str) -> float:
    """Of this process in MB: "VmRSS" now, "VmHWM" at its peak (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


def forget_peak() -> None:
    """Let the peak begin at what is held now (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")


@torch.no_grad()
def measure(kind: str, options: argparse.Namespace) -> None:
    clip_of = torch.arange(options.clips).repeat_interleave(options.captions)
    rows = torch.arange(len(clip_of))
    scores = scores_of(kind, options)
    forget_peak()
    before = memory("VmRSS")

    def both() -> None:
        for some, queries, items in ((scores, rows, clip_of), (scores.transposed(), clip_of, rows)):
            retrieval_metrics(some, queries, items).summary()

    used = time.process_time()
    seconds, _ = timed(both)
    used = time.process_time() - used
    cost = ", ".join(f"{name} {value:,.1f}" for name, value in scores.cost().items())
    print(f"  {kind:<22}{seconds:9.2f} s{used:9.2f} s{memory('VmHWM') - before:9.0f} MB   {cost}", flush=True)


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--clips", type=int, default=1045)
    parser.add_argument("--captions", type=int, default=5, help="of a clip")
    parser.add_argument("--words", type=int, default=12)
    parser.add_argument("--frames", type=int, default=32)
    parser.add_argument("--top", type=int, default=50)
    parser.add_argument("--kind", choices=KINDS, help="only this one, in this process")
    options = parser.parse_args()
    if options.kind:
        measure(options.kind, options)
        return
    print(machine())
    print(f"{options.clips * options.captions:,} captions, {options.clips:,} clips; seconds, CPU seconds", flush=True)
    for kind in KINDS:
        subprocess.run([sys.executable, *sys.argv, "--kind", kind], check=True, env=one_thread())


if __name__ == "__main__":
    main()
