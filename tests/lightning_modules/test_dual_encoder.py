"""The dual encoder against loops in float64: its loss, its learning rate, its judgement; and what a run can resume."""

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from torch import Tensor
from torch.utils.data import DataLoader

from common.directions import DIRECTIONS, Direction
from common.errors import ModelError, RelevanceError
from datamodules.batch import Batch, collate
from datamodules.sampling.pair_batches import rank_share
from evaluation.evaluator import Evaluation
from lightning_modules.dual_encoder import DualEncoder
from lightning_modules.matchers.cosine import Cosine, cosine_scores
from lightning_modules.training.schedules import Constant, WarmupCosine
from relevance.objectives.base import Objective
from relevance.objectives.infonce import InfoNCE
from relevance.objectives.listnet import ListNet
from relevance.targets.binary import SameAudio
from tests.support.ranks import on_ranks
from tests.support.tiny import KindRelevance, TinyData, cosine, tiny_model, tiny_trainer

TAU, OMEGA = 0.2, 0.3
OBJECTIVES: dict[str, Callable[[], Objective]] = {
    "text_to_audio": lambda: ListNet("text_to_audio", TAU, OMEGA, learn_tau=True),
    "audio_to_text": lambda: ListNet("audio_to_text", TAU, OMEGA, learn_tau=True),
    "both": lambda: ListNet("both", TAU, OMEGA, learn_tau=True),
    "infonce": lambda: InfoNCE("both", TAU, learn_tau=True),
}
PAIRS = [3, 5, 12, 4, 20]  # captions 3 and 4 describe one recording


class Lopsided(KindRelevance):
    """A relevance whose two directions differ, so that a transposed table is seen."""

    def prepare(self, captions: Any, audio_ids: Any) -> None:
        super().prepare(captions, audio_ids)
        self.table = self.table * torch.linspace(1, 0.5, len(self.table))


def model_of(name: str) -> DualEncoder:
    relevance = SameAudio() if name == "infonce" else Lopsided()
    relevance.prepare(*TinyData().read_captions())
    return tiny_model(OBJECTIVES[name](), relevance)


def raw(model: DualEncoder, batch: Batch) -> tuple[np.ndarray, np.ndarray]:
    """What the heads give for recordings and captions, not normalised, float64."""
    with torch.no_grad():
        audio = cosine(model).audio_head(model.audio_encoder(batch.waveforms, batch.lengths))
        return audio.double().numpy(), cosine(model).text_head(model.text_encoder(batch.captions)).double().numpy()


def target_of(model: DualEncoder, query: int, items: list[int]) -> list[float]:
    """P of one caption over others by definition; for InfoNCE by whose recordings they are."""
    if isinstance(model.objective, InfoNCE):
        audio_of = TinyData().audio_of
        weights = [float(audio_of[item] == audio_of[query]) for item in items]
    else:
        table: Any = model.relevance.table
        weights = [math.exp(float(table[query, item]) / OMEGA) for item in items]
    return [weight / sum(weights) for weight in weights]


def loss_of(model: DualEncoder, ids: list[int], text: Any, audio: Any, tau: float = TAU) -> float:
    """The objective on pairs of captions and recordings, one by one."""
    losses = []
    for direction in model.objective.directions:
        queries, items = (text, audio) if direction == "text_to_audio" else (audio, text)
        for i, query in enumerate(queries):
            cosines = [query @ item / np.linalg.norm(query) / np.linalg.norm(item) for item in items]
            log_sum = math.log(sum(math.exp(s / tau) for s in cosines))
            target = target_of(model, ids[i], ids)
            losses.append(-sum(p * (s / tau - log_sum) for p, s in zip(target, cosines, strict=True)))
    return sum(losses) / len(losses)


# ---------------------------------------------------------------------------------------------------------- training


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_training_step_is_the_objective_and_reaches_every_parameter(name: str) -> None:
    model, batch = model_of(name), TinyData().pairs(PAIRS)
    audio, text = raw(model, batch)
    loss = model.training_step(batch, 0)
    assert loss.item() == pytest.approx(loss_of(model, PAIRS, text, audio), rel=1e-6)
    loss.backward()
    for parameter_name, parameter in model.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.abs().sum() > 0, parameter_name
    near = [loss_of(model, PAIRS, text, audio, TAU * math.exp(step)) for step in (1e-5, -1e-5)]
    assert model.objective.log_tau is not None
    assert model.objective.log_tau.grad.item() == pytest.approx((near[0] - near[1]) / 2e-5, rel=1e-4)  # type: ignore


def test_the_order_of_a_batch_s_recordings_does_not_matter() -> None:
    model, batch = model_of("both"), TinyData().pairs([0, 2, 5, 9])
    expected = model.training_step(batch, 0)
    turned = [2, 0, 3, 1]
    batch.waveforms, batch.lengths = batch.waveforms[turned], batch.lengths[turned]
    batch.caption_audio = torch.tensor([turned.index(row) for row in range(4)])
    assert torch.allclose(model.training_step(batch, 0), expected)


def test_bad_targets_are_refused_at_the_first_step() -> None:
    model, batch = model_of("both"), TinyData().pairs(PAIRS)
    model.relevance.table *= 2  # type: ignore[operator, assignment]
    with pytest.raises(RelevanceError, match=r"relevance must be in \[0, 1\] but spans"):
        model.training_step(batch, 0)


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
def test_scores_stay_float32_under_autocast(precision: torch.dtype) -> None:
    queries, items = torch.rand(5, 64, requires_grad=True), torch.rand(7, 64)
    with torch.autocast("cpu", dtype=precision):
        assert (queries @ items.T).dtype == precision  # else autocast did nothing
        scores = cosine_scores(queries, items)
        half = cosine_scores(queries.to(precision), items)
    assert scores.dtype == half.dtype == torch.float32
    assert torch.equal(scores, queries @ items.T)
    scores.sum().backward()
    assert torch.allclose(queries.grad, items.sum(0).expand(5, -1))  # type: ignore[arg-type]


def test_a_training_step_under_autocast_scores_and_judges_in_float32() -> None:
    model, batch = model_of("both"), TinyData().pairs(PAIRS)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        audio, text = model.embed_audio(batch.waveforms, batch.lengths), model.embed_text(batch.captions)
        loss = model.training_step(batch, 0)
    assert audio.dtype == text.dtype == loss.dtype == torch.float32
    assert torch.allclose(audio.norm(dim=1), torch.ones(len(audio)), atol=1e-6)
    expected = loss_of(model, PAIRS, text.detach().double().numpy(), audio.detach().double().numpy())
    assert loss.item() == pytest.approx(expected, rel=1e-5)


class Rates(Callback):
    """The learning rates that the optimiser's steps are made with."""

    def __init__(self) -> None:
        self.rates: list[float] = []

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: torch.optim.Optimizer) -> None:
        self.rates += [group["lr"] for group in optimizer.param_groups]


@pytest.mark.parametrize("epochs", [1, 3])
def test_the_schedule_sets_the_rate_of_every_step(tmp_path: Path, epochs: int) -> None:
    model, data, rates = tiny_model(lr=0.02, schedule=WarmupCosine(warmup=1.5, floor=0.1)), TinyData(), Rates()
    trainer = tiny_trainer(tmp_path, max_epochs=epochs, callbacks=[rates], limit_val_batches=0)
    trainer.fit(model, datamodule=data)
    steps = len(data.train_dataloader())
    expected = []
    for step in range(1, epochs * steps + 1):
        epoch = step / steps
        fall = 0.1 + 0.9 * (1 + math.cos(math.pi * (epoch - 1.5) / (epochs - 1.5))) / 2
        expected.append(0.02 * (epoch / 1.5 if epoch < 1.5 else fall))
    assert rates.rates == pytest.approx(expected)


def test_a_training_without_an_end_is_refused_where_the_schedule_needs_one(tmp_path: Path) -> None:
    trainer = tiny_trainer(tmp_path, max_epochs=-1, max_steps=50, limit_val_batches=0)
    with pytest.raises(ModelError, match=r"set trainer\.max_epochs, or the schedule's until"):
        trainer.fit(tiny_model(schedule=WarmupCosine(warmup=0)), datamodule=TinyData())


def test_frozen_parameters_stay_as_they_are(tmp_path: Path) -> None:
    model = tiny_model(schedule=Constant())
    model.audio_encoder.requires_grad_(False)
    given = {id(parameter) for group in model.configure_optimizers().param_groups for parameter in group["params"]}
    trained = {id(p) for name, p in model.named_parameters() if not name.startswith("audio_encoder")}
    assert given == trained
    before = {name: value.clone() for name, value in model.state_dict().items()}
    tiny_trainer(tmp_path, max_epochs=1, limit_val_batches=0).fit(model, datamodule=TinyData())
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]) == name.startswith("audio_encoder"), name


def test_it_learns(tmp_path: Path) -> None:
    model = tiny_model()
    trainer = tiny_trainer(tmp_path, max_epochs=8)
    trainer.fit(model, datamodule=TinyData(train=40, held_out=20))
    assert model.evaluation is not None
    for result in model.evaluation.rankings.values():
        assert result.summary()["mAP@10"] > 2 * result.chance()["mAP@10"]  # 3 times it is reached
    logged = {name: float(value) for name, value in trainer.callback_metrics.items()}
    for direction, result in model.evaluation.rankings.items():
        assert logged[f"val/{direction}/mAP@10"] == pytest.approx(result.summary()["mAP@10"])
    assert logged["val/loss"] == pytest.approx(model.pool_loss(model.evaluation.pool).item())


def test_a_data_module_without_captions_is_refused(tmp_path: Path) -> None:
    loader: DataLoader[Any] = DataLoader([TinyData().example(0, [0])], collate_fn=collate)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match=r"needs a data module with read_captions\(\) to make its targets from"):
        tiny_trainer(tmp_path, max_epochs=1).fit(tiny_model(), loader)


@pytest.mark.parametrize("loss_batch", [1, 0, -3])
def test_a_loss_batch_that_ranks_nothing_is_refused(loss_batch: int) -> None:
    with pytest.raises(ModelError, match=rf"model\.loss_batch is {loss_batch}: give at least 2"):
        tiny_model(loss_batch=loss_batch)


# ----------------------------------------------------------------------------------------------------------- evaluating


def evaluated(model: DualEncoder, folder: Path, data: TinyData, how: str = "validate") -> Evaluation:
    getattr(tiny_trainer(folder), how)(model, datamodule=data, verbose=False)
    assert model.evaluation is not None
    return model.evaluation


def naive_pool_loss(model: DualEncoder, data: TinyData, loss_batch: int) -> float:
    """Every recording's first caption in batches of recordings in order, then every second caption, ..."""
    total, count = 0.0, 0
    audio_ids = data.audio_ids["validation"]
    for slot in range(max(len(data.captions_of(audio)) for audio in audio_ids)):
        ids = [data.captions_of(audio)[slot] for audio in audio_ids if slot < len(data.captions_of(audio))]
        for start in range(0, len(ids), loss_batch):
            batch = ids[start : start + loss_batch]
            audio, text = raw(model, data.pairs(batch))
            total += loss_of(model, batch, text, audio) * len(batch)
            count += len(batch)
    return total / count


@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.parametrize("loss_batch", [5, 32])
def test_the_pool_s_loss_is_the_naive_one_however_it_was_computed(tmp_path: Path, name: str, loss_batch: int) -> None:
    model = model_of(name)
    model.loss_batch = loss_batch
    for batch_size in (1, 4, 50):
        data = TinyData(held_out=12, batch_size=batch_size)
        loss = model.pool_loss(evaluated(model, tmp_path, data).pool)
        assert loss.item() == pytest.approx(naive_pool_loss(model, data, loss_batch), rel=1e-5)


class Distinct(TinyData):
    """Captions that all differ, so that nothing ties."""

    def __init__(self, **options: Any) -> None:
        super().__init__(train=6, graded=True, **options)
        self.captions = [f"{caption} {chr(33 + i)}" for i, caption in enumerate(self.captions)]


def naive_metrics(scores: np.ndarray, right: list[bool], gains: np.ndarray) -> dict[str, float]:
    """What is told of one query, read off its sorted list."""
    order = np.argsort(-scores)
    hits = [right[item] for item in order]
    precisions = [sum(hits[: place + 1]) / (place + 1) for place in range(10) if hits[place]]
    return {
        "AP@10": sum(precisions) / max(len(precisions), 1),
        "AP@10_all": sum(precisions) / sum(right),
        **{f"R@{k}": sum(hits[:k]) / sum(right) for k in (1, 5, 10, 50)},
        **{f"hit@{k}": float(any(hits[:k])) for k in (1, 5, 10, 50)},
        "first_rank": hits.index(True) + 1,
        "tied": 0.0,
        "nDCG@10": discounted(gains[order]) / discounted(np.sort(gains)[::-1]),
    }


def discounted(gains: Any) -> float:
    return sum(float(gain) / math.log2(place + 2) for place, gain in enumerate(gains[:10]))


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_the_test_split_is_evaluated_query_by_query(tmp_path: Path, direction: Direction) -> None:
    model, data = tiny_model(), Distinct()
    evaluation = evaluated(model, tmp_path, data, "test")
    audio_ids = list(data.audio_ids["test"])
    caption_ids = [i for i, audio in enumerate(data.audio_of) if audio in audio_ids]
    pairs = [raw(model, data.pairs([i])) for i in caption_ids]
    text = np.concatenate([text / np.linalg.norm(text) for _, text in pairs])  # (C, D)
    first = [caption_ids.index(data.captions_of(a)[0]) for a in audio_ids]
    audio = np.concatenate([pairs[row][0] / np.linalg.norm(pairs[row][0]) for row in first])  # (A, D)
    described = np.array([audio_ids.index(data.audio_of[i]) for i in caption_ids])
    scores, right = text @ audio.T, described[:, None] == np.arange(len(audio_ids))
    truth = data.graded_relevance("test")
    assert truth is not None
    gains = truth[described]  # (C, A)
    if direction == "audio_to_text":
        scores, right, gains = scores.T, right.T, gains.T

    result = evaluation.rankings[direction]
    columns = result.per_query
    for query in range(len(scores)):
        expected = naive_metrics(scores[query], right[query].tolist(), gains[query])
        assert {name: column[query] for name, column in columns.items()} == pytest.approx(expected, rel=1e-6)
        assert result.topk_scores[query] == pytest.approx(np.sort(scores[query])[::-1][:10], abs=1e-6)
    blind = [discounted([row.mean()] * len(row)) / discounted(np.sort(row)[::-1]) for row in gains]
    assert result.chance()["nDCG@10"] == pytest.approx(np.mean(blind), rel=1e-6)


@pytest.mark.parametrize("options", [{"limit_test_batches": 1}, {}])
def test_graded_relevance_is_used_only_where_it_is_known_of_all(tmp_path: Path, options: dict[str, Any]) -> None:
    model, data = tiny_model(), TinyData(graded=bool(options))
    trainer = tiny_trainer(tmp_path, **options)
    trainer.test(model, datamodule=data, verbose=False)
    assert model.evaluation is not None
    for result in model.evaluation.rankings.values():
        assert (result.further, result.further_chance) == ({}, {})
    assert model.evaluation.rankings["text_to_audio"].items == (6 if options else 12)
    assert not [name for name in trainer.callback_metrics if "nDCG" in name]


def test_a_collapsed_model_scores_like_chance(tmp_path: Path) -> None:
    model, data = tiny_model(), TinyData(graded=True)
    for head in (cosine(model).audio_head, cosine(model).text_head):
        for parameter in head.parameters():
            torch.nn.init.constant_(parameter, 0.0 if parameter.ndim == 2 else 1.0)
    for result in evaluated(model, tmp_path, data, "test").rankings.values():
        assert "nDCG@10" in result.summary()
        assert result.summary() == pytest.approx(result.chance())


def test_predictions_are_the_pool_s_embeddings_by_name(tmp_path: Path) -> None:
    model, data = tiny_model(), TinyData()
    pool = evaluated(model, tmp_path, data, "test").pool
    batches: Any = tiny_trainer(tmp_path).predict(model, datamodule=data)
    for batch in batches:
        assert batch["names"] == [f"{audio}.wav" for audio in batch["audio_ids"].tolist()]
        rows = torch.searchsorted(pool.audio_ids, batch["audio_ids"])
        assert torch.allclose(batch["embeddings"], pool.audio[rows], atol=1e-6)
    assert sum(len(batch["names"]) for batch in batches) == len(pool.audio)


class Shared(Distinct):
    """Each rank evaluates its share of 11 recordings: the last of rank 1 is a repeat of rank 0's first.

    No caption is there twice: how rounding parts such ties depends on the batch, and on the CPU.
    """

    def __init__(self) -> None:
        super().__init__(held_out=11, batch_size=4)

    def _evaluation(self, split: str) -> Any:
        rank, ranks = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
        mine = [self.audio_ids[split][row] for row in rank_share(11, rank, ranks)]
        examples = [self.example(audio, self.captions_of(audio)) for audio in mine]
        return DataLoader(examples, batch_size=self.batch_size, collate_fn=collate)  # type: ignore[arg-type]


def evaluation(rank: int) -> dict[str, Tensor]:
    """Everything that an evaluation leaves, in tensors."""
    model = model_of("both")
    trainer = tiny_trainer(Path("unused"))
    trainer.validate(model, datamodule=Shared(), verbose=False)
    assert model.evaluation is not None
    left = {f"pool.{name}": value for name, value in vars(model.evaluation.pool).items() if isinstance(value, Tensor)}
    left |= {f"logged.{name}": torch.as_tensor(value) for name, value in trainer.callback_metrics.items()}
    for direction, result in model.evaluation.rankings.items():
        columns = {**result.per_query, "best": result.topk_items}
        left |= {f"{direction}.{name}": torch.from_numpy(column) for name, column in columns.items()}
    return left


def test_two_ranks_evaluate_like_one(tmp_path: Path) -> None:
    expected = evaluation(0)
    assert {"pool.audio", "logged.val/loss", "logged.val/text_to_audio/nDCG@10"} < expected.keys()
    assert len(expected["pool.audio"]) == 11
    for left in on_ranks(evaluation, tmp_path):
        assert left.keys() == expected.keys()
        for name, value in expected.items():
            torch.testing.assert_close(left[name], value, msg=partial("{}: {}".format, name))


# --------------------------------------------------------------------------------------------- weights and checkpoints


def trained(folder: Path, epochs: int = 3, resume: Path | None = None, **options: Any) -> DualEncoder:
    """A model trained in `folder`, which keeps its checkpoint after epoch 1 aside as `first.ckpt`."""
    model = tiny_model(ListNet("both", learn_tau=True), schedule=WarmupCosine(warmup=1), **options)
    aside = ModelCheckpoint(dirpath=folder, filename="{epoch}", save_top_k=-1, save_last=True, monitor="val/loss")
    trainer = tiny_trainer(folder, max_epochs=epochs, enable_checkpointing=True, callbacks=[aside])
    trainer.fit(model, datamodule=TinyData(), ckpt_path=resume, weights_only=True if resume else None)
    return model


def assert_equal_weights(ours: DualEncoder, theirs: DualEncoder) -> None:
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    for name, value in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], value), name


@pytest.mark.parametrize("epoch", [0, 1])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_a_resumed_run_ends_bit_for_bit_like_an_uninterrupted_one(tmp_path: Path, epoch: int, dropout: float) -> None:
    whole = trained(tmp_path / "whole", dropout=dropout)
    resumed = trained(tmp_path / "resumed", resume=tmp_path / "whole" / f"epoch={epoch}.ckpt", dropout=dropout)
    assert_equal_weights(resumed, whole)
    assert whole.evaluation is not None
    assert resumed.evaluation is not None
    for direction, result in whole.evaluation.rankings.items():
        assert result.summary() == resumed.evaluation.rankings[direction].summary()


def test_a_checkpoint_holds_neither_the_pool_nor_the_targets(tmp_path: Path) -> None:
    model = tiny_model(schedule=Constant())
    keep = ModelCheckpoint(dirpath=tmp_path, save_last=True)
    tiny_trainer(tmp_path, max_epochs=1, enable_checkpointing=True, callbacks=[keep]).fit(model, datamodule=TinyData())
    content = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert content["state_dict"].keys() == dict(model.named_parameters()).keys()


def test_init_from_takes_weights_and_nothing_else(tmp_path: Path) -> None:
    source = trained(tmp_path, epochs=1)
    model = tiny_model(ListNet("both", learn_tau=True), seed=8, init_from=str(tmp_path / "last.ckpt"), lr=0.5)
    assert_equal_weights(model, source)
    optimizer = model.configure_optimizers()
    assert not optimizer.state
    assert [(group["lr"], group["initial_lr"]) for group in optimizer.param_groups] == [(0.5, 0.5)]
    trainer = tiny_trainer(tmp_path, max_epochs=1, limit_train_batches=2, limit_val_batches=0)
    trainer.fit(model, datamodule=TinyData())
    assert (trainer.current_epoch, trainer.global_step) == (1, 2)


@pytest.mark.parametrize(
    ("objective", "options", "message"),
    [
        (ListNet(), {}, r"1 unknown \(e\.g\. objective\.log_tau\) of \d+ names"),
        (ListNet(learn_tau=True), {"matcher": Cosine(12, "linear")}, r"4 missing .* 8 unknown .* of 7 names"),
    ],
)
def test_init_from_another_model_is_refused(
    tmp_path: Path, objective: Objective, options: dict[str, Any], message: str
) -> None:
    path = tmp_path / "model.pt"
    torch.save(tiny_model(ListNet(learn_tau=True)).state_dict(), path)
    with pytest.raises(ModelError, match=rf"model\.pt: weights of another model: {message}; use the config"):
        tiny_model(objective, init_from=str(path), **options)
    with pytest.raises(ModelError, match=r"nowhere\.pt: no such weights file"):
        tiny_model(objective, init_from=str(tmp_path / "nowhere.pt"), **options)
