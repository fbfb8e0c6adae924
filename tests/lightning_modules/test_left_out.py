"""Checkpoints without frozen pretrained weights: read, resumed and begun from as whole ones."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging, ModelCheckpoint

from common.errors import ModelError
from lightning_modules.dual_encoder import DualEncoder
from lightning_modules.matchers import Cosine
from lightning_modules.pairs import ClapPair
from lightning_modules.weights import fitting_weights, load_weights
from relevance.objectives.listnet import ListNet
from tests.support.pairs import save_clap
from tests.support.tiny import KindRelevance, TinyAudio, TinyData, TinyText, tiny_trainer


class Pretrained(TinyAudio):
    """The stand-in with weights of a source, frozen except a bias."""

    def __init__(self, seed: int = 1) -> None:
        torch.manual_seed(seed)
        super().__init__()
        self.source = "somewhere"
        self.requires_grad_(False)
        self.shift = torch.nn.Parameter(torch.zeros(self.dim))

    def forward(self, waveforms: Any, lengths: Any) -> Any:
        return super().forward(waveforms, lengths) + self.shift


def model_of(save_frozen: bool, source: int = 1, **options: Any) -> DualEncoder:
    audio = Pretrained(source)
    torch.manual_seed(0)
    adam = lambda parameters: torch.optim.Adam(parameters, lr=0.02)  # noqa: E731
    parts = audio, TinyText(), KindRelevance(), ListNet("both"), Cosine(12)
    return DualEncoder(*parts, optimizer=adam, save_frozen=save_frozen, **options)


def trained(folder: Path, save_frozen: bool, *callbacks: Any, resume: Path | None = None) -> DualEncoder:
    model = model_of(save_frozen)
    keep = ModelCheckpoint(dirpath=folder, filename="{epoch}", save_top_k=-1, monitor="val/loss")
    trainer = tiny_trainer(folder, max_epochs=2, enable_checkpointing=True, callbacks=[keep, *callbacks])
    trainer.fit(model, datamodule=TinyData(), ckpt_path=resume, weights_only=True if resume else None)
    return model


def assert_same(ours: Any, theirs: Any) -> None:
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        assert torch.equal(ours[name], value), name


@pytest.mark.slow
@pytest.mark.parametrize("averaged", [False, True])
def test_they_are_read_as_whole_ones(tmp_path: Path, averaged: bool) -> None:

    def callbacks() -> list[Any]:
        return [EMAWeightAveraging(decay=0.5)] if averaged else []

    whole = trained(tmp_path / "whole", True, *callbacks())
    trained(tmp_path / "slim", False, *callbacks())
    slim, full = (tmp_path / name / "epoch=0.ckpt" for name in ("slim", "whole"))
    frozen = {"audio_encoder.frames.weight"}
    saved = torch.load(slim, weights_only=True)
    assert saved["state_dict"].keys() == whole.state_dict().keys() - frozen
    assert saved["left_out"].keys() == frozen
    assert_same(fitting_weights(model_of(True), slim), fitting_weights(model_of(True), full))
    assert_same(model_of(True, init_from=str(slim)).state_dict(), fitting_weights(model_of(True), full))
    resumed = trained(tmp_path / "resumed", False, *callbacks(), resume=slim)
    assert_same(resumed.state_dict(), whole.state_dict())


def test_another_source_is_refused_by_name(tmp_path: Path) -> None:
    trained(tmp_path, False)
    path = tmp_path / "epoch=1.ckpt"
    for load in (load_weights, fitting_weights):
        with pytest.raises(ModelError, match=r"epoch=1\.ckpt: leaves out 1 weights .* model of audio_encoder does not"):
            load(model_of(False, source=2), path)
    with pytest.raises(ModelError, match="the checkpoint: leaves out 1 weights"):
        tiny_trainer(tmp_path).test(model_of(False, source=2), datamodule=TinyData(), ckpt_path=path, weights_only=True)


def test_frozen_weights_that_are_not_the_source_s_are_kept(tmp_path: Path) -> None:
    torch.save(model_of(True, source=2).state_dict(), tmp_path / "other.pt")
    model = model_of(False, init_from=str(tmp_path / "other.pt"))
    checkpoint: dict[str, Any] = {"state_dict": model.state_dict()}
    model.on_save_checkpoint(checkpoint)
    assert checkpoint["state_dict"].keys() == model.state_dict().keys()


@pytest.mark.slow
def test_a_pair_s_frozen_weights_are_left_out(tmp_path: Path) -> None:
    name = str(save_clap(tmp_path / "clap", seconds=1))

    def pair_model(seed: int | None = None) -> DualEncoder:
        pair = ClapPair(name if seed is None else str(save_clap(tmp_path / "other", seconds=1, seed=seed)), **few)
        return DualEncoder(None, None, KindRelevance(), ListNet("both"), pair=pair, save_frozen=False)

    few: dict[str, Any] = {"trained_audio_layers": 0, "trained_text_layers": 1}
    model = pair_model()
    frozen = {name for name, weights in model.named_parameters() if not weights.requires_grad}
    assert {name.partition(".")[0] for name in frozen} == {"audio_encoder", "text_encoder"}
    checkpoint: dict[str, Any] = {"state_dict": model.state_dict()}
    model.on_save_checkpoint(checkpoint)
    assert checkpoint["state_dict"].keys() == model.state_dict().keys() - frozen
    torch.save(checkpoint, tmp_path / "slim.ckpt")
    assert_same(fitting_weights(pair_model(), tmp_path / "slim.ckpt"), model.state_dict())
    with pytest.raises(
        ModelError, match=r"slim\.ckpt: leaves out .* and the pretrained model of audio_encoder does not"
    ):
        load_weights(pair_model(seed=5), tmp_path / "slim.ckpt")
    unknown = ClapPair(name, random_init=True, **few)  # no source gives these again
    model = DualEncoder(None, None, KindRelevance(), ListNet("both"), pair=unknown, save_frozen=False)
    checkpoint = {"state_dict": model.state_dict()}
    model.on_save_checkpoint(checkpoint)
    assert checkpoint["state_dict"].keys() == model.state_dict().keys()
