"""What does `train.py fit` cost over a training loop written by hand?

    python benchmarks/training_loop.py --batches 60 --rounds 3

The demo's small model on its synthetic corpus (rendered at first use), without validation. Both sides take turns, each
for `--batches` steps with the same batches; the clock starts at the third step, when loaders and caches are warm. The
peer is the same model in plain PyTorch: a DataLoader, forward, loss, backward, step. On the other side stands what
`train.py fit` runs: Lightning's loop, run folder, metrics.csv, progress bar, schedule, gradient norm, one seed a step.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from timing import MINILM, command_line, flags

from datamodules.synthetic import Synthetic
from lightning_modules.audio_encoders.cnn import SmallCNN
from lightning_modules.dual_encoder import DualEncoder, cosine_scores
from lightning_modules.text_encoders.huggingface import HuggingFaceText
from relevance.objectives.listnet import ListNet
from relevance.targets.caption_similarity import CaptionSimilarity
from train import main as train

WARM_UP = 3
TIMES: list[float] = []


class Clock(L.Callback):
    """Notes the time after each step."""

    def on_train_batch_end(self, *arguments: Any, **options: Any) -> None:
        TIMES.append(time.perf_counter())


def seconds_a_step(times: list[float]) -> float:
    return (times[-1] - times[WARM_UP - 1]) / (len(times) - WARM_UP)


def fit(data: Path, batches: int, folder: Path) -> float:
    settings = {
        "config": "demo_listnet",
        "data.root": data,
        "run.root": folder,
        "run.overwrite": "true",
        "run.test_after_fit": "false",
        "trainer.accelerator": "cpu",
        "trainer.max_epochs": 1,
        "trainer.limit_train_batches": batches,
        "trainer.limit_val_batches": 0,
        "trainer.enable_model_summary": "false",
        "trainer.callbacks+": "training_loop.Clock",
    }
    if train(["fit", *flags(settings)]):
        raise SystemExit("train.py failed")
    clock = sys.modules["training_loop"].TIMES  # not those of `__main__`: the setting names this module
    times = list(clock)
    clock.clear()
    return seconds_a_step(times)


def by_hand(root: Path, batches: int) -> float:
    torch.manual_seed(0)
    data = Synthetic(str(root), seed=0, sample_rate=SmallCNN().sample_rate)
    data.prepare_data()
    data.setup("fit")
    audio = SmallCNN(time_masks=2, frequency_masks=2, dropout=0.3)
    text = HuggingFaceText(MINILM, pooling="mean", trained_layers=0)
    relevance = CaptionSimilarity(MINILM)
    relevance.prepare(*data.read_captions())
    model = DualEncoder(audio, text, relevance, ListNet("text_to_audio"), embedding_dim=256, head="linear").train()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=5e-4, weight_decay=0.1)
    times = []
    for batch in data.train_dataloader():
        optimizer.zero_grad()
        scores = cosine_scores(model.embed_text(batch.captions), model.embed_audio(batch.waveforms, batch.lengths))
        loss = model.objective(scores, relevance(batch.caption_ids, batch.caption_ids))
        loss.backward()
        optimizer.step()
        times.append(time.perf_counter())
        if len(times) == batches:
            break
    return seconds_a_step(times)


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--batches", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--data", type=Path, default=Path("data/synthetic"))
    options = parser.parse_args()
    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(options.rounds):
            theirs.append(by_hand(options.data, options.batches))
            ours.append(fit(options.data, options.batches, Path(folder)))
    ratios = np.array(ours) / np.array(theirs)
    print(f"{options.rounds} rounds of {options.batches} steps, {torch.get_num_threads()} threads")
    for name, values in (("by hand", theirs), ("train.py fit", ours)):
        print(f"{name:14} {1000 * statistics.median(values):7.1f} ms a step")
    print(f"train.py / by hand: {np.median(ratios):.3f} ({ratios.min():.3f} to {ratios.max():.3f})")


if __name__ == "__main__":
    main()
