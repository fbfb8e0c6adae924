"""The dual encoder: audio and captions in one space, trained on relevance, judged by ranking."""

import logging
import math
from collections.abc import Iterator
from typing import Any, Literal

import lightning as L
import numpy as np
import torch
import torch.nn.functional as F
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from common.errors import ModelError
from common.pretrained import find_weights
from datamodules.batch import Batch
from evaluation.embedding_pool import EmbeddingPool, batches_of_captions
from evaluation.evaluator import Evaluation, evaluate
from evaluation.scores import EmbeddingScores, Scores
from lightning_modules.audio_encoders.base import AudioEncoder
from lightning_modules.distributed import gather_ids, gather_with_gradient, sharded_metrics
from lightning_modules.heads import Head, projection_head
from lightning_modules.pool_collector import PoolCollector
from lightning_modules.text_encoders.base import TextEncoder
from lightning_modules.training.compilation import compile_layers
from lightning_modules.training.embedding_cache import FrozenTowers
from lightning_modules.training.gradient_cache import check_chunk, encode_in_chunks
from lightning_modules.training.schedules import Schedule, WarmupCosine
from lightning_modules.weights import load_weights
from relevance.base import Relevance
from relevance.objectives.base import Objective, target_distribution, target_entropy
from relevance.objectives.target_checks import check_targets

log = logging.getLogger(__name__)

Split = Literal["validation", "test"]


def cosine_scores(queries: Tensor, items: Tensor) -> Tensor:
    """Scores (Q, N) float32 of unit vectors (Q, D) and (N, D), whatever autocast does outside: in bf16 they tie."""
    with torch.autocast(queries.device.type, enabled=False):
        return queries.float() @ items.float().T


class DualEncoder(L.LightningModule):
    """Two encoders with projection heads and L2 norm; cosine scores; an objective on scores and relevance.

    Args:
        audio_encoder: waveforms to vectors.
        text_encoder: captions to vectors.
        relevance: what counts as relevant, looked up by caption id; makes the targets.
        objective: the loss, and the directions it is taken in.
        embedding_dim: of the shared space.
        head: projection of both encoders.
        optimizer: from parameters to an optimiser; its learning rate is the highest the schedule reaches.
        schedule: factor on the learning rate over time.
        loss_batch: recordings a batch when the loss is taken on a validation split; fixed, so that losses of runs with
            other batch sizes or device counts can be compared.
        chunk: recordings, and captions, that are encoded at a time in training, for batches larger than memory: the
            gradients are exact, at the price of one more forward pass. Default: all at once.
        cache_frozen: run an encoder that is not trained once over the data, keep what it gives on disk, and look it up
            in training; recordings must be taken whole then (data.max_seconds).
        compile: compile the encoders' layers with torch.compile.
        init_from: file of weights to begin with (fine-tuning); nothing else is taken from it.

    Raises:
        ModelError: arguments that make no model, or weights (`init_from`) of another one.

    Source of the defaults: Xie et al. 2024, section IV-B; Adam 2e-5, one epoch of warm-up, cosine to 1e-7.
    """

    def __init__(
        self,
        audio_encoder: AudioEncoder,
        text_encoder: TextEncoder,
        relevance: Relevance,
        objective: Objective,
        embedding_dim: int = 1024,
        head: Head = "mlp",
        optimizer: OptimizerCallable = lambda parameters: Adam(parameters, lr=2e-5, fused=True),
        schedule: Schedule = WarmupCosine(),  # noqa: B008 (frozen)
        loss_batch: int = 32,
        chunk: int | None = None,
        cache_frozen: bool = False,
        compile: bool = False,
        init_from: str | None = None,
    ) -> None:
        super().__init__()
        if loss_batch < 2:
            raise ModelError(f"model.loss_batch is {loss_batch}: give at least 2, since one recording cannot be ranked")
        if chunk is not None:
            check_chunk(chunk, audio_encoder, text_encoder)
        self.audio_encoder = audio_encoder
        self.text_encoder = text_encoder
        self.audio_head = projection_head(head, audio_encoder.dim, embedding_dim)
        self.text_head = projection_head(head, text_encoder.dim, embedding_dim)
        self.relevance = relevance
        self.objective = objective
        self.optimizer_of = optimizer
        self.schedule = schedule
        self.loss_batch = loss_batch
        self.chunk = chunk
        self.cache_frozen = cache_frozen
        self.towers: FrozenTowers | None = None
        self.collector = PoolCollector()
        self.evaluation: Evaluation | None = None  # the last one
        self.relevance_is_ready = False  # for look-ups by caption id
        self._targets_checked = False
        self._seed = torch.initial_seed()
        if init_from is not None:
            load_weights(self, find_weights(init_from))
        if compile:
            compile_layers(audio_encoder, text_encoder)
        self.train()  # as it is; but encoders that are frozen go into evaluation mode

    @property
    def sample_rate(self) -> int:
        """Sample rate in Hz that the audio encoder wants."""
        return self.audio_encoder.sample_rate

    # ------------------------------------------------------------------------------------------------ embedding

    def embed_audio(self, waveforms: Tensor, lengths: Tensor) -> Tensor:
        """Unit vectors (A, D) float32 of recordings (A, T) with lengths (A,)."""
        return self._project(self.audio_head, self.audio_encoder(waveforms, lengths))

    def embed_text(self, captions: list[str]) -> Tensor:
        """Unit vectors (C, D) float32 of C captions."""
        return self._project(self.text_head, self.text_encoder(captions))

    def embed(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Unit vectors of a batch's recordings (A, D) and captions (C, D), float32; frozen towers are looked up."""
        towers = self.towers
        if towers is not None and towers.audio is not None:
            audio = self._project(self.audio_head, towers.audio(batch.audio_ids))
        else:
            audio = encode_in_chunks(self.embed_audio, self.chunk, batch.waveforms, batch.lengths)
        if towers is not None and towers.text is not None:
            text = self._project(self.text_head, towers.text(batch.caption_ids))
        else:
            text = encode_in_chunks(self.embed_text, self.chunk, batch.captions)
        return audio, text

    @staticmethod
    def _project(head: nn.Module, states: Tensor) -> Tensor:
        return F.normalize(head(states).float(), dim=1)

    # ------------------------------------------------------------------------------------------------ preparing

    def prepare_data(self) -> None:
        """Let the relevance do its slow work once (one process calls this)."""
        if self._needs_targets():
            captions, _ = self._datamodule().read_captions()
            self.relevance.encode(captions)

    def setup(self, stage: str) -> None:
        """Let the relevance look up by id (every process calls this)."""
        if self._needs_targets():
            self.relevance.prepare(*self._datamodule().read_captions())
            self.relevance_is_ready = True
        if self.trainer.is_global_zero and stage != "predict":
            self._warn_of_cut_captions()

    def _warn_of_cut_captions(self) -> None:
        """Say how many captions the text encoder does not read to their end: what differs there only ranks alike."""
        tables = getattr(getattr(self.trainer, "datamodule", None), "tables", {})
        captions = [text for table in tables.values() for text in table.captions["caption"].to_pylist()]
        if cut := self.text_encoder.count_cut(captions):
            log.warning(
                "%d of %d captions are longer than model.text_encoder.max_tokens and cut there; raise it to have them "
                "read to their end",
                cut,
                len(captions),
            )

    def on_fit_start(self) -> None:
        """Run frozen encoders once, where that is wanted; recordings need not be decoded then."""
        if not self.cache_frozen:
            return
        plugin = self.trainer.precision_plugin
        precision = (str(plugin.precision), plugin.forward_context)
        datamodule = self._datamodule()
        self.towers = FrozenTowers(self.audio_encoder, self.text_encoder, datamodule, precision, self.device)
        datamodule.decode_audio = self.towers.audio is None

    def on_fit_end(self) -> None:
        """Forget the tables: they are of the splits of training, and other splits follow."""
        if self.towers is not None:
            self.towers, self._datamodule().decode_audio = None, True

    def _needs_targets(self) -> bool:
        return self.trainer.state.fn in ("fit", "validate")

    def _datamodule(self) -> Any:
        datamodule = getattr(self.trainer, "datamodule", None)
        if not hasattr(datamodule, "read_captions"):
            raise ModelError("DualEncoder needs a data module with read_captions() to make its targets from")
        return datamodule

    # ------------------------------------------------------------------------------------------------ training

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Loss of this rank's queries against the items of all ranks."""
        recordings, text = self.embed(batch)  # (a, D), (b, D)
        audio = recordings[batch.caption_audio]  # (b, D)
        item_ids = gather_ids(batch.caption_ids)  # (W b,)
        relevance = self.relevance(batch.caption_ids, item_ids)  # (b, W b)
        if not self._targets_checked:
            check_targets(relevance, self.objective.omega)
            self._targets_checked = True
        losses = []
        for direction in self.objective.directions:
            queries, items = (text, audio) if direction == "text_to_audio" else (audio, text)
            losses.append(self.objective(cosine_scores(queries, gather_with_gradient(items)), relevance))
        loss = torch.stack(losses).mean()
        self.log("train/loss", loss, prog_bar=True)
        self.log("train/tau", self.objective.tau)
        self.log("train/target_entropy", target_entropy(target_distribution(relevance, self.objective.omega)))
        return loss

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Set the learning rate and the random numbers of this step.

        Dropout, patchout and masks are drawn from (seed, epoch, batch, rank), so that a resumed run goes on as it would
        have, and ranks draw apart.
        """
        draws = np.random.SeedSequence([self._seed, self.current_epoch, batch_idx, self.global_rank])
        torch.manual_seed(int(draws.generate_state(1, np.uint64)[0]))
        epoch = self.current_epoch + (batch_idx + 1) / self.trainer.num_training_batches
        epochs = self.trainer.max_epochs
        factor = self.schedule(epoch, math.inf if epochs in (None, -1) else epochs)
        optimizer = self.optimizers(use_pl_optimizer=False)
        assert isinstance(optimizer, Optimizer)
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor
        self.log("train/lr", optimizer.param_groups[0]["lr"])

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Log the 2-norm of all gradients together, before any clipping, on those steps that are logged."""
        every: int = self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        if every and (self.trainer.global_step + 1) % every == 0:
            gradients = [parameter.grad for parameter in self.parameters() if parameter.grad is not None]
            self.log("train/gradient_norm", torch.nn.utils.get_total_norm(gradients))

    def configure_optimizers(self) -> Optimizer:
        """One optimiser over all trained parameters; the schedule is applied at every step."""
        optimizer = self.optimizer_of([parameter for parameter in self.parameters() if parameter.requires_grad])
        for group in optimizer.param_groups:
            group.setdefault("initial_lr", group["lr"])
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

    def predict_step(self, batch: Batch | None, batch_idx: int) -> dict[str, Any]:
        """Names, ids (A,) and unit vectors (A, D) of a batch's recordings; nothing where none could be read."""
        if batch is None:
            return {}
        return {
            "names": batch.names,
            "audio_ids": batch.audio_ids,
            "embeddings": self.embed_audio(batch.waveforms, batch.lengths),
        }

    def on_validation_epoch_end(self) -> None:
        """Log the loss and the ranking metrics of the validation split."""
        pool = self._evaluate("validation", "val").pool
        self.log("val/loss", self.pool_loss(pool), prog_bar=True)

    def on_test_epoch_end(self) -> None:
        """Log the ranking metrics of the test split."""
        self._evaluate("test", "test")

    def _collect(self, batch: Batch) -> None:
        audio, text = self.embed(batch)
        described = batch.audio_ids[batch.caption_audio]
        self.collector.update(audio, batch.audio_ids, text, batch.caption_ids, described)

    def _evaluate(self, split: Split, prefix: str) -> Evaluation:
        pool = self.collector.compute()
        self.collector.reset()
        known = getattr(getattr(self.trainer, "datamodule", None), "graded_relevance", lambda split: None)(split)
        self.evaluation = evaluate(split, pool, self.pool_scores(pool), known, rank=sharded_metrics)
        for direction, ranking in self.evaluation.rankings.items():
            for name, value in ranking.summary().items():
                shown = (prefix, direction, name) == ("val", "text_to_audio", "mAP@10")
                self.log(f"{prefix}/{direction}/{name}", value, prog_bar=shown)
        return self.evaluation

    def pool_scores(self, pool: EmbeddingPool) -> Scores:
        """Scores of a pool's captions (C, ...) for its recordings (A, ...)."""
        return EmbeddingScores(pool.text, pool.audio)

    def pool_loss(self, pool: EmbeddingPool) -> Tensor:
        """The objective on a pool, a scalar: mean over batches of `loss_batch` recordings, in order of ids.

        Each batch pairs every recording with one of its captions, as in training: first all first captions, then all
        second ones, and so on. So it does not depend on how the pool was computed.
        """
        total, count = torch.zeros((), device=pool.audio.device), 0
        for captions in self.loss_batches(pool):
            text, audio = pool.text[captions], pool.audio[pool.caption_audio[captions]]
            ids = pool.caption_ids[captions]
            relevance = self.relevance(ids, ids)
            scores = cosine_scores(text, audio)
            losses = [
                self.objective(scores if direction == "text_to_audio" else scores.T, relevance)
                for direction in self.objective.directions
            ]
            total += torch.stack(losses).mean() * len(captions)
            count += len(captions)
        return total / max(count, 1)

    def loss_batches(self, pool: EmbeddingPool) -> Iterator[Tensor]:
        """Rows of the captions (B,) of each batch that `pool_loss` is a mean over."""
        return batches_of_captions(pool, self.loss_batch)
