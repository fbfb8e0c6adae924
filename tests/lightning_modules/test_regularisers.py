"""Regularisers against loops, with any objective, over two ranks; second views; bounds of a temperature."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from common.errors import ModelError
from lightning_modules.dual_encoder import DualEncoder
from lightning_modules.matchers import LateInteraction
from lightning_modules.regularisers import BarlowTwins, EmbeddingBalance, Regularisers, TemperatureBounds, VICReg
from lightning_modules.regularisers.balance import balance
from lightning_modules.regularisers.barlow_twins import barlow_loss
from lightning_modules.regularisers.base import Embedded, Regulariser
from lightning_modules.regularisers.vicreg import vicreg_loss
from relevance.objectives import InfoNCE, ListNet, MaxMargin
from tests.support.ranks import on_ranks
from tests.support.tiny import TinyData, tiny_model, tiny_trainer

BATCH = [0, 2, 5, 9, 13, 17]


def views(size: int = 7, dim: int = 4) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    first, second = torch.randn(2, size, dim, dtype=torch.float64, generator=generator)
    return first, first + 0.3 * second


def test_vicreg_against_a_loop() -> None:
    first, second = (view.numpy() for view in views())
    n, d = first.shape
    total = 25 * sum((first[i, j] - second[i, j]) ** 2 for i in range(n) for j in range(d)) / (n * d)
    for view in (first, second):
        mean = [sum(view[:, j]) / n for j in range(d)]
        covariance = np.array(
            [[sum((view[i, j] - mean[j]) * (view[i, k] - mean[k]) for i in range(n)) / (n - 1) for k in range(d)]
             for j in range(d)]
        )  # fmt: skip
        total += 24 * sum(max(0, 1 - math.sqrt(covariance[j, j] + 1e-4)) for j in range(d)) / d
        total += 3 * sum(covariance[j, k] ** 2 for j in range(d) for k in range(d) if j != k) / d
    assert float(vicreg_loss(*views(), 25, 24, 3)) == pytest.approx(total, rel=1e-10)


def test_barlow_twins_against_a_loop() -> None:
    first, second = (view.numpy() for view in views())
    n, d = first.shape
    total = 0.0
    for j in range(d):
        for k in range(d):
            a, b = first[:, j], second[:, k]
            scale = math.sqrt(a.var() + 1e-5) * math.sqrt(b.var() + 1e-5)
            c = sum((x - a.mean()) * (y - b.mean()) for x, y in zip(a, b, strict=True)) / n / scale
            total += (1 - c) ** 2 if j == k else 0.01 * c**2
    assert float(barlow_loss(*views(), 0.01)) == pytest.approx(total, rel=1e-10)


@pytest.mark.parametrize("loss", [lambda a, b: vicreg_loss(a, b, 25, 25, 1), lambda a, b: barlow_loss(a, b, 0.005)])
def test_gradients_are_those_of_small_steps(loss: object) -> None:
    first, second = (view.requires_grad_() for view in views())
    assert torch.autograd.gradcheck(loss, (first * 0.5, second * 0.5))  # type: ignore[arg-type]


def test_balance_is_lowest_where_few_dimensions_are_used() -> None:
    alike, one = torch.ones(2, 8), torch.eye(8)[:2]
    assert float(balance(alike)) == pytest.approx(1 / 4)
    assert float(balance(one)) == pytest.approx(2 / 16 / math.sqrt(2))
    term = EmbeddingBalance()(Embedded(alike, one))
    assert float(term) == pytest.approx(float(balance(alike)) + float(balance(one)))


def prepared(*regularisers: Regulariser, dropout: float = 0.0, **options: object) -> DualEncoder:
    model = tiny_model(regularisers=[*regularisers], dropout=dropout, **options)  # type: ignore[arg-type]
    model.relevance.prepare(*TinyData().read_captions())
    return model


@pytest.mark.parametrize("objective", [lambda: InfoNCE(), lambda: ListNet("both"), lambda: MaxMargin()])
def test_terms_are_added_to_any_objective(objective: type) -> None:
    batch = TinyData().pairs(BATCH)
    plain = prepared(objective=objective()).training_step(batch, 0)
    model = prepared(VICReg(0.3, of="pairs"), EmbeddingBalance(2.0), objective=objective())
    audio, text = model.embed(batch)
    terms = 0.3 * VICReg(of="pairs")(Embedded(audio, text)) + 2 * EmbeddingBalance()(Embedded(audio, text))
    torch.testing.assert_close(model.training_step(batch, 0), plain + terms)


def test_a_second_view_is_drawn_where_one_is_asked_for() -> None:
    batch, model = TinyData().pairs(BATCH), prepared(VICReg(of="both"), dropout=0.5)
    torch.manual_seed(5)
    audio, text = model.embed_again(batch)
    assert audio is not None
    assert text is not None
    assert not torch.equal(audio, model.embed(batch)[0])
    assert prepared(VICReg(of="text")).embed_again(batch)[0] is None
    assert prepared(VICReg(of="audio")).embed_again(batch)[1] is None
    whole = prepared(BarlowTwins(of="audio")).embed_again(batch)[0]
    part = prepared(BarlowTwins(of="audio", crop=0.5)).embed_again(batch)[0]
    assert whole is not None
    assert part is not None
    assert torch.equal(whole, prepared().embed(batch)[0])
    assert (whole - part).abs().max() > 1e-3


@pytest.mark.slow
def test_terms_are_logged_by_name(tmp_path: Path) -> None:
    parts = [VICReg(), BarlowTwins(of="audio"), BarlowTwins(of="text"), EmbeddingBalance()]
    model = prepared(*parts, dropout=0.2, matcher=LateInteraction(6, frames=2, words=2))
    trainer = tiny_trainer(tmp_path, max_epochs=1)
    trainer.fit(model, datamodule=TinyData())
    logged = {name.removeprefix("train/") for name in trainer.callback_metrics if name.startswith("train/")}
    assert {"VICReg", "BarlowTwins", "BarlowTwins_2", "EmbeddingBalance", "loss"} <= logged
    assert all(math.isfinite(value) for value in trainer.callback_metrics.values())


@pytest.mark.slow
@pytest.mark.parametrize(("bounds", "expected"), [((0.2, 0.3), 0.2), ((0.01, 0.02), 0.02), ((1e-3, 10.0), None)])
def test_a_temperature_stays_in_its_bounds(bounds: tuple[float, float], expected: float | None, tmp_path: Path) -> None:
    model = prepared(TemperatureBounds(*bounds), objective=InfoNCE(tau=0.05, learn_tau=True), lr=1e-4)
    tiny_trainer(tmp_path, max_epochs=1, limit_train_batches=1).fit(model, datamodule=TinyData())
    tau = float(torch.as_tensor(model.objective.tau))
    assert tau == (pytest.approx(expected, rel=1e-6) if expected else pytest.approx(0.05, rel=0.05))


def test_what_does_not_go_together() -> None:
    with pytest.raises(ModelError, match=r"^model\.regularisers: TemperatureBounds, but ListNet trains no temperature"):
        prepared(TemperatureBounds())
    with pytest.raises(ModelError, match=r"^model\.regularisers: TemperatureBounds: low is 0\.2, above high, 0\.1"):
        TemperatureBounds(0.2, 0.1)
    with pytest.raises(ModelError, match=r"^model\.regularisers: crop is 0\.5 and 1; give one"):
        Regularisers([VICReg(crop=0.5), BarlowTwins()])
    with pytest.raises(ModelError, match=r"^model\.regularisers: VICReg: of is 'all': give one of audio, text, both"):
        VICReg(of="all")  # type: ignore[arg-type]
    with pytest.raises(ModelError, match=r"^model\.regularisers: EmbeddingBalance: weight is -1; give"):
        EmbeddingBalance(-1)


def step(ids: list[int]) -> dict[str, Tensor]:
    model = prepared(VICReg(0.1, of="pairs"), BarlowTwins(0.1, of="pairs"), EmbeddingBalance()).double()
    loss = model.training_step(TinyData().pairs(ids), 0)  # float64: to standardise amplifies rounding
    loss.backward()
    return {"loss": loss.detach(), **{key: p.grad for key, p in model.named_parameters() if p.grad is not None}}


def on_a_rank(rank: int) -> dict[str, Tensor]:
    return step(BATCH[3 * rank : 3 * rank + 3])


@pytest.mark.slow
def test_two_ranks_equal_one(tmp_path: Path) -> None:
    ranks = on_ranks(on_a_rank, tmp_path)
    for key, expected in step(BATCH).items():
        mean = torch.stack([rank[key] for rank in ranks]).mean(0)
        torch.testing.assert_close(mean, expected, rtol=1e-5, atol=1e-6)  # scores are float32
