"""How long does ranking with two experts take, one of them missing in a tenth of the clips, beside a single embedding?

    python benchmarks/expert_ranking.py

All metrics in both directions for 5,225 captions and 1,045 clips (Clotho's evaluation split), two experts of 768
dimensions as in collaborative experts, beside one embedding of their total width. Embeddings are random.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from timing import command_line, in_turns, machine, print_table
from torch import Tensor

from evaluation.gated_scores import GatedScores
from evaluation.ranking import retrieval_metrics
from evaluation.scores import EmbeddingScores, Scores


def packed(count: int, dim: int, gates: Tensor, seed: int) -> Tensor:
    """Rows (count, M dim + M): unit vectors of M experts times their gates (count, M), and the gates."""
    vectors = torch.randn(count, gates.shape[1], dim, generator=torch.Generator().manual_seed(seed))
    gated = F.normalize(vectors, dim=2) * gates[:, :, None]
    return torch.cat([gated.flatten(1), gates], dim=1)


def metrics(scores: Scores, clip_of: Tensor) -> None:
    rows = torch.arange(len(clip_of))
    retrieval_metrics(scores, rows, clip_of).summary()
    retrieval_metrics(scores.transposed(), clip_of, rows).summary()


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--clips", type=int, default=1045)
    parser.add_argument("--captions", type=int, default=5, help="of a clip")
    parser.add_argument("--dim", type=int, default=768, help="of each expert")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    clip_of = torch.arange(options.clips).repeat_interleave(options.captions)
    generator = torch.Generator().manual_seed(0)
    weights = torch.softmax(torch.randn(len(clip_of), 2, generator=generator), dim=1)
    present = torch.ones(options.clips, 2)
    present[::10, 1] = 0
    text, audio = packed(len(clip_of), options.dim, weights, 1), packed(options.clips, options.dim, present, 2)
    single = F.normalize(text[:, :-2], dim=1), F.normalize(audio[:, :-2], dim=1)
    print(machine())
    print(f"{len(text):,} captions, {len(audio):,} clips, two experts of {options.dim} dimensions", flush=True)
    works = {
        "one embedding of the same width": lambda: metrics(EmbeddingScores(*single), clip_of),
        "two experts, one missing in a tenth": lambda: metrics(GatedScores(text, audio, 2), clip_of),
    }
    print_table(in_turns(works, options.rounds, warm_up=1), "one embedding of the same width")


if __name__ == "__main__":
    main()
