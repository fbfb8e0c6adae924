"""LightningCLI for retrieval: the paper's defaults, configs found by name, a run folder.

The only place that sees data, relevance and models together. Defaults are those of Xie et al. 2024.
"""

import logging
import os
import sys
import warnings
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
import yaml
from lightning import LightningDataModule
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from omegaconf.errors import OmegaConfBaseException

import cli.components  # noqa: F401  (so that configs can name classes without their modules)
from cli.callback_checks import adapt_spike_detection, as_list, check_callbacks, check_trainer_numbers
from cli.config_checks import (
    apply_sentence_bert,
    check_evaluates,
    check_mixed_targets,
    check_monitor,
    check_precision,
    check_processes,
    check_project,
    check_synchronised,
    make_room_for_pair,
    warn_of_other_schedule,
)
from cli.config_files import ConfigFile, none_as_null
from cli.failed_parts import check_optimizer, failed_part, trainer_setting, unresolved, user_error_in
from cli.model_class import chosen_class, class_as_flag
from cli.parser import OneLineParser
from cli.run_setup import (
    CODE,
    SavedConfig,
    checkpoint_to_resume,
    is_rank_zero,
    name_checkpoint,
    prepared_data,
    read_judgements,
    run_folder_of,
)
from cli.teachers import name_teachers, teacher_callbacks
from cli.trainer_parts import (
    best_or_last,
    callbacks_of,
    checkpoint_to_evaluate,
    embedding_writer,
    loggers_of,
    wants_wandb,
    with_atomic_checkpoints,
)
from common.errors import RunError, UserError
from common.numbers import HIGHEST_SEED
from common.pretrained import PASST
from common.text import one_line
from datamodules.base import AudioCaptionDataModule
from experiments.callbacks.harmless import harmless
from experiments.callbacks.model_summary import PartsSummary
from experiments.callbacks.progress_bar import ProgressBar
from experiments.callbacks.wandb_media import Dashboard
from experiments.comparison.baseline import read_baseline
from experiments.figures.run import draw_run
from experiments.former_run import restore
from experiments.loggers.pictures import log_picture
from experiments.run_folder import RunOptions
from lightning_modules.weights import fitting_weights

log = logging.getLogger(__name__)

PAPER = {
    "data": {"class_path": "datamodules.clotho.Clotho"},
    "model.audio_encoder": {
        "class_path": "lightning_modules.audio_encoders.passt.PaSST",
        "init_args": {"checkpoint": PASST},
    },
    "model.text_encoder": {"class_path": "lightning_modules.text_encoders.huggingface.HuggingFaceText"},
    "model.matcher": {"class_path": "lightning_modules.matchers.cosine.Cosine"},
    "model.relevance": {"class_path": "relevance.targets.caption_similarity.CaptionSimilarity"},
    "model.objective": {"class_path": "relevance.objectives.listnet.ListNet"},
}


class RetrievalCLI(LightningCLI):
    """LightningCLI with the paper's defaults, configs found by name, and a run folder."""

    dashboard: Dashboard | None = None
    prepared: AudioCaptionDataModule | None = None

    def __init__(self, args: list[str] | None = None) -> None:
        on_gpu = torch.cuda.is_available()
        arguments = class_as_flag(none_as_null(sys.argv[1:] if args is None else args))
        self._first = next(iter(arguments), "")
        if args is None:
            sys.argv[1:] = arguments  # in place: processes of other ranks are started with it
        with ExitStack() as self._held:  # the run folder, until the test after `fit` is over
            super().__init__(
                chosen_class(arguments),
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
                args=None if args is None else arguments,
            )
            if self.dashboard is not None:
                self.dashboard.close()

    def subcommands(self) -> dict[str, set[str]]:  # type: ignore[override]
        """The subcommand that is called alone: to declare the arguments of all four takes half of the parsing."""
        known = LightningCLI.subcommands()
        return {self._first: known[self._first]} if self._first in known else known

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
            help="Sentence-BERT for whatever relevance is chosen, if it uses one; overrides its own `model`.",
        )
        parser.add_argument(
            "--model_class",
            type=str | None,
            default=None,
            help="The model's class, derived from DualEncoder; also as --model CLASS, or class_path under model.",
        )
        takes = {action.dest for action in parser._actions}  # a model of one's own may have other parts
        parser.set_defaults({key: default for key, default in PAPER.items() if key in takes})

    @property
    def _options(self) -> Any:
        return self.config[self.subcommand]

    def _resolved(self) -> dict[str, Any]:
        settings: dict[str, Any] = yaml.safe_load(self.parser.dump(self.config, skip_unset=False))[self.subcommand]
        return settings

    def _parse_ckpt_path(self) -> None:
        """Nothing: the config alone says what the model is; Lightning would read settings from the checkpoint."""

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse; and refuse what the parser lets through."""
        try:
            super().parse_arguments(parser, args)
        except OmegaConfBaseException as error:  # such as ${oc.env:NAME} of a variable that is not set
            parser.error(unresolved(error))
        options = self.config[self.config.subcommand]
        if not hasattr(options.run, "root"):
            parser.error("run: expected a table of settings, such as run: {root: runs}")
        if isinstance(options.seed_everything, bool):
            given = str(options.seed_everything).lower()
            parser.error(f"seed_everything is {given}; give a whole number, so that the run can be repeated")
        if isinstance(options.seed_everything, int) and not 0 <= options.seed_everything <= HIGHEST_SEED:
            parser.error(f"seed_everything is {options.seed_everything}; give a whole number from 0 to {HIGHEST_SEED}")

    def instantiate_classes(self) -> None:
        """Build everything; what classes of other packages refuse becomes one line too."""
        try:
            self.prepared = prepared_data(self._resolved()["data"]) if self.subcommand == "fit" else None
            super().instantiate_classes()
            if self.subcommand == "fit":
                check_optimizer(self.model, self._options.model.get("optimizer"))
        except (ValueError, TypeError, RuntimeError, AttributeError, ImportError, MisconfigurationException) as error:
            if isinstance(error, UserError) or os.environ.get("TRACEBACK"):
                raise
            if refused := user_error_in(error):
                raise refused from error
            raise RunError(f"{failed_part(error, self._options)} (TRACEBACK=1 shows where)") from error

    def before_instantiate_classes(self) -> None:
        """Find the run folder, and refuse to write over an earlier run, before any slow work begins."""
        run = self._options.run
        apply_sentence_bert(self._options)
        make_room_for_pair(self._options.model)
        name_teachers(self._options)
        check_mixed_targets(self._options)
        check_monitor(self._options)
        check_project(run.wandb_project)
        check_precision(self._options.trainer.precision)
        check_trainer_numbers(self._options.trainer)
        check_evaluates(str(self.subcommand), self._options.trainer)
        if self._options.base is not None:
            raise RunError("base stands in config files; on the command line give --config for each config")
        self.seed = int(self._options.seed_everything)
        self.folder = run_folder_of(self._options)
        name_checkpoint(self._options, self.folder, self.subcommand)
        self.judgements = read_judgements(run, self.subcommand)
        tested = self.subcommand == "test" or (self.subcommand == "fit" and run.test_after_fit)
        self.baseline = read_baseline(Path(run.baseline), self.folder) if run.baseline and tested else None
        if self.subcommand == "fit" and is_rank_zero() and not self._options.trainer.fast_dev_run:
            self._held.callback(self.folder.lock().release)
            restore(self.folder.path)  # from a process that was killed
            self._held.callback(restore, self.folder.path)  # nothing is left to restore after a step
        self.resume_from = checkpoint_to_resume(self.folder, self._options, self.subcommand, self._resolved)
        if self.subcommand != "fit" or self.resume_from:
            self._options.model.init_from = None  # the checkpoint holds all weights

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Add the run folder's loggers to those of the config."""
        if self.prepared is not None:
            self.datamodule = self.prepared
        assert isinstance(self.datamodule, AudioCaptionDataModule)
        self.datamodule.use_seed(self.seed)
        configured = self.config_init[self.subcommand].trainer.logger
        resume = self.resume_from is not None
        loggers = loggers_of(self._options.run, self.folder, str(self.subcommand), configured, resume=resume)
        trainer: Trainer = super().instantiate_trainer(logger=loggers, **kwargs)
        check_processes(trainer)
        return trainer

    def _instantiate_trainer(self, config: dict[str, Any], callbacks_: list[Any]) -> Trainer:
        run, resume = self.config_init[self.subcommand].run, self.resume_from is not None
        self.save_config_kwargs["config_filename"] = f"config_{self.subcommand}.yaml"
        own: list[Any] = [*teacher_callbacks(self._options)]
        if config.get("enable_progress_bar") is not False and is_rank_zero():
            own.append(ProgressBar())
        if config.get("enable_model_summary") is not False:
            own.append(PartsSummary())
        # These print after the bar has ended.
        own += callbacks_of(run, self.folder, self.seed, self.judgements, self.baseline, resume=resume)
        if wants_wandb(run, str(self.subcommand)):
            self.dashboard = Dashboard(
                self.folder, CODE, self._resolved(), str(self.subcommand), keep_checkpoint=run.wandb_checkpoint
            )
            own.append(self.dashboard)
        configured = as_list(config.get("callbacks"))
        if self.subcommand == "fit":
            check_callbacks(configured, self._options.trainer, self._options.model.cache_frozen)
        adapt_spike_detection(configured, self.folder.path)
        config["plugins"] = with_atomic_checkpoints(config.get("plugins"))
        trainer: Trainer = super()._instantiate_trainer(config, [*callbacks_, *own])
        return trainer

    def _run_subcommand(self, subcommand: str) -> None:
        try:
            super()._run_subcommand(subcommand)
        except (ValueError, TypeError, RuntimeError) as error:
            named = None if isinstance(error, UserError) else trainer_setting(error, self._options.trainer)
            if named is None or os.environ.get("TRACEBACK"):
                raise
            raise RunError(f"trainer.{named}: {one_line(error)[:400]}") from error

    def before_fit(self) -> None:
        """Refuse what these devices cannot do; warn where a resumed run gets another schedule than it began with."""
        check_synchronised(self.trainer, self.model, self._options.trainer.sync_batchnorm)
        if self.resume_from:
            warn_of_other_schedule(self.folder.config, self.model.schedule, self.trainer.max_epochs)

    def _prepare_subcommand_kwargs(self, subcommand: str) -> dict[str, Any]:
        kwargs: dict[str, Any] = super()._prepare_subcommand_kwargs(subcommand)
        if subcommand == "fit":
            kwargs["ckpt_path"] = kwargs.get("ckpt_path") or self.resume_from
        else:
            kwargs["ckpt_path"] = kwargs.get("ckpt_path") or checkpoint_to_evaluate(self.folder, self.model.pair)
        if subcommand in ("validate", "test"):
            kwargs["verbose"] = False  # RunWriter prints the results
        if kwargs["ckpt_path"] or subcommand == "predict":
            checkpoint = kwargs["ckpt_path"]
            weights = fitting_weights(self.model, checkpoint) if checkpoint else self.model.state_dict()
            if subcommand == "predict" and not self.trainer.fast_dev_run:  # type: ignore[attr-defined]
                kwargs["return_predictions"] = False  # they are written as they come
                encoder = (self._options.model.get("pair") or self._options.model.audio_encoder).as_dict()
                self.embedding_writer = embedding_writer(
                    self._options.run, self.folder, checkpoint or self.model.pair.name, weights, encoder
                )
                warnings.filterwarnings("ignore", ".*across ranks is zero.*")  # all may have been embedded before
                # The first, so that it refuses before the config that made the file is written over.
                self.trainer.callbacks.insert(0, self.embedding_writer)  # type: ignore[attr-defined]
        kwargs["weights_only"] = True
        warnings.filterwarnings("ignore", ".*your dataloader is not resumable.*")  # its sampler is told where
        return kwargs

    def after_predict(self) -> None:
        """Print where the embeddings are."""
        if self.trainer.is_global_zero and not self.trainer.fast_dev_run:  # type: ignore[attr-defined]
            print(f"embeddings: {self.embedding_writer.summary()}")

    def after_fit(self) -> None:
        """Test the best checkpoint, and draw the run."""
        if self.trainer.interrupted or self.trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        if self.trainer.global_step == 0:
            log.warning("no training step was taken, so nothing is kept or tested")
            return
        if not self._options.run.test_after_fit:
            return
        if not self.datamodule.has_split("test"):
            log.warning("%s has no test split, so nothing is tested", type(self.datamodule).__name__)
            return
        if self.trainer.limit_test_batches == 0:
            log.warning("trainer.limit_test_batches is 0, so nothing is tested")
            return
        best: dict[str, Any] = {"ckpt_path": str(best_or_last(self.folder)), "weights_only": True, "verbose": False}
        if self._options.run.ratings is not None:
            self.trainer.validate(self.model, datamodule=self.datamodule, **best)
        self.trainer.test(self.model, datamodule=self.datamodule, **best)
        self.after_test()

    def after_test(self) -> None:
        """Draw the run."""
        if self.trainer.is_global_zero and self.folder.queries("test").is_file():
            draw_run(self.folder)
            with harmless("figure", "Pictures"):
                log_picture(self.trainer.loggers, "figure", self.folder.figure, self.trainer.global_step)
            print(f"figure: {self.folder.figure}")
