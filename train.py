"""The door: `python train.py {fit,validate,test,predict} --config NAME.yaml`.

The only place that sees data, relevance and models together. Defaults are those of Xie et al. 2024.
"""

import logging
import os
import sys
import warnings
from pathlib import Path
from typing import Any

import torch
from lightning import LightningDataModule
from lightning.pytorch import Trainer, callbacks
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from transformers.utils import logging as transformers_logging

# Imported so that configs can name classes without their modules.
import datamodules.synthetic  # noqa: F401
import lightning_modules.audio_encoders  # noqa: F401
import relevance.same_audio  # noqa: F401
from command_line import ConfigFile, OneLineParser, one_line
from datamodules.base import AudioCaptionDataModule
from datamodules.errors import DataError
from lightning_modules.dual_encoder import DualEncoder
from lightning_modules.errors import ModelError
from relevance.errors import RelevanceError
from reporting.errors import RunError
from reporting.figure import draw_run
from reporting.metrics_logger import MetricsLogger
from reporting.run_folder import RunFolder, RunOptions, experiment_name
from reporting.run_writer import RunWriter

HERE = Path(__file__).parent
PAPER = {
    "data": {"class_path": "datamodules.clotho.Clotho"},
    "model.audio_encoder": {
        "class_path": "lightning_modules.audio_encoders.passt.PaSST",
        "init_args": {"checkpoint": "weights/passt-s-f128-p16-s16-ap.468.pt"},
    },
    "model.text_encoder": {"class_path": "lightning_modules.text_encoders.HuggingFaceText"},
    "model.relevance": {"class_path": "relevance.similarity.CaptionSimilarity"},
    "model.objective": {"class_path": "relevance.objectives.ListNet"},
}


class RetrievalCLI(LightningCLI):
    """LightningCLI with the paper's defaults, configs found by name, and a run folder."""

    def __init__(self, args: list[str] | None = None) -> None:
        on_gpu = torch.cuda.is_available()
        super().__init__(
            DualEncoder,
            LightningDataModule,
            subclass_mode_data=True,
            save_config_kwargs={"overwrite": True},
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

    def before_instantiate_classes(self) -> None:
        """Find the run folder, and refuse to write over an earlier run, before any slow work begins."""
        self._apply_sentence_bert()
        run = self._options.run
        configs = [str(path) for path in self._options.config or []]
        self.seed = int(self._options.seed_everything)
        name = run.experiment or experiment_name(configs)
        self.folder = RunFolder(Path(run.root) / name / str(self.seed))
        self.resume_from: Path | None = None
        if self.subcommand == "fit" and _is_rank_zero():
            self.resume_from = self.folder.begin_fit(overwrite=run.overwrite, resume=run.resume)
        elif run.resume:
            self.resume_from = self.folder.last

    def _apply_sentence_bert(self) -> None:
        arguments = self._options.model.relevance.get("init_args") or {}
        if self._options.sentence_bert is not None and "model" in arguments:
            arguments["model"] = self._options.sentence_bert

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Add the run folder's loggers and callbacks to those of the config."""
        assert isinstance(self.datamodule, AudioCaptionDataModule)
        self.datamodule.use_seed(self.seed)
        run = self._options.run
        file_name = "metrics.csv" if self.subcommand == "fit" else f"metrics_{self.subcommand}.csv"
        loggers: list[Any] = [MetricsLogger(self.folder.path, file_name, resume=run.resume)]
        if run.wandb:
            loggers.append(wandb_logger(run.wandb_project, self.folder))
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
        best = callbacks.ModelCheckpoint(
            dirpath=self.folder.checkpoints,
            filename="best",
            monitor=run.monitor,
            mode=run.monitor_mode,
            save_last=True,
            enable_version_counter=False,
            auto_insert_metric_name=False,
        )
        own = [best, RunWriter(self.folder, HERE, self.seed)]
        if config.get("enable_progress_bar") is not False and _is_rank_zero():
            own.append(callbacks.RichProgressBar(leave=False))
        trainer: Trainer = super()._instantiate_trainer(config, [*callbacks_, *own])
        return trainer

    def _prepare_subcommand_kwargs(self, subcommand: str) -> dict[str, Any]:
        kwargs: dict[str, Any] = super()._prepare_subcommand_kwargs(subcommand)
        if subcommand == "fit":
            kwargs["ckpt_path"] = kwargs.get("ckpt_path") or self.resume_from
        elif not kwargs.get("ckpt_path"):
            kwargs["ckpt_path"] = self._best()
            kwargs["verbose"] = False  # RunWriter prints the results
        kwargs["weights_only"] = True
        return kwargs

    def after_fit(self) -> None:
        """Test the best checkpoint, and draw the run."""
        if self.trainer.interrupted or not self._options.run.test_after_fit or self._options.trainer.fast_dev_run:
            return
        self.trainer.test(
            self.model, datamodule=self.datamodule, ckpt_path=self._best(), weights_only=True, verbose=False
        )
        self.after_test()

    def after_test(self) -> None:
        """Draw the run."""
        if self.trainer.is_global_zero:
            draw_run(self.folder)
            print(f"figure: {self.folder.figure}")

    def _best(self) -> str:
        if not self.folder.best.is_file():
            raise RunError(
                f"{self.folder.best}: no such checkpoint; run `fit` with the same configs first, or give --ckpt_path"
            )
        return str(self.folder.best)


def _is_rank_zero() -> bool:
    """Whether this process is the first, before any process group exists (launchers set these variables)."""
    return int(os.environ.get("RANK") or os.environ.get("SLURM_PROCID") or os.environ.get("LOCAL_RANK") or 0) == 0


def wandb_logger(project: str, folder: RunFolder) -> Any:
    """A W&B logger, grouped by experiment and named by seed; offline where there is no account."""
    import wandb
    from lightning.pytorch.loggers import WandbLogger

    offline = wandb.api.api_key is None and os.environ.get("WANDB_MODE", "offline") != "online"
    folder.path.mkdir(parents=True, exist_ok=True)
    experiment, seed = folder.path.parent.name, folder.path.name
    return WandbLogger(
        project=project, group=experiment, name=f"{experiment}-{seed}", save_dir=folder.path, offline=offline
    )


def main(args: list[str] | None = None) -> int:
    """Run a command; a mistake of the user's ends in one line on stderr and exit code 1 (2 on the command line)."""
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
    for noise in (".*does not have many workers.*", ".*LeafSpec.*", ".*smaller than the logging interval.*"):
        warnings.filterwarnings("ignore", noise)
    transformers_logging.disable_progress_bar()
    try:
        RetrievalCLI(args)
    except (DataError, RelevanceError, ModelError, RunError) as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        return 1
    except RuntimeError as error:
        if "loading state_dict" not in str(error):
            raise
        print(
            f"error: the checkpoint is of another model ({one_line(error)[:200]} ...); use the configs it was trained "
            "with (config_fit.yaml in its run folder)",
            file=sys.stderr,
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
