"""Hugging Face audio models, tiny, random and offline, against their own models and extractors."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    ASTFeatureExtractor,
    ASTModel,
    ClapAudioModel,
    ClapFeatureExtractor,
    ClapModel,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2Model,
)

from common.errors import ModelError
from lightning_modules.audio_encoders import HuggingFaceAudio
from lightning_modules.pooling import MeanPooling
from lightning_modules.states import States
from tests.support.audio_models import (
    assert_batch_does_not_matter,
    noise,
    save_ast,
    save_clap,
    save_wav2vec2,
    save_whisper,
)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)
    np.random.seed(0)


PROJECTION = "embeddings.patch_embeddings.projection.weight"


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
    with pytest.raises(ModelError, match=r"\((AST|ClapAudio|Whisper)\w+\) it is not known which tokens hold audio"):
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
    with pytest.raises(
        ModelError, match=r"are missing \d+ tensors of its ClapAudioModel \(e\.g\. .*give the whole model"
    ):
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
