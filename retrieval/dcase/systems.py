"""The systems behind a submission: finished models that embed recordings and queries as their tests do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from common.errors import RunError
from datamodules.audio import read_info
from datamodules.mono import Mix
from evaluation.scores import Scores
from experiments.run_folder import RunFolder
from lightning_modules.dual_encoder import DualEncoder
from retrieval.long_texts import warn_of_cut
from retrieval.open_model import load_run, run_named
from retrieval.run_model import data_options, read_config
from retrieval.search_folder import Window, embed_windows


@dataclass(frozen=True)
class System:
    """A model and how its test reads recordings.

    Attributes:
        name: of the run, exported folder or pretrained pair.
        model: in evaluation mode.
        max_seconds: longer recordings are cut there; None: taken whole.
        batch_size, num_workers, mix: as of the run's data.
        folder: of the run; None: it is none.
        config: of the run.
    """

    name: str
    model: DualEncoder
    max_seconds: float | None
    batch_size: int
    num_workers: int
    mix: Mix
    folder: RunFolder | None
    config: dict[str, Any]

    @property
    def parameters(self) -> int:
        """Numbers of the model that embed and score, without those of its targets and objective."""
        own = (p for name, p in self.model.named_parameters() if not name.startswith(("objective.", "relevance.")))
        return sum(parameter.numel() for parameter in own)

    def scores(self, clips: Mapping[str, Path], texts: Sequence[str], per_recording: Sequence[int] = ()) -> Scores:
        """Scores (Q, N) of texts for recordings, by the files of their names.

        Where `per_recording` says which texts belong together, batches are those of a test, so that numbers are too.

        Raises:
            DataError: a file cannot be read.
            RunError: a recording cannot be embedded, or the model reads no audio.
        """
        text = self._texts(texts, per_recording)
        return self.model.matcher.pool_scores(text, self._clips(clips))

    def cut(self, seconds: Mapping[str, float]) -> int:
        """How many recordings of these lengths are cut."""
        return sum(self.max_seconds is not None and length > self.max_seconds for length in seconds.values())

    def _clips(self, clips: Mapping[str, Path]) -> Tensor:
        if not self.model.audio_encoder.reads_audio:
            what = type(self.model.audio_encoder).__name__
            raise RunError(f"{self.name}: {what} reads stored features, no audio files; leave this run out")
        windows = [Window(name, path, read_info(path), 0.0, 0.0, 1) for name, path in clips.items()]
        vectors: list[Any] = [None] * len(windows)
        for rows, found in embed_windows(
            self.model, windows, self.max_seconds, self.batch_size, self.num_workers, self.mix
        ):
            for row, vector in zip(rows, found, strict=True):
                vectors[row] = vector
        if absent := [window.path for window, vector in zip(windows, vectors, strict=True) if vector is None]:
            raise RunError(
                f"{absent[0]}: cannot be embedded ({len(absent)} such files), the warnings before this line say why; a "
                "submission ranks every recording"
            )
        return torch.from_numpy(np.stack(vectors)).to(self.model.device)

    @torch.inference_mode()
    def _texts(self, texts: Sequence[str], per_recording: Sequence[int]) -> Tensor:
        warn_of_cut(self.model, texts)
        counts = [sum(per_recording[i : i + self.batch_size]) for i in range(0, len(per_recording), self.batch_size)]
        ends = (
            np.cumsum(counts) if counts else np.arange(self.batch_size, len(texts) + self.batch_size, self.batch_size)
        )
        begins = [0, *ends[:-1].tolist()]
        batches = [list(texts[begin:end]) for begin, end in zip(begins, ends.tolist(), strict=True)]
        return torch.cat([self.model.embed_text(batch).float() for batch in batches]).clone()


def open_system(name: str) -> System:
    """The system of a run's folder, of a folder that `export` wrote, or of a pretrained pair.

    Raises:
        UserError: as `load_run`.
    """
    model = load_run(name)
    folder = run_named(name)
    config = {} if folder is None else read_config(folder)
    data = data_options(config)
    return System(
        name,
        model.model,
        model.max_seconds,
        data.get("batch_size", 32),
        data.get("num_workers", 0),
        data.get("mix", "mean"),
        folder,
        config,
    )
