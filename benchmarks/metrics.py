"""How long do the ranking metrics of Clotho's evaluation split take?

    python benchmarks/metrics.py

All metrics in both directions for 5,225 captions and 1,045 clips (1,024-d), beside torchmetrics. Embeddings are random.
A large pool: `benchmarks/ranking.py`.
"""

from __future__ import annotations

import torch
from timing import command_line, in_turns, machine, print_table
from torch import Tensor
from torch.nn.functional import normalize

from evaluation.ranking import retrieval_metrics
from evaluation.scores import EmbeddingScores


def embeddings(count: int, dim: int, seed: int) -> Tensor:
    return normalize(torch.randn(count, dim, generator=torch.Generator().manual_seed(seed)), dim=1)


def clotho(repeats: int) -> None:
    from torchmetrics import Metric
    from torchmetrics.retrieval import RetrievalHitRate, RetrievalMAP, RetrievalRecall

    clip_of = torch.arange(1045).repeat_interleave(5)
    clips = embeddings(1045, 1024, 0)
    captions = normalize(clips[clip_of] + 12 * embeddings(5225, 1024, 1), dim=1)
    relevant = clip_of[:, None] == torch.arange(1045)

    def ours() -> list[dict[str, float]]:
        return [
            retrieval_metrics(EmbeddingScores(captions, clips), torch.arange(5225), clip_of).summary(),
            retrieval_metrics(EmbeddingScores(clips, captions), clip_of, torch.arange(5225)).summary(),
        ]

    def product() -> list[Tensor]:
        return [captions @ clips.T, clips @ captions.T]

    def theirs(ks: tuple[int, ...], hits: bool) -> list[dict[str, float]]:
        results = []
        for scores, target in zip(product(), (relevant, relevant.T), strict=True):
            metrics: dict[str, Metric] = {"mAP@10": RetrievalMAP(top_k=10)}
            metrics |= {f"R@{k}": RetrievalRecall(top_k=k) for k in ks}
            metrics |= {f"hit@{k}": RetrievalHitRate(top_k=k) for k in ks if hits}
            query = torch.arange(len(scores)).repeat_interleave(scores.shape[1])
            shifted = scores.flatten() + 2  # relevant items that score 0 or less would be dropped
            results.append({name: m(shifted, target.flatten(), indexes=query).item() for name, m in metrics.items()})
        return results

    for direction, mine, other in zip(("text->audio", "audio->text"), ours(), theirs((1, 5, 10), True), strict=True):
        print(f"  {direction}: " + "  ".join(f"{name} {mine[name]:.4f}/{other[name]:.4f}" for name in other))
    seconds = in_turns(
        {
            "ours, all metrics": ours,
            "bare products": product,
            "torchmetrics, mAP@10 and R@10": lambda: theirs((10,), False),
            "torchmetrics, mAP@10 and R@1/5/10": lambda: theirs((1, 5, 10), False),
            "torchmetrics, mAP@10, R@1/5/10, hit@1/5/10": lambda: theirs((1, 5, 10), True),
        },
        repeats,
        warm_up=1,
    )
    print_table(seconds, "ours, all metrics")


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    print(machine())
    print("clotho: 5,225 captions, 1,045 clips, 1,024-d (ours/torchmetrics)")
    clotho(options.repeats)


if __name__ == "__main__":
    main()
