"""Stand-ins that train in a moment: encoders, a relevance, a data module."""

from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from common.directions import TEXT_TO_AUDIO, Direction
from datamodules.batch import Batch, Example, collate
from datamodules.sampling.pair_batches import Draw, PairBatchSampler
from lightning_modules.audio_encoders.base import AudioEncoder, silence_padding
from lightning_modules.dual_encoder import DualEncoder
from lightning_modules.matchers import Cosine, Matcher
from lightning_modules.text_encoders.base import TextEncoder
from relevance.base import Relevance
from relevance.objectives.base import Objective
from relevance.objectives.listnet import ListNet

KINDS = ("dog", "rain", "engine", "bird", "bell")
MANNERS = ("loud", "distant", "steady", "short")


class TinyAudio(AudioEncoder):
    """Frames of 10 samples through one layer, then their mean; silence beyond a clip's end adds nothing."""

    sample_rate = 100

    def __init__(self, dim: int = 8, dropout: float = 0.0) -> None:
        super().__init__()
        self.dim = dim
        self.frames = nn.Linear(10, dim, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, waveforms: Tensor, lengths: Tensor) -> Tensor:
        clean = silence_padding(waveforms, lengths).to(self.frames.weight.dtype)
        frames = F.pad(clean, (0, -clean.shape[1] % 10)).unfold(1, 10, 10)  # (B, F, 10)
        return self.dropout(torch.tanh(self.frames(frames)).sum(1) * 10 / lengths[:, None])


class TinyText(TextEncoder):
    """The mean of learned word vectors."""

    def __init__(self, dim: int = 6, dropout: float = 0.0) -> None:
        super().__init__()
        self.dim = dim
        self.words = nn.Embedding(128, dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, captions: list[str]) -> Tensor:
        means = [self.words(torch.tensor([sum(map(ord, word)) % 128 for word in c.split()])).mean(0) for c in captions]
        return self.dropout(torch.stack(means))


class KindRelevance(Relevance):
    """Mostly the distance of two recordings' kinds, with something of its own for each pair of captions."""

    symmetric = True

    def prepare(self, captions: Any, audio_ids: Any) -> None:
        kinds = torch.as_tensor(audio_ids) % len(KINDS)
        noise = torch.rand(len(kinds), len(kinds), generator=torch.Generator().manual_seed(1))
        self.table = 0.8 * torch.exp(-(kinds[:, None] - kinds).abs()) + 0.1 * (noise + noise.T)  # (C, C)

    def forward(self, query_ids: Tensor, item_ids: Tensor, direction: Direction = TEXT_TO_AUDIO) -> Tensor:
        return self.table[query_ids][:, item_ids]


class TinyData(L.LightningDataModule):
    """Recordings of five kinds in memory, caption i + 1 of each there in fewer of them; evaluated in reverse order."""

    def __init__(
        self, train: int = 24, held_out: int = 12, batch_size: int = 6, seed: int = 0, graded: bool = False
    ) -> None:
        super().__init__()
        self.batch_size, self.seed, self.graded = batch_size, seed, graded
        ends = {"train": train, "validation": train + held_out, "test": train + 2 * held_out}
        begins = dict(zip(ends, (0, train, train + held_out), strict=True))
        self.audio_ids = {split: range(begins[split], end) for split, end in ends.items()}
        self.captions: list[str] = []
        self.audio_of: list[int] = []
        for audio in range(ends["test"]):
            for manner in MANNERS[: 2 + audio % 3]:
                self.captions.append(f"{manner} {KINDS[audio % len(KINDS)]}")
                self.audio_of.append(audio)

    def read_captions(self) -> tuple[list[str], np.ndarray]:
        return self.captions, np.array(self.audio_of)

    def caption_ids(self, split: str) -> np.ndarray:
        return np.array([i for i, audio in enumerate(self.audio_of) if audio in self.audio_ids[split]])

    def graded_relevance(self, split: str) -> np.ndarray | None:
        if not self.graded:
            return None
        kinds = np.array(self.audio_ids[split]) % len(KINDS)
        return np.exp(-np.abs(kinds[:, None] - kinds)).astype(np.float32)

    def example(self, audio: int, caption_ids: list[int]) -> Example:
        rng = np.random.default_rng(audio)
        time = np.arange(40 + 7 * (audio % 4))
        waveform = np.sin(time * (audio % len(KINDS) + 1) / 3) + 0.1 * rng.standard_normal(len(time))
        return Example(
            waveform.astype(np.float32), audio, f"{audio}.wav", [self.captions[i] for i in caption_ids], caption_ids
        )

    def captions_of(self, audio: int) -> list[int]:
        return [i for i, other in enumerate(self.audio_of) if other == audio]

    def pairs(self, caption_ids: list[int]) -> Batch:
        """A training batch of these captions and their recordings."""
        return collate([self.example(self.audio_of[i], [i]) for i in caption_ids])

    def train_dataloader(self) -> Any:
        pairs = [i for i, audio in enumerate(self.audio_of) if audio in self.audio_ids["train"]]
        audio = np.array(self.audio_of)[pairs]
        sampler = PairBatchSampler(audio, self.batch_size, self.seed, unique_audio=True)
        return DataLoader(_Pairs(self, pairs), batch_sampler=sampler, collate_fn=collate)

    def val_dataloader(self) -> Any:
        return self._evaluation("validation")

    def test_dataloader(self) -> Any:
        return self._evaluation("test")

    def predict_dataloader(self) -> Any:
        return self._evaluation("test")

    def _evaluation(self, split: str) -> Any:
        examples = [self.example(audio, self.captions_of(audio)) for audio in reversed(self.audio_ids[split])]
        return DataLoader(examples, batch_size=self.batch_size, collate_fn=collate)  # type: ignore[arg-type]


class _Pairs(Dataset[Example]):
    def __init__(self, data: TinyData, pairs: list[int]) -> None:
        self.data, self.pairs = data, pairs

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, draw: Draw) -> Example:
        caption = self.pairs[draw.row]
        return self.data.example(self.data.audio_of[caption], [caption])


def tiny_model(
    objective: Objective | None = None,
    relevance: Relevance | None = None,
    *,
    seed: int = 0,
    dropout: float = 0.0,
    lr: float = 0.02,
    matcher: Matcher | None = None,
    **options: Any,
) -> DualEncoder:
    """A dual encoder of the stand-ins, with weights drawn from `seed`."""
    torch.manual_seed(seed)
    return DualEncoder(
        TinyAudio(dropout=dropout),
        TinyText(dropout=dropout),
        relevance or KindRelevance(),
        objective or ListNet("both"),
        matcher=matcher or Cosine(12),
        optimizer=lambda parameters: torch.optim.Adam(parameters, lr=lr),
        **options,
    )


def cosine(model: DualEncoder) -> Cosine:
    """The matcher of a model that has the usual one."""
    assert isinstance(model.matcher, Cosine)
    return model.matcher


def tiny_trainer(folder: Path, **options: Any) -> L.Trainer:
    """A quiet trainer on the CPU that writes nothing outside `folder`."""
    quiet = dict.fromkeys(("enable_checkpointing", "enable_progress_bar", "enable_model_summary", "logger"), False)
    fixed = {"accelerator": "cpu", "devices": 1, "num_sanity_val_steps": 0, "use_distributed_sampler": False}
    return L.Trainer(**{"default_root_dir": folder, **quiet, **fixed, **options})
