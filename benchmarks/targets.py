"""What do the targets of a training step cost, and does that grow with the number of captions?

    python benchmarks/targets.py --batch 2048 --captions 20000 400000

Relevance and target distribution of a batch, looked up in a memory-mapped fp16 table of 768-d embeddings (random, unit
length), beside the two other ways to spend the time: Sentence-BERT in the step (MiniLM, which is small; captions of
ten words), and the step of the small model itself (SmallCNN on 10 s clips and the frozen MiniLM, forward and backward,
measured with 32 pairs and scaled to the batch). Medians.
"""

import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from timing import MINILM, command_line, in_turns
from torch.nn.functional import normalize

from common.pretrained import find_model
from lightning_modules.audio_encoders.cnn import SmallCNN
from lightning_modules.dual_encoder import DualEncoder
from lightning_modules.matchers import Cosine
from lightning_modules.matchers.cosine import cosine_scores
from lightning_modules.text_encoders.huggingface import HuggingFaceText
from relevance.caption_embeddings import load_sentence_bert
from relevance.mapped_table import mapped_table
from relevance.objectives.base import target_distribution
from relevance.objectives.listnet import ListNet
from relevance.targets.caption_similarity import CaptionSimilarity

WORDS = ("a", "the", "dog", "barks", "rain", "falls", "while", "wind", "blows", "softly", "engine", "bird", "sings")


def median_seconds(work: Callable[[], object], repeats: int) -> float:
    return statistics.median(in_turns({"": work}, repeats, warm_up=1)[""])


def write_table(path: Path, captions: int, dim: int = 768) -> None:
    table = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=(captions, dim))
    generator = torch.Generator().manual_seed(0)
    for start in range(0, captions, 20000):
        rows = torch.randn(min(20000, captions - start), dim, generator=generator)
        table[start : start + 20000] = normalize(rows, dim=1).numpy()
    table.flush()


def lookup(path: Path, captions: int, batch: int, repeats: int) -> float:
    relevance = CaptionSimilarity(dtype="float16")
    relevance._table = mapped_table(path)  # what `prepare` does with the cached table
    rng = np.random.default_rng(0)
    draws = iter([torch.from_numpy(rng.choice(captions, batch, replace=False)) for _ in range(repeats + 1)])

    def targets() -> torch.Tensor:
        ids = next(draws)
        return target_distribution(relevance(ids, ids), 0.05)

    return median_seconds(targets, repeats)


def sentence_bert(batch: int) -> float:
    model = load_sentence_bert(find_model(MINILM, None), None, "cpu")
    return median_seconds(lambda: model.encode(sentences(batch), batch_size=64, show_progress_bar=False), 1)


def sentences(count: int) -> list[str]:
    rng = np.random.default_rng(0)
    return [" ".join(rng.choice(WORDS, 10)) for _ in range(count)]


def small_step(repeats: int) -> float:
    pairs = 32
    text = HuggingFaceText(MINILM, pooling="mean", trained_layers=0)
    model = DualEncoder(SmallCNN(), text, CaptionSimilarity(), ListNet(), matcher=Cosine(256, "linear"))
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad])
    waveforms, lengths = torch.randn(pairs, 10 * model.sample_rate), torch.full((pairs,), 10 * model.sample_rate)
    captions, relevance = sentences(pairs), torch.rand(pairs, pairs)

    def step() -> None:
        optimizer.zero_grad()
        scores = cosine_scores(model.embed_text(captions), model.embed_audio(waveforms, lengths))
        model.objective(scores, relevance).backward()
        optimizer.step()

    return median_seconds(step, repeats) / pairs


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--batch", type=int, default=2048)
    parser.add_argument("--captions", type=int, nargs="+", default=[20_000, 400_000])
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args()
    step = small_step(options.repeats) * options.batch
    bert = sentence_bert(options.batch)
    print(f"batch of {options.batch}, {torch.get_num_threads()} threads")
    print(f"small model's step   {step:9.3f} s")
    print(f"Sentence-BERT        {bert:9.3f} s  {100 * bert / step:6.2f} % of the step")
    with tempfile.TemporaryDirectory() as folder:
        for captions in options.captions:
            path = Path(folder) / f"{captions}.npy"
            write_table(path, captions)
            ours = lookup(path, captions, options.batch, options.repeats)
            share = f"{100 * ours / step:6.2f} % of the step"
            print(f"from {captions:7,} captions {ours:8.3f} s  {share}, Sentence-BERT {bert / ours:.0f} times as long")


if __name__ == "__main__":
    main()
