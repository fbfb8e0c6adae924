"""SmallCNN, Hugging Face models (tiny, random, offline), and what every encoder promises."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonargparse import ArgumentParser
from torch import Tensor
from transformers import (
    ASTConfig,
    ASTFeatureExtractor,
    ASTModel,
    ClapAudioModel,
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

from common.errors import ModelError
from lightning_modules.audio_encoders import AudioEncoder, HuggingFaceAudio, PaSST, SmallCNN
from lightning_modules.audio_encoders.base import silence_padding
from lightning_modules.audio_encoders.cnn import FrameNorm, hide_stretch
from lightning_modules.pooling import MeanPooling
from lightning_modules.states import States


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)
    np.random.seed(0)


def noise(sample_rate: int, *seconds: float) -> tuple[Tensor, Tensor]:
    """Clips of these lengths; beyond its end each goes on with rubbish, which must not be heard."""
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


# ---- all encoders ----------------------------------------------------------------------------------------------------


def test_silence_padding_equals_a_loop() -> None:
    waveforms, lengths = torch.randn(4, 9), torch.tensor([0, 3, 8, 9])
    expected = waveforms.clone()
    for row, length in enumerate(lengths):
        expected[row, length:] = 0
    assert torch.equal(silence_padding(waveforms, lengths), expected)


@pytest.mark.parametrize(
    ("class_path", "init_args", "kind"),
    [
        ("SmallCNN", {"dim": 8, "width": 4, "time_masks": 2}, SmallCNN),
        ("PaSST", {"dim": 8, "depth": 1, "heads": 2, "mask_padding": True}, PaSST),
    ],
)
def test_encoders_are_built_from_a_config(class_path: str, init_args: dict[str, Any], kind: type[AudioEncoder]) -> None:
    parser = ArgumentParser()
    parser.add_argument("--encoder", type=AudioEncoder)
    config = {"encoder": {"class_path": f"lightning_modules.audio_encoders.{class_path}", "init_args": init_args}}
    encoder = parser.instantiate(parser.parse_object(config)).encoder
    assert type(encoder) is kind
    assert encoder.dim == 8


# ---- SmallCNN --------------------------------------------------------------------------------------------------------


def small_cnn(**options: Any) -> SmallCNN:
    """A network whose batch norms have seen something, so that they are not the identity."""
    encoder = SmallCNN(dim=16, width=4, **options).train()
    for _ in range(3):
        encoder(*noise(16_000, 0.5, 0.9, 0.7))
    return encoder


@pytest.fixture(scope="module")
def trained_cnn() -> SmallCNN:
    torch.manual_seed(0)
    return small_cnn().eval()


@settings(max_examples=25, deadline=None)
@given(length=st.integers(1, 9000), padding=st.integers(0, 9000))
def test_padding_does_not_change_an_embedding(trained_cnn: SmallCNN, length: int, padding: int) -> None:
    waveform = torch.randn(1, length)
    padded = torch.cat([waveform, torch.randn(1, padding)], 1)
    with torch.no_grad():
        alone = trained_cnn(waveform, torch.tensor([length]))
        torch.testing.assert_close(trained_cnn(padded, torch.tensor([length])), alone, atol=1e-4, rtol=1e-3)


def test_cnn_embeds_clips_independently(trained_cnn: SmallCNN) -> None:
    assert_batch_does_not_matter(trained_cnn, 0.31, 2, 1.234)


def test_cnn_standardises_levels() -> None:
    """After training on loud audio or on quiet audio, the layers see the same."""
    waveforms, lengths = noise(16_000, 1, 1, 1, 1)
    spectrograms = SmallCNN(dim=8, width=2).spectrogram(waveforms)
    mask = torch.ones(4, spectrograms.shape[2], dtype=torch.bool)
    loud, quiet = FrameNorm(64).train()(spectrograms, mask), FrameNorm(64).train()(spectrograms - 4, mask)
    torch.testing.assert_close(loud, quiet, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(loud.mean((0, 2)), torch.zeros(64), atol=1e-4, rtol=0)
    torch.testing.assert_close(loud.var((0, 2)), torch.ones(64), atol=0.02, rtol=0)
    assert len(lengths) == 4


def test_frame_norm_does_not_count_padding() -> None:
    frames = torch.randn(2, 3, 10)
    mask = torch.ones(2, 10, dtype=torch.bool)
    mask[1, 4:] = False
    norm = FrameNorm(3).train()
    normed = norm(frames, mask)
    heard = torch.cat([frames[0], frames[1, :, :4]], 1)  # (3, 14)
    expected = (heard - heard.mean(1, keepdim=True)) / (heard.var(1, keepdim=True, correction=0) + 1e-5).sqrt()
    torch.testing.assert_close(torch.cat([normed[0], normed[1, :, :4]], 1), expected)
    assert (normed[1, :, 4:] == 0).all()
    torch.testing.assert_close(norm.running_mean, 0.1 * heard.mean(1))


@settings(max_examples=30, deadline=None)
@given(axis=st.sampled_from([1, 2]), widest=st.integers(0, 12), seed=st.integers(0, 1000))
def test_hidden_stretches_are_connected_and_not_too_wide(axis: int, widest: int, seed: int) -> None:
    torch.manual_seed(seed)
    hidden = hide_stretch(torch.ones(6, 8, 10), axis, widest) == 0
    for clip in hidden:
        line = clip.any(dim=2 - axis)
        assert torch.equal(clip, (line[:, None] if axis == 1 else line[None]).expand(8, 10))
        positions = line.nonzero()[:, 0]
        assert len(positions) <= widest
        assert len(positions) == 0 or positions[-1] - positions[0] + 1 == len(positions)


def test_widths_of_hidden_stretches_are_uniform() -> None:
    widths = (hide_stretch(torch.ones(6000, 1, 20), 2, 3) == 0).sum((1, 2))
    counts = torch.bincount(widths, minlength=4) / 6000
    torch.testing.assert_close(counts, torch.full((4,), 0.25), atol=0.03, rtol=0)


def test_spec_augment_acts_in_training_only_and_follows_the_seed() -> None:
    encoder = small_cnn(time_masks=2, frequency_masks=2, dropout=0.5)
    waveforms, lengths = noise(16_000, 1, 1)
    torch.manual_seed(1)
    first, second = encoder.train()(waveforms, lengths), encoder(waveforms, lengths)
    torch.manual_seed(1)
    torch.testing.assert_close(encoder(waveforms, lengths), first)
    assert (first - second).abs().max() > 1e-3
    assert torch.equal(encoder.eval()(waveforms, lengths), encoder(waveforms, lengths))


def test_cnn_gives_every_parameter_a_gradient() -> None:
    encoder = SmallCNN(dim=8, width=2).train()
    encoder(*noise(16_000, 0.5, 0.8)).square().sum().backward()
    assert all(parameter.grad is not None for parameter in encoder.parameters())


def test_cnn_learns_to_tell_pitches_apart() -> None:
    """Low, middle and high tones in noise: a few steps suffice, and clips of another length are told apart too."""
    encoder, classify = SmallCNN(dim=16, width=4).train(), torch.nn.Linear(16, 3)
    optimiser = torch.optim.Adam([*encoder.parameters(), *classify.parameters()], lr=0.01)

    def tones(samples: int) -> tuple[Tensor, Tensor, Tensor]:
        labels = torch.arange(24) % 3
        pitch = torch.tensor([300.0, 1000.0, 3000.0])[labels] * (1 + 0.2 * torch.rand(24))
        waves = torch.sin(2 * torch.pi * pitch[:, None] * torch.arange(samples) / 16_000)
        return 0.1 * waves + 0.02 * torch.randn(24, samples), torch.full((24,), samples), labels

    for _ in range(25):
        waveforms, lengths, labels = tones(4000)
        loss = torch.nn.functional.cross_entropy(classify(encoder(waveforms, lengths)), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    waveforms, lengths, labels = tones(6000)
    predicted = classify(encoder.eval()(waveforms, lengths)).argmax(1)
    assert (predicted == labels).float().mean() > 0.9


def test_mel_bands_must_be_a_multiple_of_eight() -> None:
    with pytest.raises(ModelError, match="n_mels 60 is not a multiple of 8"):
        SmallCNN(n_mels=60)


# ---- Hugging Face ----------------------------------------------------------------------------------------------------


PROJECTION = "embeddings.patch_embeddings.projection.weight"


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


def test_ast_equals_its_own_model_and_extractor(tmp_path: Path) -> None:
    encoder = HuggingFaceAudio(str(save_ast(tmp_path)), pooling="model").eval()
    waveforms, lengths = noise(16_000, 0.3, 0.6)
    model, extractor = ASTModel.from_pretrained(tmp_path).eval(), ASTFeatureExtractor.from_pretrained(tmp_path)
    for row, length in enumerate(lengths.tolist()):
        features = extractor(waveforms[row, :length].numpy(), sampling_rate=16_000, return_tensors="pt")
        expected = model(**features)
        pooled = encoder(waveforms, lengths)[row]
        torch.testing.assert_close(pooled, expected.pooler_output[0], atol=1e-5, rtol=1e-4)
        encoder.pooling = "mean"
        torch.testing.assert_close(encoder(waveforms, lengths)[row], expected.last_hidden_state[0].mean(0))
        encoder.pooling = "first"
        torch.testing.assert_close(encoder(waveforms, lengths)[row], expected.last_hidden_state[0, 0])
        encoder.pooling = "model"


@pytest.mark.parametrize("fusion", [False, True])
def test_clap_is_reduced_to_its_audio_tower(tmp_path: Path, fusion: bool) -> None:
    encoder = HuggingFaceAudio(str(save_clap(tmp_path, fusion)), pooling="model").eval()
    assert isinstance(encoder.model, ClapAudioModel)
    assert (encoder.sample_rate, encoder.dim) == (48_000, 32)
    waveforms, lengths = noise(48_000, 0.4, 1)
    whole = ClapModel.from_pretrained(tmp_path).eval()
    extractor = ClapFeatureExtractor.from_pretrained(tmp_path)
    features = extractor(
        [wave[:length].numpy() for wave, length in zip(waveforms, lengths, strict=True)],
        sampling_rate=48_000,
        return_tensors="pt",
    )
    features["is_longer"] = torch.zeros(2, 1, dtype=torch.bool)
    expected = whole.audio_model(**features)
    torch.testing.assert_close(encoder(waveforms, lengths), expected.pooler_output, atol=1e-5, rtol=1e-4)
    encoder.pooling = "mean"
    mean = expected.last_hidden_state.mean((2, 3))
    torch.testing.assert_close(encoder(waveforms, lengths), mean, atol=1e-5, rtol=1e-4)


def test_wav2vec2_averages_the_frames_of_audio_only(tmp_path: Path) -> None:
    encoder = HuggingFaceAudio(str(save_wav2vec2(tmp_path))).eval()
    waveforms, lengths = noise(16_000, 0.2, 0.5)
    model, extractor = Wav2Vec2Model.from_pretrained(tmp_path).eval(), Wav2Vec2FeatureExtractor()
    embeddings = encoder(waveforms, lengths)
    for row, length in enumerate(lengths.tolist()):
        features = extractor(waveforms[row, :length].numpy(), sampling_rate=16_000, return_tensors="pt")
        expected = model(**features).last_hidden_state[0].mean(0)
        torch.testing.assert_close(embeddings[row], expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("masked", [True, False])
def test_frames_are_those_that_the_mean_is_of(tmp_path: Path, masked: bool) -> None:
    folder = str(save_wav2vec2(tmp_path, masked))
    mean, frames = (HuggingFaceAudio(folder, pooling, 0.5).eval() for pooling in ("mean", "none"))
    waveforms, lengths = noise(16_000, 0.2, 0.5, 1.0)  # one window, a full one, two full ones
    states = frames(waveforms, lengths)
    assert isinstance(states, States)
    assert states.lengths[2] == 2 * states.lengths[1]
    torch.testing.assert_close(MeanPooling()(states), mean(waveforms, lengths), atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("save", [save_ast, save_clap, save_whisper])
def test_frames_of_unknown_lengths_are_refused_by_name(tmp_path: Path, save: Any) -> None:
    with pytest.raises(
        ModelError, match=r"\((AST|ClapAudio|Whisper)\w+\) it is not known which tokens hold audio and wh"
    ):
        HuggingFaceAudio(str(save(tmp_path)), "none")


@pytest.mark.parametrize("kind", ["ast", "clap", "clap-fusion", "wav2vec2", "wav2vec2-unmasked", "whisper"])
def test_hugging_face_models_embed_clips_independently(tmp_path: Path, kind: str) -> None:
    """Several windows a clip, a tail, and a clip shorter than a frame."""
    if kind == "whisper":
        save_whisper(tmp_path)
    elif kind.startswith("wav2vec2"):
        save_wav2vec2(tmp_path, masked=kind == "wav2vec2")
    elif kind.startswith("clap"):
        save_clap(tmp_path, fusion=kind == "clap-fusion")
    else:
        save_ast(tmp_path)
    encoder = HuggingFaceAudio(str(tmp_path), window_seconds=0.5)
    assert_batch_does_not_matter(encoder, 1.5, 0.4, 0.001)


@pytest.mark.parametrize("save", [save_ast, save_clap, save_wav2vec2, save_whisper])
def test_hugging_face_models_train(tmp_path: Path, save: Any) -> None:
    """In training mode, every parameter gets a gradient, and torch's seed decides all."""
    encoder = HuggingFaceAudio(str(save(tmp_path)))
    assert all(module.training for module in encoder.modules())
    waveforms, lengths = noise(encoder.sample_rate, 0.6, 0.4)
    torch.manual_seed(0)
    first = encoder(waveforms, lengths)
    first.square().sum().backward()
    idle = [
        name for name, parameter in encoder.named_parameters() if parameter.grad is None and parameter.requires_grad
    ]
    assert idle == []
    torch.manual_seed(0)
    torch.testing.assert_close(encoder(waveforms, lengths), first)


def test_random_init_needs_a_config_only(tmp_path: Path) -> None:
    config = json.loads((save_ast(tmp_path / "whole") / "config.json").read_text())
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "config.json").write_text(json.dumps(config))
    encoder = HuggingFaceAudio(str(bare), random_init=True).eval()
    assert (encoder.extractor.max_length, encoder.extractor.num_mel_bins, encoder.dim) == (64, 32, 16)
    assert encoder(*noise(16_000, 0.4)).shape == (1, 16)
    weights = HuggingFaceAudio(str(tmp_path / "whole"), random_init=True).model.state_dict()
    saved = ASTModel.from_pretrained(tmp_path / "whole").state_dict()
    assert not torch.equal(weights[PROJECTION], saved[PROJECTION])
    with pytest.raises(ModelError, match=r"bare' cannot be loaded \(.*preprocessor_config.json") as caught:
        HuggingFaceAudio(str(bare))
    assert "\n" not in str(caught.value)


def test_windows_fit_what_the_model_takes_in(tmp_path: Path) -> None:
    save_ast(tmp_path / "ast")
    save_wav2vec2(tmp_path / "wav2vec2")
    assert HuggingFaceAudio(str(tmp_path / "ast")).window == 64 * 160
    assert HuggingFaceAudio(str(tmp_path / "wav2vec2")).window == 160_000
    with pytest.raises(ModelError, match=r"window_seconds 2: .*ast' takes more than 0 and at most 0\.64 s"):
        HuggingFaceAudio(str(tmp_path / "ast"), window_seconds=2)


def test_half_precision_weights_are_loaded_in_float32(tmp_path: Path) -> None:
    save_ast(tmp_path)
    ASTModel.from_pretrained(tmp_path).half().save_pretrained(tmp_path)
    encoder = HuggingFaceAudio(str(tmp_path))
    assert {parameter.dtype for parameter in encoder.parameters()} == {torch.float32}


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    """transformers would leave these weights random and print a table."""
    save_clap(tmp_path)
    tower = ClapModel.from_pretrained(tmp_path).audio_model
    config = (tmp_path / "config.json").read_text()
    tower.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(config)
    with pytest.raises(ModelError, match=r"lack \d+ tensors of its audio model .*random_init"):
        HuggingFaceAudio(str(tmp_path))


def test_unreachable_models_are_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise OSError("name or service\nnot known")

    monkeypatch.setattr("huggingface_hub.HfApi.model_info", unreachable)
    with pytest.raises(
        ModelError, match=r"'someone/no-such-model' is neither a local folder nor in .* cache"
    ) as caught:
        HuggingFaceAudio("someone/no-such-model")
    assert "\n" not in str(caught.value)
    with pytest.raises(ModelError, match="no such folder"):
        HuggingFaceAudio(str(tmp_path / "nowhere"))


def test_missing_pooled_output_is_named(tmp_path: Path) -> None:
    folder = save_wav2vec2(tmp_path)
    with pytest.raises(ModelError, match=r"has no pooler_output: choose another pooling than model"):
        HuggingFaceAudio(str(folder), pooling="model")
