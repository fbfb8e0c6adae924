"""Training on relevance and evaluation by ranking, for any model that embeds recordings and captions."""

import math
from collections.abc import Sequence
from typing import Any, Literal

import lightning as L
import numpy as np
import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor
from torch.optim import Optimizer

from common.errors import ModelError
from common.lightning_loops import is_last_evaluation_batch
from common.renamed import weights_with_new_names
from datamodules.batch import Batch
from evaluation.embedding_pool import EmbeddingPool, batches_of_captions
from evaluation.evaluator import Evaluation, evaluate
from evaluation.normalised_metrics import Normalisation, check_normalisations, with_normalisation
from evaluation.query_metric import QueryMetric, check_metrics
from evaluation.scores import Scores
from lightning_modules.distributed import sharded_metrics
from lightning_modules.left_out import KEY, STATES, completed, leave_out
from lightning_modules.losses import batch_losses, pool_loss
from lightning_modules.matchers.base import Matcher
from lightning_modules.pool_collector import PoolCollector
from lightning_modules.query_bank import bank_scores
from lightning_modules.regularisers.base import Regulariser, Regularisers, embedded_by_all
from lightning_modules.training.parameter_groups import Groups, grouped_optimizer
from lightning_modules.training.schedules import Schedule, begin_rates, rates, set_rates
from relevance.base import Relevance
from relevance.objectives.base import Objective

Split = Literal["validation", "test"]


class RetrievalModule(L.LightningModule):
    """The steps of training and evaluation; a subclass has the model, and embeds a batch.

    Args:
        optimizer: from parameters to an optimiser; its learning rate is the highest the schedule reaches.
        schedule: factor on the learning rate over time.
        loss_batch: recordings a batch when the loss is taken on a validation split.
        parameter_groups: options of the optimiser for parts of the model, by name (`grouped_optimizer`).
        metrics: of one's own, computed with each evaluation beside the built-in ones.
        normalisations: of scores, whose metrics a test reports beside the plain ones.
        regularisers: terms that are added to the loss.

    Attributes:
        matcher, relevance, objective: set by the subclass, after its encoders: optimisers know weights by their order.
        further: by name, the last evaluation by other scores (`Matcher.further_scores`).
        evaluation: the last one. Callbacks find this epoch's in `on_validation_epoch_end` and `on_test_epoch_end` too.
        given: checksums, by name, of weights that checkpoints may leave out (`frozen_checksums`).
        relevance_is_ready: for look-ups by caption id.

    Raises:
        ModelError: `loss_batch` is below 2.
        RelevanceError: a metric's name is taken.
    """

    matcher: Matcher
    relevance: Relevance
    objective: Objective

    def __init__(
        self,
        optimizer: OptimizerCallable,
        schedule: Schedule,
        loss_batch: int,
        parameter_groups: Groups | None = None,
        metrics: Sequence[QueryMetric] = (),
        normalisations: Sequence[Normalisation] = (),
        regularisers: Sequence[Regulariser] = (),
    ) -> None:
        super().__init__()
        if loss_batch < 2:
            raise ModelError(f"model.loss_batch is {loss_batch}: give at least 2, since one recording cannot be ranked")
        check_metrics(metrics)
        check_normalisations(normalisations)
        self.query_metrics = tuple(metrics)
        self.normalisations = tuple(normalisations)
        self.optimizer_of = optimizer
        self.schedule = schedule
        self.loss_batch = loss_batch
        self.parameter_groups = parameter_groups
        self.collector = PoolCollector()
        self.regularisers = Regularisers(regularisers)
        self.evaluation: Evaluation | None = None
        self.further: dict[str, Evaluation] = {}
        self.relevance_is_ready = False
        self.given: dict[str, str] = {}
        self._targets_checked = False
        self._seed = torch.initial_seed()

    def embed(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """What is embedded of a batch's recordings (A, ...) and captions (C, ...), float32."""
        raise NotImplementedError

    def embed_again(self, batch: Batch) -> tuple[Tensor | None, Tensor | None]:
        """What is embedded of recordings and captions with other random draws, where a regulariser asks for it."""
        raise NotImplementedError

    def embed_audio(self, *inputs: Tensor) -> Tensor:
        """What is embedded of A recordings, (A, ...) float32, from what `audio_inputs` gives."""
        raise NotImplementedError

    def embed_text(self, captions: list[str]) -> Tensor:
        """What is embedded of C captions, (C, ...) float32."""
        raise NotImplementedError

    def audio_inputs(self, batch: Batch) -> tuple[Tensor, ...]:
        """What is read of a batch's A recordings, tensors with A rows each: their waveforms and lengths."""
        return batch.waveforms, batch.lengths

    # ------------------------------------------------------------------------------------------------ preparing

    def prepare_data(self) -> None:
        """Let the relevance do its slow work once (one process calls this)."""
        if self._needs_targets():
            captions, _ = self.captions_source().read_captions()
            self.relevance.encode(captions)

    def setup(self, stage: str) -> None:
        """Let the relevance look up by id (every process calls this)."""
        if self._needs_targets():
            source = self.captions_source()
            if hasattr(source, "read_names"):
                self.relevance.name_recordings(source.read_names())
            self.relevance.prepare(*source.read_captions())
            self.relevance_is_ready = True

    def _needs_targets(self) -> bool:
        return self.trainer.state.fn in ("fit", "validate")

    def captions_source(self) -> Any:
        """The data module.

        Raises:
            ModelError: it has no captions to make targets from.
        """
        datamodule = getattr(self.trainer, "datamodule", None)
        if not hasattr(datamodule, "read_captions"):
            raise ModelError("training needs a data module with read_captions() to make its targets from")
        return datamodule

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Read checkpoints of version 0.1.0 too."""
        checkpoint["state_dict"] = weights_with_new_names(checkpoint["state_dict"])
        if left_out := checkpoint.get(KEY):
            for key in STATES & checkpoint.keys():
                checkpoint[key] = completed(checkpoint[key], left_out, self.state_dict(), "the checkpoint")

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Leave out what was not trained, where that is wanted."""
        if self.given:
            leave_out(checkpoint, self.given)

    # ------------------------------------------------------------------------------------------------ training

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Loss of this rank's queries against the items of all ranks, or of all queries, as the objective needs it."""
        recordings, text = self.embed(batch)  # (a, D), (b, D)
        losses, facts = batch_losses(self, batch, recordings, text, check=not self._targets_checked)
        self._targets_checked = True
        for name in filter(None, losses):
            self.log(f"train/loss/{name}", losses[name])
        loss = torch.stack([*losses.values()]).mean() + self.regularised(batch, recordings, text)
        self.log("train/loss", loss, prog_bar=True)
        for name, value in {**self.objective.values(), **facts}.items():
            self.log(f"train/{name}", value)
        return loss

    def regularised(self, batch: Batch, recordings: Tensor, text: Tensor) -> Tensor | float:
        """The sum of all regularisers' terms, each times its weight; 0.0 where there are none."""
        if not self.regularisers:
            return 0.0
        recordings_again, text_again = self.embed_again(batch)
        audio_again = None if recordings_again is None else recordings_again[batch.caption_audio]
        sides = (recordings[batch.caption_audio], text, audio_again, text_again)
        total: Tensor | float = 0.0
        for name, (weight, term) in self.regularisers.terms(embedded_by_all(self.matcher.vectors, *sides)).items():
            self.log(f"train/{name}", term)
            total = total + weight * term
        return total

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """The step, and then what regularisers do to what it trained."""
        super().optimizer_step(*args, **kwargs)
        self.regularisers.after_step(self.objective)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Set the learning rate and the random numbers of this step.

        Dropout, patchout and masks are drawn from (seed, epoch, batch, rank), so that a resumed run continues as it
        would have, and ranks draw different ones.
        """
        draws = np.random.SeedSequence([self._seed, self.current_epoch, batch_idx, self.global_rank])
        torch.manual_seed(int(draws.generate_state(1, np.uint64)[0]))
        epoch = self.current_epoch + (batch_idx + 1) / self.trainer.num_training_batches
        epochs = self.trainer.max_epochs
        factor = self.schedule(epoch, math.inf if epochs in (None, -1) else epochs)
        optimizer = self.optimizers(use_pl_optimizer=False)
        assert isinstance(optimizer, Optimizer)
        set_rates(optimizer, factor)
        for name, rate in rates(optimizer).items():
            self.log("/".join(("train/lr", *filter(None, [name]))), rate)

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Log the 2-norm of all gradients together, before any clipping, on those steps that are logged."""
        every: int = self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        if every and (self.trainer.global_step + 1) % every == 0:
            gradients = [parameter.grad for parameter in self.parameters() if parameter.grad is not None]
            self.log("train/gradient_norm", torch.nn.utils.get_total_norm(gradients))

    def configure_optimizers(self) -> Optimizer:
        """One optimiser over all trained parameters; the schedule is applied at every step.

        Raises:
            ModelError: as `grouped_optimizer`.
        """
        optimizer = grouped_optimizer(self, self.optimizer_of, self.parameter_groups)
        begin_rates(optimizer)
        return optimizer

    # ------------------------------------------------------------------------------------------------ evaluating

    def on_validation_epoch_start(self) -> None:
        """Begin an empty pool."""
        self.collector.reset()

    def on_test_epoch_start(self) -> None:
        """Begin an empty pool."""
        self.collector.reset()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Embed a batch into the pool."""
        self._collect(batch)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Embed a batch into the pool."""
        self._collect(batch)

    def on_validation_batch_end(self, *args: Any, **kwargs: Any) -> None:
        """Evaluate after the last batch."""
        self._evaluate_if_last("validation")

    def on_test_batch_end(self, *args: Any, **kwargs: Any) -> None:
        """Evaluate after the last batch."""
        self._evaluate_if_last("test")

    def predict_step(self, batch: Batch | None, batch_idx: int) -> dict[str, Any]:
        """Names, ids (A,) and what is embedded (A, D) of a batch's recordings; nothing where none could be read."""
        if batch is None:
            return {}
        return {
            "names": batch.names,
            "audio_ids": batch.audio_ids,
            "embeddings": self.embed_audio(*self.audio_inputs(batch)),
        }

    def on_validation_epoch_end(self) -> None:
        """Log the loss and the ranking metrics of the validation split."""
        self.log("val/loss", self.pool_loss(self._logged("val").pool), prog_bar=True)

    def on_test_epoch_end(self) -> None:
        """Log the ranking metrics of the test split."""
        self._logged("test")

    def _collect(self, batch: Batch) -> None:
        audio, text = self.embed(batch)
        described = batch.audio_ids[batch.caption_audio]
        self.collector.update(audio, batch.audio_ids, text, batch.caption_ids, described)

    def _evaluate_if_last(self, split: Split) -> None:
        """Rank the pool once it is complete: at the epoch's end Lightning calls callbacks before the model."""
        if not is_last_evaluation_batch(self.trainer):
            return
        pool = self.collector.compute()
        self.collector.reset()
        known = getattr(getattr(self.trainer, "datamodule", None), "graded_relevance", lambda split: None)(split)
        if known is not None and len(known) == len(pool.audio):  # not of a part of the split, as in a sanity check
            pool.relevance = torch.as_tensor(np.asarray(known))
        self.evaluation = evaluate(
            split, pool, self.pool_scores(pool), rank=sharded_metrics, metrics=self.query_metrics
        )
        for normalisation in self.normalisations if split == "test" else ():
            self.evaluation = with_normalisation(
                self.evaluation, normalisation, lambda most: bank_scores(self, pool.audio, most), sharded_metrics
            )
        self.further = {
            name: evaluate(split, pool, scores, rank=sharded_metrics)
            for name, scores in self.matcher.further_scores(pool.text, pool.audio).items()
        }

    def _logged(self, prefix: str) -> Evaluation:
        assert self.evaluation is not None
        for title, evaluation in {"": self.evaluation, **self.further}.items():
            for direction, ranking in evaluation.rankings.items():
                for name, value in ranking.summary().items():
                    logged = "/".join((prefix, *filter(None, [title]), direction, name))
                    self.log(logged, value, prog_bar=logged == "val/text_to_audio/mAP@10")
        for name, cost in self.evaluation.scores.cost().items():
            self.log(f"{prefix}/{name}", cost)
        return self.evaluation

    def pool_scores(self, pool: EmbeddingPool) -> Scores:
        """Scores of a pool's captions (C, ...) for its recordings (A, ...)."""
        return self.matcher.pool_scores(pool.text, pool.audio)

    def pool_loss(self, pool: EmbeddingPool) -> Tensor:
        """The objective on a pool, a scalar: mean over batches of `loss_batch` recordings, in order of ids.

        Each batch pairs every recording with one of its captions, as in training: first all first captions, then all
        second ones, and so on. So it does not depend on how the pool was computed.
        """
        return pool_loss(self, pool, batches_of_captions(pool, self.loss_batch))
