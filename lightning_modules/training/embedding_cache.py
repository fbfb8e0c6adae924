"""Towers that are not trained, run once: each caption's and each recording's states are kept and looked up in training.

A frozen encoder gives the same for an input all through a training, so a step needs of it one row of a table. Rows are
kept on disk under a key of the encoder's weights and settings and of all inputs, and serve every run that shares them.
"""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import transformers
from torch import Tensor, nn

from common.cache_dir import default_cache_dir
from common.disk_cache import cached_table
from common.errors import ModelError
from lightning_modules.audio_encoders.base import AudioEncoder
from lightning_modules.source_code import sources
from lightning_modules.states import Encoded
from lightning_modules.text_encoders.base import TextEncoder

BATCH = 32
"""Inputs a forward pass. Fixed, so that rows are the same bits whatever made them."""
TRIED, TRIES = 4, 4
"""Sounds of a second, and how often, that an encoder is tried on for augmentation."""
Table = npt.NDArray[np.floating]


class FrozenTowers:
    """Looks up what frozen encoders give for the captions and recordings of a data module.

    Args:
        audio_encoder, text_encoder: those that are frozen are run over the whole data, at the first time.
        datamodule: gives `read_captions()` and `whole_recordings()`.
        precision: the run's, by name and as the context of a forward pass; part of the tables' keys.
        device: of the encoders.

    Attributes:
        datamodule: whose ids are looked up.
        audio: from audio ids (A,) to states (A, dim) float32; None where the audio encoder is trained.
        text: from caption ids (C,) to states (C, dim) float32; None where the text encoder is trained.

    Raises:
        ModelError: neither encoder is frozen, or what the audio encoder gives depends on the batch.
        DataError: the audio encoder is frozen, but recordings are cropped.
        CacheError: a table cannot be written.
    """

    def __init__(
        self,
        audio_encoder: AudioEncoder,
        text_encoder: TextEncoder,
        datamodule: Any,
        precision: tuple[str, Callable[[], Any]],
        device: torch.device,
    ) -> None:
        self.datamodule = datamodule
        self._precision = precision
        self._device = device
        self.audio: Callable[[Tensor], Tensor] | None = None
        self.text: Callable[[Tensor], Tensor] | None = None
        if audio_encoder.is_frozen and audio_encoder.reads_audio:  # first, as it is the one that may be refused
            self.audio = self._hear(audio_encoder, datamodule)
        if text_encoder.is_frozen:
            captions, _ = datamodule.read_captions()
            kept = text_encoder.kept(captions)
            self.text = _lookup(self._read(text_encoder, captions) if kept is None else kept)
        if self.text is None and self.audio is None:
            raise ModelError(
                "model.cache_frozen is true, but both encoders are trained; freeze one (trained_layers: 0) or leave "
                "cache_frozen out"
            )

    def _read(self, encoder: TextEncoder, captions: list[str]) -> Table:
        def encode(texts: list[str]) -> Table:
            check_same_in_training(encoder, texts[:BATCH])
            return self._run(encoder, ((texts[i : i + BATCH],) for i in range(0, len(texts), BATCH)))

        return self._table(captions, encode, encoder, "text")

    def _hear(self, encoder: AudioEncoder, datamodule: Any) -> Callable[[Tensor], Tensor]:
        if encoder.depends_on_batch:
            raise ModelError(
                f"model.cache_frozen is true, but what {type(encoder).__name__} gives for a recording depends on its "
                "batch (average_padding_windows); set that to false, or leave cache_frozen out"
            )
        recordings = datamodule.whole_recordings()
        row_of = {key: row for row, key in enumerate(recordings.keys)}

        def encode(keys: list[str]) -> Table:
            noise = 0.1 * torch.randn(TRIED, encoder.sample_rate, generator=torch.Generator().manual_seed(0))
            lengths = torch.full((TRIED,), encoder.sample_rate)
            check_same_in_training(encoder, noise.to(self._device), lengths.to(self._device))
            batches = recordings.batches([row_of[key] for key in keys], BATCH)
            on_device = ((batch.waveforms.to(self._device), batch.lengths.to(self._device)) for batch in batches)
            return self._run(encoder, on_device)

        table = self._table(recordings.keys, encode, encoder, "audio")
        rows = torch.full((int(recordings.audio_ids.max()) + 1,), -1)
        rows[recordings.audio_ids] = torch.arange(len(recordings.audio_ids))
        look_up = _lookup(table)
        return lambda audio_ids: look_up(rows.to(audio_ids.device)[audio_ids])

    def _table(
        self, inputs: Sequence[str], encode: Callable[[list[str]], Table], encoder: nn.Module, tower: str
    ) -> Table:
        key, folder = fingerprint(encoder, self._precision[0]), default_cache_dir() / "frozen_towers"
        task, what = f"running the frozen {tower} encoder", f"{tower} states"
        return cached_table(inputs, encode, key, folder=folder, task=task, what=what)

    def _run(self, encoder: nn.Module, batches: Iterable[tuple[Any, ...]]) -> Table:
        mode = encoder.training
        encoder.eval()
        with torch.no_grad(), self._precision[1]():
            states = [_vectors(encoder, encoder(*batch)).float().cpu() for batch in batches]  # (BATCH, dim) each
        encoder.train(mode)
        joined: Table = torch.cat(states).numpy()
        return joined


def _vectors(encoder: nn.Module, encoded: Encoded) -> Tensor:
    if not isinstance(encoded, Tensor):
        raise ModelError(
            f"model.cache_frozen keeps one vector of each input, and {type(encoder).__name__} gives tokens or frames; "
            "leave cache_frozen out"
        )
    return encoded


def check_augmentation(augmented: Set[str], audio_encoder: AudioEncoder, text_encoder: TextEncoder) -> None:
    """Whether the data module changes what a frozen encoder would be looked up for.

    Args:
        augmented: the sides, "audio" and "text", that it augments in training.

    Raises:
        ModelError: it does.
    """
    for side, encoder in (("audio", audio_encoder), ("text", text_encoder)):
        if side in augmented and encoder.is_frozen:
            raise ModelError(
                f"model.cache_frozen is true, but data.augmentations change {side} that the frozen "
                f"{type(encoder).__name__} would be looked up for; leave cache_frozen or these augmentations out"
            )


@torch.no_grad()
def check_same_in_training(encoder: nn.Module, *inputs: Any) -> None:
    """Whether a frozen encoder gives in training what it gives in evaluation: it does not where it augments.

    Raises:
        ModelError: it does not, so that no table can hold what it gives.
    """
    mode, devices = encoder.training, range(torch.cuda.device_count())
    with torch.random.fork_rng(devices):
        evaluated = _vectors(encoder, encoder.eval()(*inputs))
        encoder.train()
        same = all(
            torch.allclose(_vectors(encoder, encoder(*inputs)), evaluated, rtol=1e-3, atol=1e-5) for _ in range(TRIES)
        )
    encoder.train(mode)
    if not same:
        raise ModelError(
            f"model.cache_frozen is true, but {type(encoder).__name__} augments its inputs in training, which a table "
            "cannot; leave cache_frozen or the augmentation out"
        )


def fingerprint(encoder: nn.Module, precision: str) -> str:
    """What tells an encoder from all others, 64 hex digits: weights, buffers, settings, code, and the precision.

    Code is the source files of the classes that are neither torch's nor another library's of models, those that they
    import of us, and the versions of the libraries.
    """
    digest = hashlib.sha256(f"{precision} torch {torch.__version__} transformers {transformers.__version__}".encode())
    modules: set[str] = set()
    for name, module in encoder.named_modules():
        plain = {key: _plain(value) for key, value in vars(module).items() if not key.startswith("_")}
        settings = {key: value for key, value in plain.items() if value is not None and key != "training"}
        digest.update(json.dumps([name, type(module).__qualname__, settings], sort_keys=True).encode())
        if type(module).__module__.partition(".")[0] not in ("torch", "transformers", "peft"):
            modules.add(type(module).__module__)
    for name, source in sorted(sources(modules).items()):
        digest.update(f"{name} {hashlib.sha256(source).hexdigest()}".encode())
    for name, tensor in [*sorted(encoder.named_parameters()), *sorted(encoder.named_buffers())]:
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _plain(value: Any) -> Any:
    """A setting as JSON has it; None for what is no setting."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _plain(dataclasses.asdict(value))
    if hasattr(value, "backend_tokenizer"):
        return value.backend_tokenizer.to_str()
    if hasattr(value, "to_json_string"):  # a configuration or feature extractor; where it came from does not matter
        return {key: item for key, item in json.loads(value.to_json_string()).items() if key != "_name_or_path"}
    return str(value) if isinstance(value, slice | torch.dtype) else None


def _lookup(table: Table) -> Callable[[Tensor], Tensor]:
    """Rows of a table in a file, by number: on the device of the numbers."""
    return lambda rows: torch.from_numpy(table[rows.cpu().numpy()]).to(rows.device)
