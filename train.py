"""The door: `python train.py {fit,validate,test,predict} --config NAME.yaml`.

The only place that sees data, relevance and models together. Defaults are those of Xie et al. 2024.
"""

import importlib
import inspect
import logging
import os
import sys
import warnings
from pathlib import Path
from typing import Any

import torch
from lightning import LightningDataModule
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer, callbacks
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from transformers.utils import logging as transformers_logging

# Imported so that configs can name classes without their modules.
import datamodules.synthetic  # noqa: F401
import lightning_modules.audio_encoders  # noqa: F401
import relevance.same_audio  # noqa: F401
from command_line import ConfigFile, OneLineParser, nearest_name, one_line
from datamodules.base import AudioCaptionDataModule
from datamodules.errors import DataError
from lightning_modules.dual_encoder import DualEncoder
from lightning_modules.errors import ModelError
from lightning_modules.weights import fitting_weights
from relevance.errors import RelevanceError
from relevance.metrics import retrieval_metrics
from reporting.errors import RunError
from reporting.figure import draw_run
from reporting.metrics_logger import MetricsLogger
from reporting.progress_bar import ProgressBar
from reporting.run_folder import RunFolder, RunOptions, experiment_name
from reporting.run_writer import RunWriter

DIRECTIONS = ("text_to_audio", "audio_to_text")
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

NOISE = (
    ".*does not have many workers.*",
    ".*LeafSpec.*",
    ".*smaller than the logging interval.*",
    ".*in eval mode at the start of training.*",  # frozen encoders are meant to be
)


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

    def _parse_ckpt_path(self) -> None:
        """Nothing: the config alone says what the model is; Lightning would read settings out of the checkpoint."""

    def before_instantiate_classes(self) -> None:
        """Find the run folder, and refuse to write over an earlier run, before any slow work begins."""
        self._apply_sentence_bert()
        run = self._options.run
        self._check_monitor(run.monitor)
        configs = [str(path) for path in self._options.config or []]
        self.seed = int(self._options.seed_everything)
        name = run.experiment or experiment_name(configs)
        self.folder = RunFolder(Path(run.root) / name / str(self.seed))
        self.resume_from: Path | None = None
        if self.subcommand == "fit":
            self.resume_from = self.folder.check_fit(overwrite=run.overwrite, resume=run.resume)

    def _apply_sentence_bert(self) -> None:
        relevance = self._options.model.relevance
        arguments, wanted = relevance.get("init_args") or {}, self._options.sentence_bert
        if wanted is None or "model" not in arguments:
            return
        module, _, name = relevance.class_path.rpartition(".")
        default = inspect.signature(getattr(importlib.import_module(module), name)).parameters["model"].default
        if arguments["model"] not in (default, wanted):
            raise RunError(
                f"model.relevance.model is '{arguments['model']}', but sentence_bert is '{wanted}': give one of them "
                "(--sentence_bert null leaves the choice to the relevance)"
            )
        arguments["model"] = wanted

    def _check_monitor(self, monitor: str) -> None:
        metrics = retrieval_metrics(*2 * [torch.eye(2)], *2 * [torch.arange(2)]).summary()
        known = ["val/loss", *(f"val/{way}/{name}" for way in DIRECTIONS for name in [*metrics, "nDCG@10"])]
        if monitor not in known:
            raise RunError(
                f"run.monitor is '{monitor}'{nearest_name(monitor, known)}; there are: val/loss, and "
                f"val/text_to_audio/ or val/audio_to_text/ before {', '.join([*metrics, 'nDCG@10'])}"
            )

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
        own = [best, RunWriter(self.folder, HERE, self.seed, resume=run.resume)]
        if config.get("enable_progress_bar") is not False and _is_rank_zero():
            own.append(ProgressBar())
        trainer: Trainer = super()._instantiate_trainer(config, [*callbacks_, *own])
        return trainer

    def _prepare_subcommand_kwargs(self, subcommand: str) -> dict[str, Any]:
        kwargs: dict[str, Any] = super()._prepare_subcommand_kwargs(subcommand)
        if subcommand == "fit":
            kwargs["ckpt_path"] = kwargs.get("ckpt_path") or self.resume_from
        elif not kwargs.get("ckpt_path"):
            kwargs["ckpt_path"] = self._best()
            kwargs["verbose"] = False  # RunWriter prints the results
        if kwargs["ckpt_path"]:
            fitting_weights(self.model, kwargs["ckpt_path"])
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

    # WANDB_MODE, where it is set, decides; `wandb sync` uploads what was written offline.
    mode = os.environ.get("WANDB_MODE") or ("online" if wandb.login(prompt=False) else "offline")
    folder.path.mkdir(parents=True, exist_ok=True)
    experiment, seed = folder.path.parent.name, folder.path.name
    return WandbLogger(project=project, group=experiment, name=f"{experiment}-{seed}", save_dir=folder.path, mode=mode)


def main(args: list[str] | None = None) -> int:
    """Run a command; a mistake of the user's ends in one line on stderr and exit code 1 (2 on the command line)."""
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
    for noise in NOISE:
        warnings.filterwarnings("ignore", noise)
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(
        lambda record: "Tip:" not in record.getMessage()
    )
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()  # tensors missing from a checkpoint are refused by the encoders
    try:
        RetrievalCLI(args)
    except (DataError, RelevanceError, ModelError, RunError, MisconfigurationException) as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
