"""Pretrained pairs give the embeddings of the models they come from, also of long clips and beside other ones."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import ASTFeatureExtractor, ClapFeatureExtractor, ClapModel, PeAudioFeatureExtractor, PeAudioModel

from common.errors import ModelError
from lightning_modules.audio_encoders.base import silence_padding
from lightning_modules.audio_encoders.decibel_mels import fill_up, mels_of
from lightning_modules.audio_encoders.device_features import device_features
from lightning_modules.dual_encoder import DualEncoder
from lightning_modules.matchers import Projected
from lightning_modules.pairs import ClapPair, Pair, PeAudioPair
from lightning_modules.pairs.training_data import maybe_heard
from lightning_modules.training.lora import LoRA
from relevance.objectives import InfoNCE, ListNet
from relevance.targets import SameAudio
from tests.support.pairs import save_clap, save_pe_audio
from tests.support.tiny import TinyData, tiny_trainer

CAPTIONS = ["a dog barks", "rain falls on the loud roof while the wind blows"]
RATE = 48_000


def noise(*shape: int, seed: int = 1) -> Tensor:
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def evaluated(pair: Pair) -> DualEncoder:
    return DualEncoder(None, None, SameAudio(), InfoNCE(), pair=pair).eval()


@pytest.fixture(params=["clap", "fused"])
def clap(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return save_clap(tmp_path, fusion=request.param == "fused", seconds=1)


@torch.no_grad()
def test_clap_gives_the_features_of_transformers(clap: Path) -> None:
    whole, extractor = ClapModel.from_pretrained(clap).eval(), ClapFeatureExtractor.from_pretrained(clap)
    model = evaluated(ClapPair(str(clap)))
    clips = noise(3, RATE)  # of exactly one window
    inputs = extractor(list(clips.numpy()), sampling_rate=RATE, return_tensors="pt")
    inputs["is_longer"] = torch.zeros_like(inputs["is_longer"])  # the extractor draws one at random
    audio = model.embed_audio(clips, torch.full((3,), RATE))
    torch.testing.assert_close(audio, whole.get_audio_features(**inputs).pooler_output, rtol=0, atol=1e-5)
    tokenizer: Any = model.text_encoder.tokenizer
    tokens = tokenizer(CAPTIONS, padding=True, return_tensors="pt")
    text = whole.get_text_features(tokens["input_ids"], tokens["attention_mask"]).pooler_output
    torch.testing.assert_close(model.embed_text(CAPTIONS), text, rtol=0, atol=1e-5)


@pytest.mark.parametrize("truncation", ["rand_trunc", "fusion"])
@pytest.mark.parametrize("padding", ["repeatpad", "repeat", "pad"])
def test_mels_are_those_of_the_feature_extractor(truncation: str, padding: Any) -> None:
    extractor = ClapFeatureExtractor(max_length_s=1, truncation=truncation, padding=padding)
    lengths = torch.tensor([RATE, 13_000, 700, RATE // 2])
    clips = noise(4, RATE)
    wanted = extractor([clip[:end].numpy() for clip, end in zip(clips, lengths, strict=True)], sampling_rate=RATE)
    given = mels_of(extractor)(fill_up(clips, lengths, padding))
    np.testing.assert_allclose(given, np.array(wanted["input_features"])[:, 0], rtol=0, atol=1e-4)


@pytest.mark.parametrize("normalise", [True, False])
def test_ast_features_are_those_of_its_extractor(normalise: bool) -> None:
    extractor = ASTFeatureExtractor(max_length=120, num_mel_bins=32, do_normalize=normalise)
    lengths = torch.tensor([16_000, 1_234, 399, 8_000])
    clips = noise(4, 16_000)
    front_end = device_features(extractor)
    assert front_end is not None
    given = front_end(silence_padding(clips, lengths), lengths)["input_values"]
    for row in (0, 1, 3):
        wanted = extractor(clips[row, : lengths[row]].numpy(), sampling_rate=16_000, return_tensors="pt")
        torch.testing.assert_close(given[row], wanted["input_values"][0], rtol=0, atol=1e-4)


@torch.no_grad()
def test_a_long_clip_is_the_mean_over_its_windows_every_time(clap: Path) -> None:
    encoder = ClapPair(str(clap)).audio.eval()
    long = noise(1, 5 * RATE // 2)  # as 25 s with windows of 10 s
    first, second = (encoder(long, torch.tensor([long.shape[1]])) for _ in range(2))
    assert torch.equal(first, second)
    windows = [long[:, :RATE], long[:, RATE : 2 * RATE], long[:, 2 * RATE :]]
    alone = torch.cat([encoder(window, torch.tensor([window.shape[1]])) for window in windows])
    torch.testing.assert_close(first, alone.mean(0, keepdim=True), rtol=0, atol=1e-6)
    beside = encoder(F.pad(torch.cat([long, noise(1, long.shape[1])]), (0, 999)), torch.tensor([long.shape[1], 30_000]))
    torch.testing.assert_close(beside[:1], first, rtol=0, atol=1e-6)


@torch.no_grad()
def test_pe_audio_gives_the_embeddings_of_transformers(tmp_path: Path) -> None:
    save_pe_audio(tmp_path)
    whole, extractor = PeAudioModel.from_pretrained(tmp_path).eval(), PeAudioFeatureExtractor.from_pretrained(tmp_path)
    pair = PeAudioPair(str(tmp_path))
    model = evaluated(pair)
    clips, lengths = noise(3, 9_700), torch.tensor([9_700, 1_000, 9_700])  # no whole number of hops
    given = model.embed_audio(clips, lengths)
    tokenizer: Any = model.text_encoder.tokenizer
    tokens = tokenizer(CAPTIONS, padding=True, return_tensors="pt")
    text = {name: tokens[name] for name in ("input_ids", "attention_mask")}
    scores = []
    for clip, end, vector in zip(clips, lengths.tolist(), given, strict=True):
        inputs = extractor(clip[:end].numpy(), sampling_rate=RATE, return_tensors="pt")
        torch.testing.assert_close(vector[None], whole.get_audio_embeds(**inputs), rtol=0, atol=1e-5)
        output = whole(**inputs, **text)
        torch.testing.assert_close(model.embed_text(CAPTIONS), output.text_audio_embeds, rtol=0, atol=1e-5)
        scores.append(output.logits_audio_text[0])
    assert pair.tau is not None
    ours = model.matcher.scores(model.embed_text(CAPTIONS), given) / pair.tau + whole.text_audio_logit_bias
    torch.testing.assert_close(ours, torch.stack(scores, 1), rtol=0, atol=1e-5)


@pytest.mark.parametrize("save", [save_clap, save_pe_audio])
def test_one_step_changes_both_towers_and_every_trained_parameter(save: Callable[[Path], Path], tmp_path: Path) -> None:
    kind = ClapPair if save is save_clap else PeAudioPair
    pair = kind(str(save(tmp_path)))
    model = DualEncoder(None, None, SameAudio(), InfoNCE(learn_tau=True), pair=pair)
    assert pair.tau is not None
    assert float(torch.as_tensor(model.objective.tau).detach()) == pytest.approx(pair.tau)
    before = {name: value.detach().clone() for name, value in model.named_parameters() if value.requires_grad}
    tiny_trainer(tmp_path, max_steps=1).fit(model, _AtPairsRate(train=12, held_out=4))
    changed = {name for name, value in model.named_parameters() if name in before and not value.equal(before[name])}
    assert any(name.startswith("audio_encoder.model") for name in changed)
    assert any(name.startswith("text_encoder.model") for name in changed)
    assert "objective.log_tau" in changed


class _AtPairsRate(TinyData):
    sample_rate = RATE


def test_what_gets_no_gradient_is_frozen_as_several_devices_need_it(tmp_path: Path) -> None:
    pair = ClapPair(str(save_clap(tmp_path, fusion=True, seconds=1)))
    frozen = {name for name, value in pair.audio.named_parameters() if not value.requires_grad}
    assert frozen
    assert all("fusion_model" in name or "mel_conv2d" in name for name in frozen)
    assert pair.audio.training


def test_layers_and_adapters_are_chosen(tmp_path: Path) -> None:
    save_clap(tmp_path, seconds=1)
    pair = ClapPair(str(tmp_path), trained_audio_layers=0, trained_text_layers=1)
    assert {name.split(".")[0] for name, value in pair.audio.named_parameters() if value.requires_grad} == {
        "projection"
    }
    trained = {name for name, value in pair.text.named_parameters() if value.requires_grad}
    assert any(".layer.1." in name for name in trained)
    assert not any(".layer.0." in name for name in trained)
    pytest.importorskip("peft")
    adapted = ClapPair(str(tmp_path), lora=LoRA(rank=2))
    names = [name for name, value in adapted.text.named_parameters() if value.requires_grad]
    assert names
    assert all("lora" in name or "projection" in name for name in names)


def test_mistakes_are_one_line(tmp_path: Path) -> None:
    save_clap(tmp_path / "clap", seconds=1)
    with pytest.raises(ModelError, match="is a clap model; PeAudioModel takes pe_audio checkpoints"):
        PeAudioPair(str(tmp_path / "clap"))
    with pytest.raises(ModelError, match=r"window_seconds is 2: .* at most 1 s"):
        ClapPair(str(tmp_path / "clap"), window_seconds=2)
    with pytest.raises(ModelError, match="no such folder"):
        ClapPair(str(tmp_path / "nothing"))
    pair = ClapPair(str(tmp_path / "clap"))
    with pytest.raises(ModelError, match="brings both encoders"):
        DualEncoder(pair.audio, None, SameAudio(), ListNet(), pair=pair)
    with pytest.raises(ModelError, match="are both needed"):
        DualEncoder(pair.audio, None, SameAudio(), ListNet())
    with pytest.raises(ModelError, match="gives 3 numbers and the text encoder 4"):
        Projected().connect(3, 4)


def test_a_test_warns_of_recordings_that_may_have_been_heard(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Freesound(_AtPairsRate):
        def origins(self, split: str) -> dict[str, str]:
            return {f"{i}.wav": f"freesound:{i}" for i in self.audio_ids[split]}

    save_clap(tmp_path, seconds=1)
    model = evaluated(ClapPair(str(tmp_path), trained_on=["clotho train", "freesound"]))
    with caplog.at_level(logging.WARNING):
        tiny_trainer(tmp_path).test(model, Freesound(train=6, held_out=4), verbose=False)
    assert "4 of 4 test recordings are from freesound" in caplog.text
    assert maybe_heard([], {"a": "freesound:1"}) == {}
    assert maybe_heard(["AudioSet"], {"a": "youtube:x"}) == {"youtube": 1}
