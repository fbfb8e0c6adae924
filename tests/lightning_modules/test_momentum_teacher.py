"""Momentum distillation: the average of the weights, what it says of a batch, checkpoints, two ranks."""

import copy
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch

from common.errors import ModelError, RelevanceError
from lightning_modules.dual_encoder import DualEncoder
from lightning_modules.training.momentum_teacher import MomentumTeacher
from lightning_modules.training.schedules import Constant
from relevance.objectives.listnet import ListNet
from relevance.targets import MixedTargets, OwnAverage, SameAudio
from tests.support.gradients import BATCH, Outcome, assert_same, outcome
from tests.support.ranks import on_ranks
from tests.support.tiny import KindRelevance, TinyData, tiny_model, tiny_trainer

TAU, SHARE, MOMENTUM = 0.2, 0.4, 0.9


def student(dropout: float = 0.0) -> DualEncoder:
    mixed = MixedTargets([SameAudio(), OwnAverage(MOMENTUM)], [None, TAU / 2], [1 - SHARE, SHARE])
    mixed.prepare(*TinyData().read_captions())
    return tiny_model(ListNet("both", TAU, None, learn_tau=True), mixed, dropout=dropout)


def begun(model: DualEncoder, teacher: DualEncoder, folder: Path) -> MomentumTeacher:
    """The callback at its first batch, with the weights of `teacher` as its average."""
    callback = MomentumTeacher()
    callback.load_state_dict({"average": {name: value.detach() for name, value in teacher.named_parameters()}})
    callback.on_train_start(tiny_trainer(folder), model)
    return callback


def stepped(batch: Any, folder: Path) -> Outcome:
    model = student()
    teacher = copy.deepcopy(model)
    with torch.no_grad():
        for number, parameter in enumerate(teacher.parameters()):
            parameter.mul_(1 + 0.1 * number)
    begun(model, teacher, folder).on_train_batch_start(tiny_trainer(folder), model, batch, 0)
    loss = model.training_step(batch, 0)
    loss.backward()
    return outcome(model, loss)


def work(rank: int) -> Outcome:
    import torch.distributed as dist

    found = stepped(TinyData().pairs(BATCH[4 * rank : 4 * rank + 4]), Path())
    for value in found.values():  # what DDP does, of the loss and of each gradient
        dist.all_reduce(value)
        value /= 2
    return found


def test_the_loss_is_that_of_the_formula(tmp_path: Path) -> None:
    model = student()
    teacher = tiny_model(seed=3)
    batch = TinyData().pairs(BATCH)
    begun(model, teacher, tmp_path).on_train_batch_start(tiny_trainer(tmp_path), model, batch, 0)
    loss = model.training_step(batch, 0).detach()
    with torch.no_grad():
        text, audio = alone(model)
        their_text, theirs = alone(teacher)
    audio_of = torch.tensor([TinyData().audio_of[i] for i in BATCH])
    same = (audio_of[:, None] == audio_of).double()
    expected = 0.0
    for ours, estimates in ((text @ audio.T, their_text @ theirs.T), (audio @ text.T, theirs @ their_text.T)):
        target = (1 - SHARE) * same / same.sum(1, keepdim=True) + SHARE * torch.softmax(estimates / TAU, 1)
        expected += float(-(target * torch.log_softmax(ours / TAU, 1)).sum(1).mean()) / 2
    assert float(loss) == pytest.approx(expected, abs=1e-5)


def alone(model: DualEncoder) -> tuple[torch.Tensor, torch.Tensor]:
    """Captions and recordings of the batch, each embedded alone, float64."""
    embedded = [model.embed(TinyData().pairs([caption])) for caption in BATCH]
    audio, text = (torch.cat(each).double() for each in zip(*embedded, strict=True))
    return text, audio


class Spy(L.Callback):
    """The weights after each step."""

    def __init__(self) -> None:
        self.weights: list[dict[str, torch.Tensor]] = []

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *args: Any) -> None:
        self.weights.append({name: value.detach().clone() for name, value in pl_module.named_parameters()})


@pytest.mark.parametrize("accumulated", [1, 2])
def test_the_average_follows_the_weights_after_each_step_of_the_optimiser(tmp_path: Path, accumulated: int) -> None:
    model, spy, teacher = student(dropout=0.3), Spy(), MomentumTeacher()
    expected = {name: value.detach().clone() for name, value in model.named_parameters()}
    options: dict[str, Any] = {"max_steps": 3, "limit_val_batches": 0, "accumulate_grad_batches": accumulated}
    tiny_trainer(tmp_path, callbacks=[spy, teacher], **options).fit(model, datamodule=TinyData())
    assert len(spy.weights) == 3 * accumulated
    for weights in spy.weights[accumulated - 1 :: accumulated]:
        expected = {name: MOMENTUM * expected[name] + (1 - MOMENTUM) * value for name, value in weights.items()}
    average = teacher.state_dict()["average"]
    assert average.keys() == {name for name in expected if not name.startswith("objective.")}
    for name, value in average.items():
        torch.testing.assert_close(value, expected[name])


def test_a_resumed_training_continues_with_the_average(tmp_path: Path) -> None:
    ends = {}
    for name, epochs in (("whole", [2]), ("resumed", [1, 2])):
        checkpoint = None
        for number in epochs:
            model, teacher = student(dropout=0.3), MomentumTeacher()
            model.schedule = Constant()
            trainer = tiny_trainer(tmp_path, callbacks=[teacher], max_epochs=number, limit_val_batches=0)
            trainer.fit(model, datamodule=TinyData(), ckpt_path=checkpoint, weights_only=True)
            checkpoint = tmp_path / "last.ckpt"
            trainer.save_checkpoint(checkpoint)
        ends[name] = {**teacher.state_dict()["average"], **{f"model {n}": v for n, v in model.state_dict().items()}}
    assert ends["whole"].keys() == ends["resumed"].keys()
    for name, value in ends["whole"].items():
        torch.testing.assert_close(ends["resumed"][name], value)


def test_it_is_not_trained_and_a_validation_loss_is_against_the_annotated_pairs(tmp_path: Path) -> None:
    model, teacher = student(), MomentumTeacher()
    trainer = tiny_trainer(tmp_path, callbacks=[teacher], max_epochs=1)
    trainer.fit(model, datamodule=TinyData())
    assert not any(value.requires_grad for value in teacher.state_dict()["average"].values())
    assert all(value.requires_grad for value in model.parameters())
    ids = torch.tensor([0, 1, 2])
    own = model.relevance.eval()(ids, ids)
    one_hot = SameAudio()
    one_hot.prepare(*TinyData().read_captions())
    estimated = torch.softmax(one_hot(ids, ids) / (TAU / 2), 1)
    binary = one_hot(ids, ids) / one_hot(ids, ids).sum(1, keepdim=True)
    torch.testing.assert_close(own, (1 - SHARE) * binary + SHARE * estimated)


def test_two_ranks_give_the_loss_and_the_gradients_of_one(tmp_path: Path) -> None:
    expected = stepped(TinyData().pairs(BATCH), tmp_path)
    for rank in on_ranks(work, tmp_path):
        assert_same(rank, expected)


def test_mistakes_are_named(tmp_path: Path) -> None:
    relevance = OwnAverage()
    with pytest.raises(RelevanceError, match="OwnAverage has no average of the model: train with"):
        relevance(torch.tensor([0]), torch.tensor([0]))
    relevance.take(torch.tensor([4]), torch.ones(1, 2), torch.ones(1, 2))
    with pytest.raises(RelevanceError, match="the average of the model has embedded another batch"):
        relevance(torch.tensor([4]), torch.tensor([5]))
    with pytest.raises(RelevanceError, match=r"OwnAverage: momentum is 1\.5"):
        OwnAverage(1.5)
    with pytest.raises(ModelError, match=r"needs an OwnAverage in model\.relevance, and one momentum"):
        MomentumTeacher().on_train_start(tiny_trainer(tmp_path), tiny_model(relevance=KindRelevance()))
