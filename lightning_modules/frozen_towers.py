"""Towers that are not trained, run once: each caption's and each recording's states are kept and looked up in training.

A frozen encoder gives the same for an input all through a training, so a step needs of it one row of a table. Rows are
kept on disk under a key of the encoder's weights and settings and of all inputs, and serve every run that shares them.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from lightning_modules.audio_encoders.base import AudioEncoder
from lightning_modules.errors import ModelError
from lightning_modules.text_encoders import TextEncoder
from relevance.caption_table import cached_table, default_cache_dir

BATCH = 32
"""Inputs a forward pass. Fixed, so that rows are the same bits whatever made them."""
Table = npt.NDArray[np.floating]


class FrozenTowers:
    """Looks up what frozen encoders give for the captions and recordings of a data module.

    Args:
        audio_encoder, text_encoder: those that are frozen are run over the whole data, at the first time.
        datamodule: gives `read_captions()` and `whole_recordings()`.
        precision: the run's, by name and as the context of a forward pass; part of the tables' keys.
        device: of the encoders.

    Attributes:
        audio: from audio ids (A,) to states (A, dim) float32; None where the audio encoder is trained.
        text: from caption ids (C,) to states (C, dim) float32; None where the text encoder is trained.

    Raises:
        ModelError: neither encoder is frozen.
        DataError: the audio encoder is, but recordings are cropped.
    """

    def __init__(
        self,
        audio_encoder: AudioEncoder,
        text_encoder: TextEncoder,
        datamodule: Any,
        precision: tuple[str, Callable[[], Any]],
        device: torch.device,
    ) -> None:
        self._precision = precision
        self._device = device
        self.audio: Callable[[Tensor], Tensor] | None = None
        self.text: Callable[[Tensor], Tensor] | None = None
        if text_encoder.is_frozen:
            self.text = _lookup(self._read(text_encoder, datamodule))
        if audio_encoder.is_frozen:
            self.audio = self._hear(audio_encoder, datamodule)
        if self.text is None and self.audio is None:
            raise ModelError(
                "model.cache_frozen is true, but both encoders are trained; freeze one (trained_layers: 0) or leave "
                "cache_frozen out"
            )

    def _read(self, encoder: TextEncoder, datamodule: Any) -> Table:
        captions, _ = datamodule.read_captions()

        def encode(texts: list[str]) -> Table:
            return self._run(encoder, ((texts[i : i + BATCH],) for i in range(0, len(texts), BATCH)))

        return self._table(captions, encode, encoder, "running the frozen text encoder")

    def _hear(self, encoder: AudioEncoder, datamodule: Any) -> Callable[[Tensor], Tensor]:
        recordings = datamodule.whole_recordings()
        row_of = {key: row for row, key in enumerate(recordings.keys)}

        def encode(keys: list[str]) -> Table:
            batches = recordings.batches([row_of[key] for key in keys], BATCH)
            on_device = ((batch.waveforms.to(self._device), batch.lengths.to(self._device)) for batch in batches)
            return self._run(encoder, on_device)

        table = self._table(recordings.keys, encode, encoder, "running the frozen audio encoder")
        rows = torch.full((int(recordings.audio_ids.max()) + 1,), -1)
        rows[recordings.audio_ids] = torch.arange(len(recordings.audio_ids))
        look_up = _lookup(table)
        return lambda audio_ids: look_up(rows.to(audio_ids.device)[audio_ids])

    def _table(
        self, inputs: Sequence[str], encode: Callable[[list[str]], Table], encoder: nn.Module, task: str
    ) -> Table:
        key = fingerprint(encoder, self._precision[0])
        return cached_table(inputs, encode, key, folder=default_cache_dir() / "frozen_towers", task=task)

    def _run(self, encoder: nn.Module, batches: Iterable[tuple[Any, ...]]) -> Table:
        with torch.no_grad(), self._precision[1]():
            states = [encoder(*batch).float().cpu() for batch in batches]  # (BATCH, dim) each
        joined: Table = torch.cat(states).numpy()
        return joined


def fingerprint(encoder: nn.Module, precision: str) -> str:
    """What tells an encoder from all others: weights, kinds of modules, their plain settings, and the precision."""
    digest = hashlib.sha256(precision.encode())
    for name, module in encoder.named_modules():
        settings = {key: value for key, value in vars(module).items() if isinstance(value, bool | int | float | str)}
        settings.pop("training")
        config: Any = getattr(module, "config", None)
        if hasattr(config, "to_json_string"):
            settings["config"] = config.to_json_string()
        digest.update(json.dumps([name, type(module).__qualname__, settings], sort_keys=True).encode())
    for name, tensor in sorted(encoder.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def _lookup(table: Table) -> Callable[[Tensor], Tensor]:
    """Rows of a table in a file, by number: on the device of the numbers."""
    return lambda rows: torch.from_numpy(table[rows.cpu().numpy()]).to(rows.device)
