"""Hugging Face audio models with tiny random weights in a folder, clips, and what every encoder promises of them."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import (
    ASTConfig,
    ASTFeatureExtractor,
    ASTModel,
    ClapConfig,
    ClapFeatureExtractor,
    ClapModel,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2Model,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperModel,
)

from lightning_modules.audio_encoders import AudioEncoder


def noise(sample_rate: int, *seconds: float) -> tuple[Tensor, Tensor]:
    """Clips of these lengths; beyond its end each continues with rubbish, which must not be heard."""
    lengths = torch.tensor([round(s * sample_rate) for s in seconds])
    return 0.1 * torch.randn(len(seconds), int(lengths.max())), lengths


def assert_batch_does_not_matter(encoder: AudioEncoder, *seconds: float) -> None:
    encoder.eval()
    waveforms, lengths = noise(encoder.sample_rate, *seconds)
    with torch.no_grad():
        together = encoder(waveforms, lengths)
        assert together.shape == (len(seconds), encoder.dim)
        for row, length in enumerate(lengths.tolist()):
            alone = encoder(waveforms[row : row + 1, :length], lengths[row : row + 1])
            torch.testing.assert_close(together[row : row + 1], alone, atol=1e-4, rtol=1e-3)
    assert (together[0] - together[1]).abs().max() > 1e-3


def save_ast(folder: Path) -> Path:
    config = ASTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, max_length=64, num_mel_bins=32
    )
    ASTModel(config).save_pretrained(folder)
    ASTFeatureExtractor(max_length=64, num_mel_bins=32).save_pretrained(folder)
    return folder


def clap_config(fusion: bool = False) -> ClapConfig:
    text = {"vocab_size": 9, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    audio: dict[str, Any] = {
        "hidden_size": 32,
        "patch_embeds_hidden_size": 4,
        "depths": [1, 1, 1, 1],
        "num_attention_heads": [1, 1, 2, 2],
        "hidden_dropout_prob": 0.0,
        "drop_path_rate": 0.0,
    }
    if fusion:
        audio |= {"enable_fusion": True, "fusion_type": "aff_2d"}
    return ClapConfig(text_config=text, audio_config=audio, projection_dim=8)


def save_clap(folder: Path, fusion: bool = False) -> Path:
    ClapModel(clap_config(fusion)).save_pretrained(folder)
    truncation = "fusion" if fusion else "rand_trunc"
    ClapFeatureExtractor(max_length_s=1, truncation=truncation).save_pretrained(folder)
    return folder


def save_wav2vec2(folder: Path, masked: bool = True) -> Path:
    """`masked` models are told what is padding, the others hear it (`feat_extract_norm` "group")."""
    counts: dict[str, Any] = {"num_feat_extract_layers": 2}  # not in the signature
    config = Wav2Vec2Config(
        **counts,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        conv_dim=(8, 8),
        conv_stride=(10, 8),
        conv_kernel=(20, 16),
        num_conv_pos_embeddings=4,
        num_conv_pos_embedding_groups=2,
        feat_extract_norm="layer" if masked else "group",
        do_stable_layer_norm=masked,
        hidden_dropout=0.0,
        attention_dropout=0.0,
        feat_proj_dropout=0.0,
        activation_dropout=0.0,
    )
    Wav2Vec2Model(config).save_pretrained(folder)
    Wav2Vec2FeatureExtractor(return_attention_mask=masked).save_pretrained(folder)
    return folder


def save_whisper(folder: Path) -> Path:
    config = WhisperConfig(
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        vocab_size=9,
        num_mel_bins=8,
        max_source_positions=50,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
    )
    WhisperModel(config).save_pretrained(folder)
    WhisperFeatureExtractor(feature_size=8, chunk_length=1).save_pretrained(folder)
    return folder
