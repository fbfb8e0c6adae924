"""The dual encoder: audio and captions embedded apart, trained on relevance, evaluated by ranking."""

import logging
from dataclasses import replace
from typing import Any, Literal

import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor, nn
from torch.optim import Adam

from common.errors import ModelError
from common.pretrained import find_weights
from datamodules.batch import Batch
from evaluation.normalised_metrics import Normalisation
from evaluation.query_metric import QueryMetric
from lightning_modules.audio_encoders.base import AudioEncoder
from lightning_modules.audio_encoders.spectrogram_masks import SpectrogramMasks
from lightning_modules.audio_encoders.windows import random_stretches
from lightning_modules.finite import check_finite
from lightning_modules.left_out import frozen_checksums
from lightning_modules.matchers import Cosine, Matcher
from lightning_modules.pairs.base import Pair
from lightning_modules.pairs.training_data import maybe_heard
from lightning_modules.pooling.base import Pooling
from lightning_modules.regularisers.base import Regulariser
from lightning_modules.retrieval_module import RetrievalModule
from lightning_modules.states import Encoded, ExpertVectors, States
from lightning_modules.text_encoders.base import TextEncoder
from lightning_modules.training.compilation import compile_layers
from lightning_modules.training.embedding_cache import FrozenTowers, check_augmentation
from lightning_modules.training.gradient_cache import check_chunk, encode_in_chunks
from lightning_modules.training.schedules import Schedule, WarmupCosine
from lightning_modules.weights import load_weights
from relevance.base import Relevance
from relevance.objectives.base import Objective

log = logging.getLogger(__name__)


class DualEncoder(RetrievalModule):
    """Two encoders, a matcher that scores what they give, and an objective on scores and relevance.

    Args:
        audio_encoder: waveforms to one vector each, or to frames.
        text_encoder: captions to one vector each, or to tokens.
        relevance: what counts as relevant, looked up by caption id; makes the targets.
        objective: the loss, and the directions it is taken in.
        matcher: heads, and scores of captions and recordings; default: `Cosine()`.
        audio_pooling: makes one vector of a recording's frames, where the encoder gives frames.
        text_pooling: makes one vector of a caption's tokens, where the encoder gives tokens.
        optimizer: from parameters to an optimiser; its learning rate is the highest the schedule reaches.
        parameter_groups: parts of the model that the optimiser trains with other options, by name, such as
            `{audio_encoder: {lr: 1.0e-5}, heads: {parts: [matcher], lr: 1.0e-3}}`; `parts` are names of parts or
            patterns of parameter names, and the group's own name where they are left out. Everything else has the
            optimiser's own options. The schedule keeps the ratio of the rates, and each is logged as `train/lr/NAME`.
        schedule: factor on the learning rate over time.
        loss_batch: recordings a batch when the loss is taken on a validation split; fixed, so that losses of runs with
            other batch sizes or device counts can be compared.
        chunk: recordings, and captions, that are encoded at a time in training, for batches larger than memory: the
            gradients are exact, at the price of one more forward pass. Default: all at once.
        cache_frozen: run an encoder that is not trained once over the data, keep what it gives on disk, and look it up
            in training; recordings must be taken whole then (data.max_seconds).
        compile: compile the encoders' layers with torch.compile.
        save_frozen: whether checkpoints hold weights that are not trained and come from a pretrained model. With false
            they are smaller, and that model has to be there, unchanged, whenever one is read.
        init_from: file of weights to begin with (fine-tuning); nothing else is taken from it.
        pair: a pretrained pair, which brings `audio_encoder`, `text_encoder` and `matcher`, then null; a trained
            temperature (`objective.learn_tau`) begins at the pair's.
        metrics: of one's own, logged and kept beside the built-in ones (docs/evaluation.md).
        normalisation: of scores at inference, one or several (`QBNorm`, `DualSoftmax`, `Sinkhorn`); `test` reports
            their metrics beside the plain ones (docs/fusion.md).
        regularisers: terms that are added to the loss, whatever the objective (docs/interaction.md).
        spectrogram_masks: hide parts of the audio encoder's spectrograms in training (docs/augmentation.md).

    Raises:
        ModelError: arguments that make no model, or weights (`init_from`) of another one.

    Source of the defaults: Xie et al. 2024, section IV-B; Adam 2e-5, one epoch of warm-up, cosine to 1e-7.
    """

    def __init__(
        self,
        audio_encoder: AudioEncoder | None,
        text_encoder: TextEncoder | None,
        relevance: Relevance,
        objective: Objective,
        matcher: Matcher | None = None,
        audio_pooling: Pooling | None = None,
        text_pooling: Pooling | None = None,
        optimizer: OptimizerCallable = lambda parameters: Adam(parameters, lr=2e-5, fused=True),
        parameter_groups: dict[str, dict[str, Any]] | None = None,
        schedule: Schedule = WarmupCosine(),  # noqa: B008 (frozen)
        loss_batch: int = 32,
        chunk: int | None = None,
        cache_frozen: bool = False,
        compile: bool = False,
        save_frozen: bool = True,
        init_from: str | None = None,
        pair: Pair | None = None,
        metrics: list[QueryMetric] | None = None,
        normalisation: Normalisation | list[Normalisation] | None = None,
        regularisers: list[Regulariser] | None = None,
        spectrogram_masks: SpectrogramMasks | None = None,
    ) -> None:
        normalisations = normalisation if isinstance(normalisation, list) else [normalisation] if normalisation else []
        super().__init__(
            optimizer,
            schedule,
            loss_batch,
            parameter_groups,
            metrics or (),
            normalisations=normalisations,
            regularisers=regularisers or (),
        )
        if pair is not None:
            if any(part is not None for part in (audio_encoder, text_encoder, matcher)):
                raise ModelError("model.pair brings both encoders and the matcher; leave the others out, or the pair")
            audio_encoder, text_encoder, matcher = pair.audio, pair.text, pair.matcher
            objective.begin_at(pair.tau)
        if audio_encoder is None or text_encoder is None:
            raise ModelError("model.audio_encoder and model.text_encoder are both needed where there is no model.pair")
        if spectrogram_masks is not None and not audio_encoder.has_spectrogram:
            raise ModelError(
                f"model.spectrogram_masks is given, but {type(audio_encoder).__name__} looks at no spectrogram; "
                "leave it out"
            )
        audio_encoder.masks = spectrogram_masks
        for regulariser in self.regularisers.parts:
            regulariser.check(objective)
        if self.regularisers.crop < 1 and not audio_encoder.reads_audio:
            raise ModelError(
                f"model.regularisers: crop is {self.regularisers.crop:g}, but {type(audio_encoder).__name__} reads no "
                "waveforms; give 1"
            )
        self.pair = pair
        self.audio_encoder = audio_encoder
        self.text_encoder = text_encoder
        self.audio_pooling, self.text_pooling = audio_pooling, text_pooling
        self.matcher = Cosine() if matcher is None else matcher
        audio_dim, text_dim = (
            encoder.dim if pooling is None else pooling.connect(encoder.dim, encoder.longest)
            for encoder, pooling in ((audio_encoder, audio_pooling), (text_encoder, text_pooling))
        )
        if audio_encoder.experts:
            self.matcher.connect_experts(audio_encoder.experts, text_dim)
        else:
            self.matcher.connect(audio_dim, text_dim)
        if chunk is not None:
            check_chunk(chunk, audio_encoder, text_encoder, *filter(None, (audio_pooling, text_pooling, self.matcher)))
        self.relevance = relevance
        self.objective = objective
        self.chunk = chunk
        self.cache_frozen = cache_frozen
        self.towers: FrozenTowers | None = None
        if not save_frozen:
            self.given = frozen_checksums(self)
        if init_from is not None:
            load_weights(self, find_weights(init_from))
        if compile:
            compile_layers(audio_encoder, text_encoder)
        if parameter_groups:
            self.configure_optimizers()  # refuses wrong names and options before any work is done
        self.train()  # as it is; but encoders that are frozen go into evaluation mode

    @property
    def sample_rate(self) -> int:
        """Sample rate in Hz that the audio encoder wants."""
        return self.audio_encoder.sample_rate

    # ------------------------------------------------------------------------------------------------ embedding

    def embed_audio(self, *inputs: Tensor) -> Tensor:
        """What the matcher embeds of A recordings, such as waveforms (A, T) and lengths (A,): (A, ...) float32."""
        return self.matcher.audio(self._pooled(self.audio_encoder(*inputs), "audio"))

    def audio_inputs(self, batch: Batch) -> tuple[Tensor, ...]:
        """What the audio encoder reads of a batch."""
        return self.audio_encoder.inputs(batch)

    def embed_text(self, captions: list[str]) -> Tensor:
        """What the matcher embeds of C captions: (C, ...) float32."""
        return self.matcher.text(self._pooled(self.text_encoder(captions), "text"))

    def embed(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """What is embedded of a batch's recordings (A, ...) and captions (C, ...); frozen towers are looked up.

        Raises:
            ModelError: as `check_finite`.
        """
        audio, text = self._embed_recordings(batch), self._embed_captions(batch)
        # One value a step is read from the device; which input it was is looked for only where there is one.
        if not (torch.isfinite(audio.detach()).all() & torch.isfinite(text.detach()).all()):
            check_finite(audio, batch.names, "recording")
            check_finite(text, batch.captions, "caption")
        return audio, text

    def embed_again(self, batch: Batch) -> tuple[Tensor | None, Tensor | None]:
        """What is embedded of a batch's recordings, or a stretch of each, and captions, with other random draws."""
        again, crop = self.regularisers.again, self.regularisers.crop
        text = self._embed_captions(batch) if "text" in again else None
        if "audio" in again and crop < 1:
            waveforms, lengths = random_stretches(batch.waveforms, batch.lengths, crop)
            batch = replace(batch, waveforms=waveforms, lengths=lengths)
        return self._embed_recordings(batch) if "audio" in again else None, text

    def _embed_recordings(self, batch: Batch) -> Tensor:
        if self.towers is not None and self.towers.audio is not None:
            return self.matcher.audio(self.towers.audio(batch.audio_ids))
        return encode_in_chunks(self.embed_audio, self.chunk, *self.audio_inputs(batch))

    def _embed_captions(self, batch: Batch) -> Tensor:
        if self.towers is not None and self.towers.text is not None:
            return self.matcher.text(self.towers.text(batch.caption_ids))
        return encode_in_chunks(self.embed_text, self.chunk, batch.captions)

    def _pooled(self, encoded: Encoded, side: Literal["audio", "text"]) -> Encoded:
        pooling: Pooling | None = self.audio_pooling if side == "audio" else self.text_pooling
        if isinstance(encoded, States) and pooling is not None:
            return pooling(encoded)  # type: ignore[no-any-return]
        if isinstance(encoded, States) and not self.matcher.takes_states:
            what = "frames" if side == "audio" else "tokens"
            raise ModelError(
                f"model.{side}_encoder gives {what}, and {type(self.matcher).__name__} takes one vector: give "
                f"model.{side}_pooling, such as MeanPooling"
            )
        if not isinstance(encoded, States) and pooling is not None:
            raise ModelError(f"model.{side}_encoder gives one vector already: leave model.{side}_pooling out")
        if isinstance(encoded, ExpertVectors) and not self.matcher.takes_experts:
            return torch.cat([*encoded.vectors.values()], dim=1)  # (A, D)
        return encoded

    # ------------------------------------------------------------------------------------------------ preparing

    def setup(self, stage: str) -> None:
        """Let the relevance look up by id, and warn of captions that are not read to their end."""
        super().setup(stage)
        if self.towers is not None and self.towers.datamodule is not getattr(self.trainer, "datamodule", None):
            self.towers = None  # ids of other data
        if self.trainer.is_global_zero and stage != "predict":
            self._warn_of_cut_captions()
            if stage == "test":
                self._warn_of_heard_recordings()

    def _warn_of_cut_captions(self) -> None:
        """Say how many captions the text encoder does not read to their end: captions that differ only there tie."""
        tables = getattr(getattr(self.trainer, "datamodule", None), "tables", {})
        captions = [text for table in tables.values() for text in table.captions["caption"].to_pylist()]
        if cut := self.text_encoder.count_cut(captions):
            log.warning(
                "%d of %d captions are longer than model.text_encoder.%s and cut there; raise it to have them read to "
                "their end",
                cut,
                len(captions),
                self.text_encoder.limit_name,
            )

    def _warn_of_heard_recordings(self) -> None:
        """Say how many test recordings come from where a pretrained pair's training data come from."""
        datamodule: Any = getattr(self.trainer, "datamodule", None)
        if self.pair is None or not hasattr(datamodule, "origins"):
            return
        origins = datamodule.origins("test")
        for source, count in maybe_heard(self.pair.trained_on, origins).items():
            log.warning(
                "%d of %d test recordings are from %s, as are training data of '%s' (%s): it may have heard them",
                *(count, len(origins), source, self.pair.name, ", ".join(self.pair.trained_on)),
            )

    def on_fit_start(self) -> None:
        """Run frozen encoders once, where that is wanted; recordings need not be decoded then."""
        self._warn_of_separate_statistics()
        if not self.cache_frozen:
            return
        plugin = self.trainer.precision_plugin
        precision = (str(plugin.precision), plugin.forward_context)
        datamodule = self.captions_source()
        check_augmentation(getattr(datamodule, "augmented", frozenset()), self.audio_encoder, self.text_encoder)
        self.towers = FrozenTowers(self.audio_encoder, self.text_encoder, datamodule, precision, self.device)
        datamodule.decode_audio = self.towers.audio is None

    def _warn_of_separate_statistics(self) -> None:
        """Say that batch normalisation of several devices is not that of one, unless it is synchronised."""
        trained = [module for module in self.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
        apart = [
            m for m in trained if not isinstance(m, nn.SyncBatchNorm) and any(p.requires_grad for p in m.parameters())
        ]
        if apart and self.trainer.world_size > 1 and self.trainer.is_global_zero:
            log.warning(
                "%d batch normalisations take the statistics of each device's share of a batch, so the result is not "
                "that of one device; set trainer.sync_batchnorm to true (GPUs only)",
                len(apart),
            )

    def on_fit_end(self) -> None:
        """Forget the recordings' table: it is of the splits of training, and others follow. Captions are of all."""
        if self.towers is not None:
            self.towers.audio, self.captions_source().decode_audio = None, True


def embedding_parts(model: DualEncoder) -> dict[str, nn.Module]:
    """The parts of a model that decide what it embeds, by name."""
    names = ("audio_encoder", "text_encoder", "audio_pooling", "text_pooling", "matcher")
    return {name: part for name in names if isinstance(part := getattr(model, name), nn.Module)}
