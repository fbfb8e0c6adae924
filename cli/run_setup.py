"""What a run needs before anything is built: its folder, its saved config, human judgements."""

import hashlib
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lightning import LightningModule
from lightning.pytorch import Trainer
from lightning.pytorch.cli import SaveConfigCallback

from cli.callback_checks import check_same_callbacks
from cli.config_checks import check_same_experiment, differing_encoders
from cli.teachers import teachers_in
from common.atomic_files import replacing
from common.errors import RunError
from common.settings import filled_in
from datamodules.base import AudioCaptionDataModule
from datamodules.judgements.dcase_relevance import read_relevant_clips
from datamodules.judgements.tau_ratings import rating_files, read_rated_clips
from experiments.results.human_judgements import HumanJudgements
from experiments.run_folder import RunFolder, check_name, experiment_name
from retrieval.run_model import built

CODE = Path(__file__).parents[1]
"""The folder whose git commit is noted."""

log = logging.getLogger(__name__)


class SavedConfig(SaveConfigCallback):
    """Writes the resolved config into the run folder, as a whole or not at all.

    `run.overwrite` and `run.resume` are of one command: a saved config must not let a later one write over anything.
    """

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Write it; only the first process comes here."""
        folder = trainer.loggers[0].log_dir  # of `MetricsLogger`; `trainer.log_dir` would wait for the other processes
        assert folder is not None
        config = self.config.clone()
        config.run.overwrite = config.run.resume = False
        with replacing(Path(folder) / self.config_filename) as path:
            path.write_text(self.parser.dump(config, skip_unset=False), encoding="utf-8")


def run_folder_of(options: Any) -> RunFolder:
    """The run folder of parsed options, whose `run.experiment` is set: the saved config is then enough to test the run.

    Raises:
        RunError: the experiment's name cannot be made, or is no plain name.
    """
    run = options.run
    name = run.experiment or experiment_name([str(path) for path in options.config or []])
    try:
        run.experiment = filled_in(name, options)
    except KeyError as error:
        raise RunError(f"run.experiment is '{name}': there is no setting {error}") from error
    check_name(run.experiment, "run.experiment")
    return RunFolder(Path(run.root) / run.experiment / str(int(options.seed_everything)))


def name_checkpoint(options: Any, folder: RunFolder, subcommand: str | None) -> None:
    """Replace Lightning's words "best" and "last" in `ckpt_path` by the run's own checkpoint; `fit` from its last one
    is resuming.

    Raises:
        RunError: there is no such checkpoint.
    """
    word = options.get("ckpt_path")
    if word not in ("best", "last"):
        if word is not None and "://" not in word and not Path(word).expanduser().exists():
            raise RunError(f"--ckpt_path {word}: no such checkpoint; check the path, or give best or last")
        return
    path = folder.best if word == "best" else folder.last
    if not path.is_file():
        raise RunError(f"--ckpt_path {word}: there is no {path}; run `fit` first, or give the path of a checkpoint")
    resumes = subcommand == "fit" and word == "last"
    options.ckpt_path = None if resumes else str(path)
    options.run.resume = options.run.resume or resumes


def checkpoint_to_resume(
    folder: RunFolder, options: Any, subcommand: str | None, resolved: Callable[[], dict[str, Any]]
) -> Path | None:
    """The checkpoint that `fit` continues from; nothing of an earlier run may be written over by mistake.

    Args:
        folder: of the run, locked for `fit`.
        options: parsed.
        subcommand: of train.py.
        resolved: gives every setting as plain values.

    Raises:
        RunError: an earlier run is in the folder, or what is resumed was begun with other settings.
    """
    run, checkpoint, saved = options.run, options.get("ckpt_path"), folder.config
    if subcommand == "fit":
        last = folder.check_fit(overwrite=run.overwrite, resume=run.resume)
        if last:
            settings = resolved()
            check_same_experiment(saved, settings)
            check_same_callbacks(saved, settings["trainer"]["callbacks"])
        elif run.resume:
            log.warning("%s: no last.ckpt to continue from, so the run starts from the beginning", folder.path)
        teachers = [name for part in teachers_in(options) for name in part.init_args.teachers]
        for needed in (checkpoint, *teachers) if run.overwrite else ():
            place = Path(needed or "").expanduser().resolve()
            if needed and folder.path.resolve() in (place, *place.parents):
                raise RunError(f"{needed} is of the run that --run.overwrite would delete; copy it elsewhere first")
        return last
    if checkpoint and not run.overwrite and not run.embeddings:
        folder.check_foreign(Path(checkpoint))
    elif not checkpoint and (others := differing_encoders(saved, resolved())):
        log.warning("%s was trained with other settings of its model: %s", folder.path, "; ".join(others[:3]))
    return None


def prepared_data(settings: dict[str, Any]) -> AudioCaptionDataModule | None:
    """The data module, once its files are found: before models are built or downloaded, which takes longer.

    None on ranks other than the first, and where it cannot be built; what is wrong is then said with the other parts.

    Raises:
        DataError: a file is missing or cannot be used.
    """
    if not is_rank_zero():
        return None
    try:
        data: AudioCaptionDataModule = built(AudioCaptionDataModule, settings, subclass=True)
    except RunError:
        return None
    data.prepare_data()
    data.read_captions()
    return data


def read_judgements(run: Any, subcommand: str | None) -> list[HumanJudgements]:
    """Human judgements of the splits that a subcommand evaluates, where the run's options name files of them.

    Raises:
        DataError: the file cannot be used.
        RunError: they are of a split that the subcommand does not evaluate; or `run.embeddings` is no name of a file
            that `predict` can write.
    """
    if run.embeddings is not None and Path(run.embeddings).suffix != ".parquet":
        raise RunError(f"run.embeddings is {run.embeddings}; give a name that ends in .parquet")
    tested = ("fit",) if run.test_after_fit else ()
    for option, *wanted in (
        ("relevant_clips", "test", *tested),
        ("ratings", "validate", *tested),
        ("embeddings", "predict"),
    ):
        if run[option] is not None and subcommand not in wanted:
            raise RunError(f"run.{option} goes with `{wanted[0]}`, not with `{subcommand}`; leave it out here")
    judgements = []
    if run.relevant_clips is not None:
        judgements.append(listed_clips(Path(run.relevant_clips)))
    if run.ratings is not None:
        judgements.append(rated_clips(Path(run.ratings)))
    return judgements


def listed_clips(path: Path) -> HumanJudgements:
    """Lists of all recordings that match a caption of the test split.

    Raises:
        DataError: the file cannot be used.
    """
    lists = {query: dict.fromkeys(names, 1.0) for query, names in read_relevant_clips(path).items()}
    return HumanJudgements("relevant_clips", "test", str(path), _sha256(path), lists)


def rated_clips(root: Path) -> HumanJudgements:
    """Ratings of recordings of the validation split.

    Raises:
        DataError: a file cannot be used.
    """
    rated = read_rated_clips(root, "validation")
    return HumanJudgements("ratings", "validation", str(root), _sha256(*rating_files(root, "validation")), rated)


def _sha256(*paths: Path) -> dict[str, str]:
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def is_rank_zero() -> bool:
    """Whether this process is the first of all nodes, before any process group exists (launchers set these)."""
    return all(int(os.environ.get(name) or 0) == 0 for name in ("RANK", "SLURM_PROCID", "LOCAL_RANK", "NODE_RANK"))
