"""A finished model for use in other programs: embeddings of recordings and texts, similarities, search."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
import numpy.typing as npt
import soxr
import torch
from rich.progress import track
from torch import Tensor

from common.errors import DataError, ModelError, RunError
from datamodules.audio import cut_to_length, read_audio, read_info
from datamodules.audio_folder import audio_by_path
from evaluation.ranks import best_items
from lightning_modules.dual_encoder import DualEncoder
from retrieval.search_index import Hit

log = logging.getLogger(__name__)

Samples = npt.NDArray[np.float32]
Recording = str | PathLike[str] | npt.NDArray[Any] | Tensor
"""A file, or samples (T,) or (channels, T) in [-1, 1]."""
Vectors = npt.NDArray[np.float32] | Tensor


class FinishedModel:
    """A trained or pretrained model, in evaluation mode.

    Args:
        model: the dual encoder.
        max_seconds: recordings are cropped to this length, from their beginning; None takes them whole.
        device: where it runs; default: a GPU where there is one.

    Attributes:
        sample_rate: in Hz; recordings of other rates are resampled.
    """

    def __init__(
        self, model: DualEncoder, max_seconds: float | None = None, device: str | torch.device | None = None
    ) -> None:
        chosen = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self.model = model.to(chosen).eval()
        self.max_seconds = max_seconds
        self.sample_rate = model.sample_rate
        self._folders: dict[Path, tuple[list[tuple[Any, ...]], Vectors, list[str], list[float]]] = {}

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        return self.model.device

    @overload
    def encode_audio(
        self,
        recordings: Sequence[Recording] | Recording,
        sample_rate: int | None = ...,
        batch_size: int = ...,
        progress: bool = ...,
        output: Literal["numpy"] = ...,
    ) -> npt.NDArray[np.float32]: ...

    @overload
    def encode_audio(
        self,
        recordings: Sequence[Recording] | Recording,
        sample_rate: int | None = ...,
        batch_size: int = ...,
        progress: bool = ...,
        *,
        output: Literal["torch"],
    ) -> Tensor: ...

    def encode_audio(
        self,
        recordings: Sequence[Recording] | Recording,
        sample_rate: int | None = None,
        batch_size: int = 16,
        progress: bool = True,
        output: Literal["numpy", "torch"] = "numpy",
    ) -> Vectors:
        """Embed recordings: (A, D) float32, in their order; of a matcher with several vectors (A, E, D).

        Args:
            recordings: files (wav, flac, ogg, opus, mp3), or samples (T,) or (channels, T) in [-1, 1]; one or many.
            sample_rate: of samples, in Hz; files know their own.
            batch_size: recordings at a time.
            progress: show a progress bar.
            output: "numpy" or "torch" (on the CPU).

        Raises:
            DataError: a file cannot be read, or samples cannot be used or have no sample rate.
        """
        many: Any = recordings
        if isinstance(recordings, (str, PathLike)) or getattr(recordings, "ndim", None) == 1:
            many = [recordings]
        batches = _batches(list(many), batch_size, progress, "embedding audio")
        with torch.inference_mode():
            vectors = [self._embed([self.samples(each, sample_rate) for each in batch]) for batch in batches]
        return _joined(vectors, output)

    @overload
    def encode_text(
        self,
        texts: Sequence[str] | str,
        batch_size: int = ...,
        progress: bool = ...,
        output: Literal["numpy"] = ...,
    ) -> npt.NDArray[np.float32]: ...

    @overload
    def encode_text(
        self,
        texts: Sequence[str] | str,
        batch_size: int = ...,
        progress: bool = ...,
        *,
        output: Literal["torch"],
    ) -> Tensor: ...

    def encode_text(
        self,
        texts: Sequence[str] | str,
        batch_size: int = 64,
        progress: bool = False,
        output: Literal["numpy", "torch"] = "numpy",
    ) -> Vectors:
        """Embed texts: (C, D) float32, in their order.

        Args:
            texts: one or many.
            batch_size: texts at a time.
            progress: show a progress bar.
            output: "numpy" or "torch" (on the CPU).

        Raises:
            DataError: a text is empty.
        """
        many = [texts] if isinstance(texts, str) else list(texts)
        if not all(text.strip() for text in many):
            raise DataError("a text is empty; say in words what is heard")
        batches = _batches(many, batch_size, progress, "embedding text")
        with torch.inference_mode():
            vectors = [self.model.embed_text(batch).cpu() for batch in batches]
        return _joined(vectors, output)

    @overload
    def similarity(self, text: npt.NDArray[np.float32], audio: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]: ...

    @overload
    def similarity(self, text: Tensor, audio: Tensor) -> Tensor: ...

    def similarity(self, text: Vectors, audio: Vectors) -> Vectors:
        """Scores (C, A) float32 of texts (C, D) and recordings (A, D), as the model ranks; NumPy in, NumPy out.

        With the usual matcher these are cosine similarities, and two sets of recordings can be compared as well.
        """
        with torch.inference_mode():
            left, right = (torch.as_tensor(each, dtype=torch.float32, device=self.device) for each in (text, audio))
            scores = self.model.matcher.scores(left, right).cpu()
        return scores if isinstance(text, Tensor) else scores.numpy()

    def search(self, text: str, folder: str | PathLike[str], top: int = 10, batch_size: int = 16) -> list[Hit]:
        """The `top` recordings in a folder, at any depth, that fit a text best.

        The folder is embedded at its first search, and again where its files have changed. Files that cannot be read
        are left out with a warning.

        Raises:
            DataError: the text is empty, there is no such folder, or no audio in it.
        """
        query = self.encode_text(text, output="torch")
        root = Path(folder).expanduser().resolve()
        vectors, names, seconds = self._embedded(root, batch_size)
        items, values = best_items(self.model.matcher.pool_scores(query, vectors), top)
        return [
            Hit(rank, value, names[item], root / names[item], seconds[item])
            for rank, (item, value) in enumerate(zip(items[0].tolist(), values[0].tolist(), strict=True), 1)
        ]

    def _embedded(self, root: Path, batch_size: int) -> tuple[Tensor, list[str], list[float]]:
        if not root.is_dir():
            raise DataError(f"{root}: no such folder; give the folder of your recordings")
        files = audio_by_path(root)
        state = [(name, path.stat().st_size, path.stat().st_mtime_ns) for name, path in files.items()]
        if root not in self._folders or self._folders[root][0] != state:
            names, seconds = [], []
            for name, path in files.items():
                try:
                    info = read_info(path)
                except DataError as error:
                    log.warning("left out: %s", error)
                    continue
                names.append(name)
                seconds.append(info.frames / info.sample_rate)
            if not names:
                raise DataError(f"{root}: no audio file that can be read in it or below; check the path")
            vectors = self.encode_audio([files[name] for name in names], batch_size=batch_size, output="torch")
            self._folders[root] = state, vectors, names, seconds
        _, kept, names, seconds = self._folders[root]
        assert isinstance(kept, Tensor)
        return kept, names, seconds

    def _embed(self, waveforms: list[Samples]) -> Tensor:
        padded, lengths = self.padded(waveforms)
        return self.model.embed_audio(padded.to(self.device), lengths.to(self.device)).cpu()

    @staticmethod
    def padded(waveforms: list[Samples]) -> tuple[Tensor, Tensor]:
        """Waveforms (A, T) float32, padded with zeros, and their lengths (A,) int64."""
        lengths = torch.tensor([len(waveform) for waveform in waveforms])  # (A,)
        padded = torch.zeros(len(waveforms), int(lengths.max()))  # (A, T)
        for row, waveform in zip(padded, waveforms, strict=True):
            row[: len(waveform)] = torch.from_numpy(waveform)
        return padded, lengths

    def samples(self, recording: Recording, sample_rate: int | None) -> Samples:
        """A recording (T,) float32 at the model's rate, cropped as the model wants it; raises as `encode_audio`."""
        if isinstance(recording, (str, PathLike)):
            path = Path(recording).expanduser()
            return read_audio(path, read_info(path), self.sample_rate, max_seconds=self.max_seconds)
        if sample_rate is None:
            raise DataError("samples have no sample rate of their own; give sample_rate in Hz")
        samples = np.asarray(recording.detach().cpu() if isinstance(recording, Tensor) else recording, np.float32)
        if samples.ndim not in (1, 2) or samples.size == 0 or not np.isfinite(samples).all():
            raise DataError(
                f"samples of shape {samples.shape} cannot be used; give finite numbers, (T,) or (channels, T)"
            )
        mono = samples if samples.ndim == 1 else samples.mean(0)
        if self.max_seconds is not None:  # as of a file, no more is resampled than is used
            mono = mono[: int(np.ceil(self.max_seconds * sample_rate)) + 1]
        if sample_rate != self.sample_rate:
            mono = soxr.resample(mono, sample_rate, self.sample_rate)
        return cut_to_length(mono, "samples", self.sample_rate, self.max_seconds)


def _batches(items: list[Any], size: int, progress: bool, what: str) -> Iterator[list[Any]]:
    if size < 1:
        raise RunError(f"batch_size is {size}; give at least 1")
    begins: Iterable[int] = range(0, len(items), size)
    for begin in track(begins, what) if progress else begins:
        yield items[begin : begin + size]


def _joined(vectors: list[Tensor], output: str) -> Vectors:
    if output not in ("numpy", "torch"):
        raise ModelError(f"output is '{output}'; give numpy or torch")
    if not vectors:
        raise DataError("nothing to embed: the list is empty")
    joined = torch.cat(vectors).float().clone()  # not of inference mode
    return joined.numpy() if output == "numpy" else joined
