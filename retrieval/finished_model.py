"""A finished model for use in other programs: embeddings of recordings and texts, similarities, search."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
import numpy.typing as npt
import soxr
import torch
from rich.progress import track
from torch import Tensor

from common.cache_dir import default_cache_dir
from common.errors import DataError, ModelError, RunError
from datamodules.audio import cut_to_length, read_audio, read_info
from datamodules.batch import padded
from datamodules.mono import Mix
from experiments.results.embeddings_file import audio_weights_sha256
from lightning_modules.dual_encoder import DualEncoder
from retrieval.long_texts import warn_of_cut
from retrieval.recording_forms import unwrapped
from retrieval.search_folder import cut_name, index_folder
from retrieval.search_index import Hit, SearchIndex, recordings_of
from retrieval.search_store import Windows

Samples = npt.NDArray[np.float32]
Recording = str | PathLike[str] | npt.NDArray[Any] | Tensor | Mapping[str, Any]
"""A file, samples (T,) or (channels, T) in [-1, 1], or a form that `unwrapped` knows."""
Vectors = npt.NDArray[np.float32] | Tensor


class FinishedModel:
    """A trained or pretrained model, in evaluation mode.

    Args:
        model: the dual encoder.
        max_seconds: recordings are cropped to this length, from their beginning; None takes them whole.
        device: where it runs; default: a GPU where there is one.
        window: length in s of the windows in which longer recordings are searched; default: `max_seconds`.
        mix: what is taken of several channels of a file.

    Attributes:
        sample_rate: in Hz; recordings of other rates are resampled.
    """

    def __init__(
        self,
        model: DualEncoder,
        max_seconds: float | None = None,
        device: str | torch.device | None = None,
        window: float | None = None,
        mix: Mix = "mean",
    ) -> None:
        chosen = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self.model = model.to(chosen).eval()
        self.max_seconds = max_seconds
        self.sample_rate = model.sample_rate
        self.window = max_seconds if window is None else window
        self.mix: Mix = mix

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
            recordings: files (wav, flac, ogg, opus, mp3), samples (T,) or (channels, T) in [-1, 1], or what data sets
                of Hugging Face give (`{"array", "sampling_rate"}`, `{"bytes", "path"}`, decoders); one or many.
            sample_rate: of samples, in Hz; the others know their own.
            batch_size: recordings at a time.
            progress: show a progress bar.
            output: "numpy" or "torch" (on the CPU).

        Raises:
            DataError: a file cannot be read, or samples cannot be used or have no sample rate.
            ModelError: the model reads no audio, but stored features of experts.
        """
        many: Any = recordings
        if isinstance(recordings, (str, PathLike, Mapping)) or getattr(recordings, "ndim", None) == 1:
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
        warn_of_cut(self.model, many)
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

    def search(self, text: str, folder: str | PathLike[str], top: int = 10) -> list[Hit]:
        """The `top` recordings in a folder, at any depth, that fit a text best; what is new in it is embedded first.

        Raises:
            UserError: as `index_of`; or the text is empty.
        """
        return self.index_of(folder)[0].search(text, top)

    def index_of(
        self, folder: str | PathLike[str], window: float | None = None, hop: float | None = None
    ) -> tuple[SearchIndex, str]:
        """A folder's recordings, in windows, ready to be searched, and what the index holds in words.

        Args:
            folder: read at any depth.
            window: length in s of a window; None: `FinishedModel.window`.
            hop: between windows in s; None: as few windows as cover a recording.

        It is kept in the cache folder, see `index_folder`; files that cannot be read are left out with a warning.

        Raises:
            DataError: there is no such folder, or no audio in it.
            RunError: no recording could be embedded, or another process makes the same index.
        """
        root = Path(folder).expanduser().resolve()
        file, windows, summary = self.embed_windows(root, self.window if window is None else window, hop)
        return SearchIndex(self.model, recordings_of(windows, root, file)), summary

    def embed_windows(
        self, root: Path, window: float | None, hop: float | None = None, files: Mapping[str, Path] | None = None
    ) -> tuple[Path, Windows, str]:
        """Windows of a folder's recordings, embedded or out of the cache folder; see `index_folder` for all else.

        Args:
            root: the folder, absolute.
            window: their length in s; None: recordings are taken whole.
            hop: between them in s; None: as few as cover a recording.
            files: the recordings by name; None: all in the folder.

        Returns:
            the index's file, what it holds, and that in words.
        """
        sha256 = audio_weights_sha256(self.model.state_dict())
        listed = "" if files is None else f" {sorted(files)}"
        what = f"{root} {sha256}{cut_name(None if window == self.window else window, hop)}{listed}"
        key = hashlib.sha256(what.encode("utf-8", "surrogateescape")).hexdigest()[:16]
        file = default_cache_dir() / "search" / f"{key}.arrow"
        facts = {"audio_weights_sha256": sha256, "audio_encoder": type(self.model.audio_encoder).__name__}
        windows, summary = index_folder(
            file, root, self.model, facts, seconds=window, hop=hop, files=files, mix=self.mix
        )
        return file, windows, summary

    def _embed(self, waveforms: list[Samples]) -> Tensor:
        values, lengths = padded(waveforms)
        return self.model.embed_audio(values.to(self.device), lengths.to(self.device)).cpu()

    def samples(self, recording: Recording, sample_rate: int | None) -> Samples:
        """A recording (T,) float32 at the model's rate, cropped as the model wants it; raises as `encode_audio`."""
        if not self.model.audio_encoder.reads_audio:
            what = type(self.model.audio_encoder).__name__
            raise ModelError(
                f"{what} reads stored features, no audio; `python train.py test` keeps the embeddings of a run's test "
                "recordings in its folder (pool_test.safetensors)"
            )
        recording, sample_rate = unwrapped(recording, sample_rate)
        if isinstance(recording, (str, PathLike)):
            path = Path(recording).expanduser()
            return read_audio(path, read_info(path), self.sample_rate, max_seconds=self.max_seconds, mix=self.mix)
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
