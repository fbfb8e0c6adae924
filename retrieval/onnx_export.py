"""ONNX: the text tower, and the audio tower where its operators allow, each checked against the model itself."""

from __future__ import annotations

import importlib.util
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from common.atomic_files import replacing
from common.errors import ModelError
from common.text import one_line
from lightning_modules.dual_encoder import DualEncoder
from lightning_modules.pairs.base import TokenizedText
from lightning_modules.pairs.clap import WindowedAudio
from lightning_modules.text_encoders import HuggingFaceText
from lightning_modules.text_encoders.base import pool_tokens

TOLERANCE = 1e-4
SECONDS = 10.0  # of the recordings that the audio graph takes, where the encoder has no windows of its own
EXAMPLES = ("a dog barks", "rain falls on a metal roof while the wind blows")


class TextGraph(nn.Module):
    """Tokens (C, L) int64 and their mask (C, L) int64 to embeddings (C, D)."""

    def __init__(self, model: DualEncoder) -> None:
        super().__init__()
        self.dual_encoder = model
        encoder = model.text_encoder
        if not isinstance(encoder, HuggingFaceText | TokenizedText) or getattr(encoder, "unpadded", False):
            raise ModelError(f"{type(encoder).__name__} has no tokens that padding leaves as they are")
        self.encoder: Any = encoder

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Embed tokens."""
        if isinstance(self.encoder, TokenizedText):
            encoded: Any = self.encoder.embed(input_ids, attention_mask)
        else:
            hidden = self.encoder.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
            encoded = pool_tokens(hidden, attention_mask, self.encoder.pooling)
        if self.dual_encoder.text_pooling is not None:
            encoded = self.dual_encoder.text_pooling(encoded)
        return self.dual_encoder.matcher.text(encoded)


class AudioGraph(nn.Module):
    """Waveforms (A, T) of one length, at the model's rate, to embeddings (A, D); of windowed encoders one window."""

    def __init__(self, model: DualEncoder) -> None:
        super().__init__()
        self.dual_encoder = model

    def forward(self, waveforms: Tensor) -> Tensor:
        """Embed recordings."""
        encoder = self.dual_encoder.audio_encoder
        if isinstance(encoder, WindowedAudio):
            return self.dual_encoder.matcher.audio(F.normalize(encoder.embed(encoder.mels(waveforms)), dim=1))
        lengths = torch.full((waveforms.shape[0],), waveforms.shape[1], dtype=torch.int64)
        return self.dual_encoder.embed_audio(waveforms, lengths)


def load_onnx() -> None:
    """Check that what ONNX needs is installed.

    Raises:
        ModelError: something is missing.
    """
    missing = [name for name in ("onnx", "onnxscript", "onnxruntime") if importlib.util.find_spec(name) is None]
    if missing:
        raise ModelError(f"--onnx needs {', '.join(missing)}: pip install 'audio-relevance[onnx]'")


def export_onnx(model: DualEncoder, folder: Path) -> Iterator[str]:
    """Write text.onnx and audio.onnx; one line about each, also of a tower that cannot be written.

    Args:
        model: in evaluation mode, on the CPU.
        folder: exists.

    Raises:
        OSError: a file cannot be written, as on a full disk.
    """
    load_onnx()
    tokenizer = getattr(model.text_encoder, "tokenizer", None)
    tokens = tokenizer(list(EXAMPLES), padding=True, return_tensors="pt") if tokenizer is not None else {}
    text = [tokens[name] for name in ("input_ids", "attention_mask") if name in tokens]
    encoder = model.audio_encoder
    size = encoder.window if isinstance(encoder, WindowedAudio) else round(SECONDS * model.sample_rate)
    noise = 0.1 * torch.randn(1, size, generator=torch.Generator().manual_seed(0))
    yield _exported(lambda: TextGraph(model), text, ("input_ids", "attention_mask"), folder / "text.onnx", axes=2)
    yield _exported(lambda: AudioGraph(model), [noise], ("waveforms",), folder / "audio.onnx", axes=0)


def _exported(make: Any, inputs: list[Tensor], names: tuple[str, ...], path: Path, axes: int) -> str:
    """Write a graph and compare what it gives with what the model gives."""
    import onnxruntime

    dynamic = tuple(dict.fromkeys(range(axes), torch.export.Dim.DYNAMIC) for _ in names)
    path.unlink(missing_ok=True)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        graph = make().eval()
        with replacing(path) as beside, torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                graph,
                tuple(inputs),
                input_names=list(names),
                output_names=["embeddings"],
                dynamic_shapes=dynamic if axes else None,
                dynamo=True,
                verbose=False,
            )
            assert program is not None
            program.save(beside)
            wanted = graph(*inputs).numpy()
            session = onnxruntime.InferenceSession(str(beside), providers=["CPUExecutionProvider"])
            given = session.run(None, {name: tensor.numpy() for name, tensor in zip(names, inputs, strict=True)})[0]
            difference = float(np.abs(np.asarray(given) - wanted).max())
            if difference > TOLERANCE:
                raise ModelError(f"ONNX Runtime gives embeddings that differ by {difference:.1e}")
    except OSError:
        raise
    except Exception as error:  # the exporter raises many kinds
        return f"onnx: {path.name} is not written ({type(error).__name__}: {one_line(error)[:160]})"
    return f"onnx: {path.name} (largest difference {difference:.1e})"
