"""A folder of recordings with a stand-in's index of it."""

from pathlib import Path

import soundfile
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lightning_modules.dual_encoder import DualEncoder
from lightning_modules.matchers import Matcher
from lightning_modules.states import Encoded
from retrieval.search_folder import index_folder
from retrieval.search_index import Recordings, SearchIndex, recordings_of
from tests.support.recordings import write_recordings
from tests.support.tiny import tiny_model

HOSTILE = '=cmd|"<img src=x onerror=alert(1)>".wav'


class BestOfTwo(Matcher):
    """Two vectors of each recording, of which the better one counts: texts and recordings cannot be exchanged."""

    def connect(self, audio_dim: int, text_dim: int) -> None:
        self.heads = nn.ModuleList([nn.Linear(audio_dim, 4) for _ in range(2)])
        self.text_head = nn.Linear(text_dim, 4)

    def audio(self, encoded: Encoded) -> Tensor:
        return torch.stack([F.normalize(head(encoded), dim=1) for head in self.heads], 1)  # (A, 2, 4)

    def text(self, encoded: Encoded) -> Tensor:
        return F.normalize(self.text_head(encoded), dim=1)

    def scores(self, text: Tensor, audio: Tensor) -> Tensor:
        return torch.einsum("cd,aed->cae", text, audio).amax(2)


def searched(folder: Path, model: DualEncoder | None = None) -> SearchIndex:
    """The recordings of `write_recordings` and one with a hostile name, in windows of 2 s."""
    root = write_recordings(folder / "audio")
    samples, rate = soundfile.read(root / "a.wav")
    soundfile.write(root / "deep" / HOSTILE, samples[::-1], rate)
    return reindexed(folder, model)[0]


def reindexed(folder: Path, model: DualEncoder | None = None) -> tuple[SearchIndex, str]:
    """The index of what the folder holds now, and what is said of it."""
    model = (model or tiny_model()).eval()
    facts = {"audio_weights_sha256": "x", "audio_encoder": "{}"}
    path = folder / "index" / "audio.arrow"
    windows, summary = index_folder(path, folder / "audio", model, facts, seconds=2.0, batch_size=3)
    recordings: Recordings = recordings_of(windows, folder / "audio", path)
    return SearchIndex(model, recordings), summary
