"""Encoders of each kind with three layers and random weights, and a loss of theirs."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import (
    ASTConfig,
    AutoModel,
    BertConfig,
    ClapFeatureExtractor,
    DistilBertConfig,
    ModernBertConfig,
    MPNetConfig,
    RobertaConfig,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    WhisperConfig,
    WhisperFeatureExtractor,
)

from lightning_modules.audio_encoders import HuggingFaceAudio, PaSST
from lightning_modules.text_encoders.base import TextEncoder
from lightning_modules.text_encoders.huggingface import HuggingFaceText
from tests.support.audio_models import clap_config, noise
from tests.support.text_models import CAPTIONS, SIZES, save_tokenizer

SIZES3 = {**SIZES, "num_hidden_layers": 3}
SPECIAL: dict[str, Any] = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
DROPOUT: dict[str, Any] = {"hidden_dropout_prob": 0.3, "attention_probs_dropout_prob": 0.3}

TEXT: dict[str, Any] = {
    "bert": lambda: BertConfig(**SIZES3),
    "roberta": lambda: RobertaConfig(**SIZES3, **SPECIAL, type_vocab_size=1),
    "mpnet": lambda: MPNetConfig(**SIZES3, **SPECIAL),
    "distilbert": lambda: DistilBertConfig(
        dim=8, n_layers=3, n_heads=2, hidden_dim=16, vocab_size=32, max_position_embeddings=40, initializer_range=0.5
    ),
    "modernbert": lambda: ModernBertConfig(**SIZES3, **SPECIAL, cls_token_id=1, sep_token_id=2),
}
"""Models of three layers; MPNet's layers share a position bias, ModernBERT ends with a norm."""


def wav2vec2(stable: bool) -> Wav2Vec2Config:
    sizes: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2}
    convolutions: dict[str, Any] = {"conv_dim": (8,) * 3, "conv_stride": (10, 8, 2), "conv_kernel": (20, 16, 4)}
    front: dict[str, Any] = {
        "num_feat_extract_layers": 3,
        "num_conv_pos_embeddings": 4,
        "num_conv_pos_embedding_groups": 2,
    }
    norms: dict[str, Any] = {"do_stable_layer_norm": stable, "feat_extract_norm": "layer" if stable else "group"}
    return Wav2Vec2Config(**sizes, intermediate_size=16, **convolutions, **front, **norms)


def whisper() -> WhisperConfig:
    decoder: dict[str, Any] = {
        "decoder_layers": 1,
        "decoder_attention_heads": 2,
        "decoder_ffn_dim": 16,
        "decoder_start_token_id": 1,
    }
    encoder: dict[str, Any] = {"encoder_layers": 3, "encoder_attention_heads": 2, "encoder_ffn_dim": 16}
    sizes: dict[str, Any] = {
        "d_model": 16,
        "vocab_size": 9,
        "num_mel_bins": 8,
        "max_source_positions": 50,
        "dropout": 0.3,
    }
    return WhisperConfig(**encoder, **decoder, **sizes, **SPECIAL)


AST: dict[str, Any] = {
    "hidden_size": 16,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "max_length": 64,
    "num_mel_bins": 32,
}
AUDIO: dict[str, tuple[Any, Any]] = {
    "ast": (lambda: ASTConfig(**AST, num_hidden_layers=3, **DROPOUT), None),
    "wav2vec2": (lambda: wav2vec2(stable=False), Wav2Vec2FeatureExtractor()),
    "wav2vec2-stable": (lambda: wav2vec2(stable=True), Wav2Vec2FeatureExtractor(return_attention_mask=True)),
    "whisper": (whisper, WhisperFeatureExtractor(feature_size=8, chunk_length=1)),
    "clap": (clap_config, ClapFeatureExtractor(max_length_s=1, truncation="rand_trunc")),
}
"""Audio models of three layers, or CLAP's four stages, and their feature extractors."""


def passt(**options: Any) -> PaSST:
    return PaSST(dim=16, depth=3, heads=2, **options)


class Encoders:
    """Makes encoders of each kind with random weights; all of a kind with the same ones."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, kind: str, **options: Any) -> Any:
        torch.manual_seed(0)
        if kind == "passt":
            return passt(**options)
        folder = self.folder / kind
        if not folder.exists():
            self._save(kind, folder)
        if kind in AUDIO:
            return HuggingFaceAudio(str(folder), random_init=True, **options)
        dropout = {"dropout": None, "attention_dropout": None} if kind == "modernbert" else {}
        return HuggingFaceText(str(folder), **{**dropout, **options})

    @staticmethod
    def _save(kind: str, folder: Path) -> None:
        if kind in AUDIO:
            config, extractor = AUDIO[kind]
            config().save_pretrained(folder)
            if extractor is not None:
                extractor.save_pretrained(folder)
        else:
            AutoModel.from_config(TEXT[kind]()).save_pretrained(folder)
            save_tokenizer(folder)


def model_of(encoder: Any) -> Any:
    return encoder.network if isinstance(encoder, PaSST) else encoder.model


def embed(encoder: Any) -> Tensor:
    if isinstance(encoder, TextEncoder):
        return encoder(CAPTIONS)
    torch.manual_seed(1)
    waveforms, lengths = noise(encoder.sample_rate, 0.3, 0.5)
    embeddings: Tensor = encoder(waveforms, lengths)
    return embeddings


def loss(embeddings: Tensor) -> Tensor:
    """Not a sum of squares, which is a constant behind a norm."""
    return (embeddings * torch.linspace(-1, 2, embeddings.shape[1])).sin().sum()
