"""What objectives add to a model: parameters of their own, scores within a modality, random numbers."""

from pathlib import Path

import pytest
import torch

from common.errors import ModelError
from lightning_modules.dual_encoder import DualEncoder
from lightning_modules.matchers import Matcher
from relevance.objectives import CUSA, HNNCE, Objective, SigLIP, Triplet
from relevance.targets import SameAudio
from tests.support.gradients import BATCH
from tests.support.seams import TwoVectors
from tests.support.tiny import TinyData, tiny_model, tiny_trainer


@pytest.mark.parametrize(
    ("objective", "names"),
    [
        (SigLIP(), ["objective.log_scale", "objective.bias"]),
        (CUSA(learn_tau=True), ["objective.log_tau", "objective.log_soft_taus"]),
        (HNNCE(learn_tau=True), ["objective.log_tau"]),
    ],
)
def test_trained_constants_move_and_come_back_from_a_checkpoint(
    objective: Objective, names: list[str], tmp_path: Path
) -> None:
    model = tiny_model(objective, SameAudio(), lr=0.1)
    before = {name: model.state_dict()[name].clone() for name in names}
    trainer = tiny_trainer(tmp_path, max_epochs=1)
    trainer.fit(model, TinyData())
    state = model.state_dict()
    assert all(not torch.equal(state[name], before[name]) for name in names)
    logged = {name.removeprefix("train/") for name in trainer.logged_metrics if name.startswith("train/")}
    assert set(model.objective.values()) <= logged
    trainer.save_checkpoint(tmp_path / "model.ckpt")
    saved = torch.load(tmp_path / "model.ckpt", weights_only=True)["state_dict"]
    assert all(torch.equal(saved[name], state[name]) for name in names)
    assert any(
        parameter is dict(model.named_parameters())[names[0]]
        for group in trainer.optimizers[0].param_groups
        for parameter in group["params"]
    )


def test_constants_that_are_not_trained_stay(tmp_path: Path) -> None:
    model = tiny_model(SigLIP(learn=False), SameAudio(), lr=0.1)
    tiny_trainer(tmp_path, max_epochs=1).fit(model, TinyData())
    assert model.objective.values()["bias"] == -10


def test_a_pair_s_temperature_is_the_beginning_of_the_scale() -> None:
    objective = SigLIP()
    objective.begin_at(0.02)
    assert objective.log_scale.exp().item() == pytest.approx(50)


def step(model: DualEncoder) -> torch.Tensor:
    model.relevance.prepare(*TinyData().read_captions())
    return model.training_step(TinyData().pairs(BATCH), 0)


def test_scores_within_a_modality_are_those_of_the_queries() -> None:
    relevance = SameAudio()
    model = tiny_model(CUSA("text_to_audio", own=1.0), relevance)
    without = tiny_model(CUSA("text_to_audio", own=0.0), SameAudio())
    term = step(model) - step(without)
    batch = TinyData().pairs(BATCH)
    text = model.embed(batch)[1]
    wanted = relevance(batch.caption_ids, batch.caption_ids)
    assert term.item() == pytest.approx(model.objective.within(text @ text.T, wanted).item(), rel=1e-4)


@pytest.mark.parametrize("matcher", [TwoVectors()])
def test_a_matcher_without_such_scores_is_named(matcher: Matcher) -> None:
    with pytest.raises(ModelError, match="TwoVectors compares captions with recordings alone"):
        step(tiny_model(CUSA(), SameAudio(), matcher=matcher))


def test_the_loss_of_a_pool_draws_the_same_each_time_and_leaves_the_generator(tmp_path: Path) -> None:
    model = tiny_model(Triplet(negatives="random"), SameAudio())
    trainer = tiny_trainer(tmp_path)
    trainer.validate(model, TinyData(), verbose=False)
    assert model.evaluation is not None
    state = torch.get_rng_state()
    losses = {model.pool_loss(model.evaluation.pool).item() for _ in range(2)}
    assert losses == {trainer.callback_metrics["val/loss"].item()}
    assert torch.equal(torch.get_rng_state(), state)
