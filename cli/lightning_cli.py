"""LightningCLI for retrieval: the paper's defaults, configs found by name, a run folder.

The only place that sees data, relevance and models together. Defaults are those of Xie et al. 2024.
"""

import json
import logging
import os
import warnings
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
import yaml
from lightning import LightningDataModule
from lightning.fabric.plugins import CheckpointIO
from lightning.pytorch import Trainer
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

import cli.components  # noqa: F401  (so that configs can name classes without their modules)
from cli.callback_checks import adapt_spike_detection, check_callbacks, check_same_callbacks, check_trainer_numbers
from cli.config_checks import (
    apply_sentence_bert,
    check_mixed_targets,
    check_monitor,
    check_precision,
    check_same_experiment,
    differing_encoders,
    warn_of_other_schedule,
)
from cli.config_files import ConfigFile
from cli.parser import OneLineParser
from cli.run_setup import SavedConfig, is_rank_zero, read_people, run_folder_of
from common.errors import RunError, UserError
from common.text import one_line
from datamodules.base import AudioCaptionDataModule
from experiments.callbacks.atomic_checkpoint_io import AtomicCheckpointIO
from experiments.callbacks.checkpoints import RunCheckpoint
from experiments.callbacks.embedding_writer import EmbeddingWriter
from experiments.callbacks.progress_bar import ProgressBar
from experiments.callbacks.result_writer import RunWriter
from experiments.callbacks.resumed_callbacks import ResumedCallbacks
from experiments.callbacks.wandb_media import Dashboard
from experiments.callbacks.weight_averaging import AveragedWeights
from experiments.figures.run import draw_run
from experiments.loggers.csv_logger import MetricsLogger
from experiments.loggers.wandb_logger import wandb_logger
from experiments.results.embeddings_file import audio_weights_sha256
from experiments.run_folder import RunOptions
from lightning_modules.dual_encoder import DualEncoder
from lightning_modules.weights import fitting_weights

log = logging.getLogger(__name__)

CODE = Path(__file__).parents[1]
PAPER = {
    "data": {"class_path": "datamodules.clotho.Clotho"},
    "model.audio_encoder": {
        "class_path": "lightning_modules.audio_encoders.passt.PaSST",
        "init_args": {"checkpoint": "weights/passt-s-f128-p16-s16-ap.468.pt"},
    },
    "model.text_encoder": {"class_path": "lightning_modules.text_encoders.huggingface.HuggingFaceText"},
    "model.relevance": {"class_path": "relevance.targets.caption_similarity.CaptionSimilarity"},
    "model.objective": {"class_path": "relevance.objectives.listnet.ListNet"},
}


class RetrievalCLI(LightningCLI):
    """LightningCLI with the paper's defaults, configs found by name, and a run folder."""

    dashboard: Dashboard | None = None

    def __init__(self, args: list[str] | None = None) -> None:
        on_gpu = torch.cuda.is_available()
        with ExitStack() as self._held:  # the run folder, until the test after `fit` is over
            super().__init__(
                DualEncoder,
                LightningDataModule,
                subclass_mode_data=True,
                save_config_callback=SavedConfig,
                save_config_kwargs={"save_to_log_dir": False},
                trainer_class=Trainer,
                trainer_defaults={
                    "max_epochs": 25,
                    "precision": "bf16-mixed" if on_gpu else "32-true",
                    "num_sanity_val_steps": 0,
                    "log_every_n_steps": 10,
                    "use_distributed_sampler": False,  # the data modules divide batches among ranks themselves
                },
                seed_everything_default=0,
                auto_configure_optimizers=False,
                parser_class=OneLineParser,
                parser_kwargs={"parser_mode": "omegaconf"},
                args=args,
            )
            if self.dashboard is not None:
                self.dashboard.close()

    def init_parser(self, **kwargs: Any) -> LightningArgumentParser:
        """Use a `--config` that looks in configs/."""
        parser: LightningArgumentParser = self.parser_class(**{"dump_header": None, "allow_abbrev": False, **kwargs})
        parser.add_argument("-c", "--config", action=ConfigFile, help="Config file, or the name of one in configs/.")
        parser.add_argument(
            "--base", default=None, type=str | list[str] | None, help="In a config: those it builds on."
        )
        return parser

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the run's options and the paper's defaults."""
        parser.add_class_arguments(RunOptions, "run")
        parser.add_argument(
            "--sentence_bert",
            type=str | None,
            default=None,
            help="Sentence-BERT for whatever relevance is chosen, if it uses one; stands above its own `model`.",
        )
        parser.set_defaults(PAPER)

    @property
    def _options(self) -> Any:
        return self.config[self.subcommand]

    def _resolved(self) -> dict[str, Any]:
        settings: dict[str, Any] = yaml.safe_load(self.parser.dump(self.config, skip_none=False))[self.subcommand]
        return settings

    @property
    def _wants_wandb(self) -> bool:
        # An agent of a W&B sweep waits for the figures.
        wanted = self._options.run.wandb or os.environ.get("WANDB_SWEEP_ID")
        return bool(wanted) and self.subcommand != "predict"

    def _parse_ckpt_path(self) -> None:
        """Nothing: the config alone says what the model is; Lightning would read settings out of the checkpoint."""

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse; and refuse what the parser lets through."""
        super().parse_arguments(parser, args)
        options = self.config[self.config.subcommand]
        if not hasattr(options.run, "root"):
            parser.error("run: expected a table of settings, such as run: {root: runs}")
        if isinstance(options.seed_everything, int) and options.seed_everything < 0:
            parser.error(f"seed_everything is {options.seed_everything}; give a whole number from 0")

    def instantiate_classes(self) -> None:
        """Build everything; what classes of other packages refuse becomes one line too."""
        try:
            super().instantiate_classes()
        except (ValueError, TypeError, RuntimeError, AttributeError, ImportError) as error:
            if isinstance(error, UserError) or os.environ.get("TRACEBACK"):
                raise
            raise RunError(
                f"the config cannot be built: {type(error).__name__}: {one_line(error)} (TRACEBACK=1 shows where)"
            ) from error

    def before_instantiate_classes(self) -> None:
        """Find the run folder, and refuse to write over an earlier run, before any slow work begins."""
        run = self._options.run
        apply_sentence_bert(self._options)
        check_mixed_targets(self._options)
        check_monitor(run.monitor)
        check_precision(self._options.trainer.precision)
        check_trainer_numbers(self._options.trainer)
        if self._options.base is not None:
            raise RunError("base stands in config files; on the command line give --config for each config")
        self.seed = int(self._options.seed_everything)
        self.folder = run_folder_of(self._options)
        self.people = read_people(run, self.subcommand)
        if run.embeddings is not None and self.subcommand != "predict":
            raise RunError(f"run.embeddings goes with `predict`, not with `{self.subcommand}`; leave it out here")
        self.resume_from: Path | None = None
        checkpoint = self._options.get("ckpt_path")
        if self.subcommand == "fit":
            if is_rank_zero() and not self._options.trainer.fast_dev_run:
                self._held.callback(self.folder.lock().release)
            self.resume_from = self.folder.check_fit(overwrite=run.overwrite, resume=run.resume)
            if self.resume_from:
                check_same_experiment(self.folder.path / "config_fit.yaml", self._resolved())
                check_same_callbacks(self.folder.path / "config_fit.yaml", self._resolved()["trainer"]["callbacks"])
            elif run.resume:
                log.warning("%s: no last.ckpt to go on from, so the run begins from the beginning", self.folder.path)
            if run.overwrite and checkpoint and self.folder.path.resolve() in Path(checkpoint).resolve().parents:
                raise RunError(f"{checkpoint} is of the run that --run.overwrite would delete; copy it elsewhere first")
        elif checkpoint and not run.overwrite and not run.embeddings:
            self.folder.check_foreign(Path(checkpoint))
        elif not checkpoint and (others := differing_encoders(self.folder.path / "config_fit.yaml", self._resolved())):
            log.warning("%s was trained with other settings of its model: %s", self.folder.path, "; ".join(others[:3]))
        if self.subcommand != "fit" or self.resume_from:
            self._options.model.init_from = None  # the checkpoint holds all weights

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Add the run folder's loggers and callbacks to those of the config."""
        assert isinstance(self.datamodule, AudioCaptionDataModule)
        self.datamodule.use_seed(self.seed)
        run = self._options.run
        file_name = "metrics.csv" if self.subcommand == "fit" else f"metrics_{self.subcommand}.csv"
        resume = self.resume_from is not None
        loggers: list[Any] = [MetricsLogger(self.folder.path, file_name, resume=resume)]
        if self._wants_wandb:
            loggers.append(wandb_logger(run.wandb_project, self.folder, str(self.subcommand), resume=resume))
        configured = self.config_init[self.subcommand].trainer.logger
        if isinstance(configured, list):
            loggers += configured
        elif configured not in (None, True, False):
            loggers.append(configured)
        trainer: Trainer = super().instantiate_trainer(logger=loggers, **kwargs)
        return trainer

    def _instantiate_trainer(self, config: dict[str, Any], callbacks_: list[Any]) -> Trainer:
        run = self.config_init[self.subcommand].run
        self.save_config_kwargs["config_filename"] = f"config_{self.subcommand}.yaml"
        own: list[Any] = [
            AveragedWeights(),
            ResumedCallbacks(),
            RunCheckpoint(self.folder.checkpoints, run.monitor, run.monitor_mode, run.save_minutes),
            RunWriter(self.folder, CODE, self.seed, resume=self.resume_from is not None, judgements=self.people),
        ]
        if self._wants_wandb:
            self.dashboard = Dashboard(
                self.folder, CODE, self._resolved(), str(self.subcommand), keep_checkpoint=run.wandb_checkpoint
            )
            own.append(self.dashboard)
        if config.get("enable_progress_bar") is not False and is_rank_zero():
            own.append(ProgressBar())
        configured = config.get("callbacks") or []
        configured = configured if isinstance(configured, list) else [configured]
        if self.subcommand == "fit":
            check_callbacks(configured, self._options.trainer, self._options.model.cache_frozen)
        adapt_spike_detection(configured, self.folder.path)
        plugins = config.get("plugins") or []
        plugins = plugins if isinstance(plugins, list) else [plugins]
        if not any(isinstance(plugin, CheckpointIO) for plugin in plugins):
            config["plugins"] = [*plugins, AtomicCheckpointIO()]
        trainer: Trainer = super()._instantiate_trainer(config, [*callbacks_, *own])
        return trainer

    def before_fit(self) -> None:
        """Say so where a resumed run gets another schedule than it began with."""
        if self.resume_from:
            warn_of_other_schedule(self.folder.path / "config_fit.yaml", self.model.schedule, self.trainer.max_epochs)

    def _prepare_subcommand_kwargs(self, subcommand: str) -> dict[str, Any]:
        kwargs: dict[str, Any] = super()._prepare_subcommand_kwargs(subcommand)
        if subcommand == "fit":
            kwargs["ckpt_path"] = kwargs.get("ckpt_path") or self.resume_from
        else:
            kwargs["ckpt_path"] = kwargs.get("ckpt_path") or self._best()
        if subcommand in ("validate", "test"):
            kwargs["verbose"] = False  # RunWriter prints the results
        if kwargs["ckpt_path"]:
            weights = fitting_weights(self.model, kwargs["ckpt_path"])
            if subcommand == "predict" and not self.trainer.fast_dev_run:  # type: ignore[attr-defined]
                kwargs["return_predictions"] = False  # they are written as they come
                self._keep_embeddings(weights, kwargs["ckpt_path"])
        kwargs["weights_only"] = True
        warnings.filterwarnings("ignore", ".*your dataloader is not resumable.*")  # its sampler is told where to go on
        return kwargs

    def _keep_embeddings(self, weights: dict[str, torch.Tensor], checkpoint: str) -> None:
        path = Path(self._options.run.embeddings or self.folder.embeddings)
        encoder = json.dumps(self._options.model.audio_encoder.as_dict(), sort_keys=True)
        sha256 = audio_weights_sha256(weights)
        facts = {"checkpoint": checkpoint, "audio_weights_sha256": sha256, "audio_encoder": encoder}
        warnings.filterwarnings("ignore", ".*across ranks is zero.*")  # all may have been embedded before
        self.embedding_writer = EmbeddingWriter(path, facts, overwrite=self._options.run.overwrite)
        # The first, so that it refuses before the config that made the file is written over.
        self.trainer.callbacks.insert(0, self.embedding_writer)  # type: ignore[attr-defined]

    def after_predict(self) -> None:
        """Say where the embeddings are."""
        if self.trainer.is_global_zero and not self.trainer.fast_dev_run:  # type: ignore[attr-defined]
            print(f"embeddings: {self.embedding_writer.summary()}")

    def after_fit(self) -> None:
        """Test the best checkpoint, and draw the run."""
        if self.trainer.interrupted or not self._options.run.test_after_fit or self.trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        if not self.datamodule.has_split("test"):
            log.warning("%s has no test split, so nothing is tested", type(self.datamodule).__name__)
            return
        if self.trainer.global_step == 0:
            log.warning("no training step was taken, so nothing is tested")
            return
        self.trainer.test(
            self.model, datamodule=self.datamodule, ckpt_path=self._best(), weights_only=True, verbose=False
        )
        self.after_test()

    def after_test(self) -> None:
        """Draw the run."""
        if self.trainer.is_global_zero and self.folder.queries("test").is_file():
            draw_run(self.folder)
            print(f"figure: {self.folder.figure}")

    def _best(self) -> str:
        if self.folder.best.is_file():
            return str(self.folder.best)
        if self.folder.last.is_file():
            log.warning("%s: training ended before a validation, so the last checkpoint is taken", self.folder.path)
            return str(self.folder.last)
        raise RunError(
            f"{self.folder.best}: no such checkpoint; run `fit` with the same configs first, or give --ckpt_path"
        )
