"""Whether a teacher may teach: one that was trained on the test recordings would hand their answers on."""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from common.errors import ModelError, RunError, UserError
from datamodules.annotated import AnnotatedDataModule
from datamodules.base import AudioCaptionDataModule
from datamodules.mixture import Mixture
from experiments.run_folder import RunFolder, find_run
from lightning_modules.dual_encoder import DualEncoder
from lightning_modules.pairs.base import Pair
from lightning_modules.pairs.training_data import maybe_heard, splits_said
from retrieval.exported import is_exported
from retrieval.open_model import run_named
from retrieval.run_model import built, read_config

log = logging.getLogger(__name__)


def check_teacher(name: str, model: DualEncoder, data: Any) -> None:
    """Whether a teacher was trained, or its checkpoint chosen, on test recordings of a data module.

    Of a run the settings are looked at, and those of the runs that it began with or learned from: recordings are the
    same where their origins or their files are. Those that the data module trains on as well do not count, since the
    student hears them anyway. Of a pretrained pair its published training data are looked at. What cannot be checked is
    said in a warning.

    Args:
        name: of the teacher.
        model: of the teacher.
        data: the student's.

    Raises:
        ModelError: it was.
    """
    if not data.has_split("test"):
        return
    if model.pair is not None:
        _check_pair(name, model.pair, data)
    if is_exported(Path(name).expanduser()):
        log.warning("teacher '%s': an exported folder does not say what it was trained on; give its run's folder", name)
    elif run := run_named(name):
        _check_run(name, run, data)


def _check_run(name: str, run: RunFolder, data: Any) -> None:
    tested, own = identities(data, "test"), identities(data, "train")
    for folder, config in lineage(run):
        try:
            trained: AudioCaptionDataModule = built(AudioCaptionDataModule, config["data"], subclass=True)
            seen = {**identities(trained, "validation"), **identities(trained, "train")}
        except (UserError, KeyError) as error:
            cause = str(error)[:200]
            log.warning("teacher '%s': the training data of %s cannot be checked (%s)", name, folder.path, cause)
            continue
        if shared := tested.keys() & seen.keys() - own.keys():
            names = sorted({tested[each] for each in shared})
            raise ModelError(
                f"teacher '{name}': {folder.path} was trained on {len(names)} of the test recordings (e.g. "
                f"'{names[0]}'), so its student would know the answers; take another teacher, or other test data"
            )


def _check_pair(name: str, pair: Pair, data: Any) -> None:
    data = data.parts[data.judge] if isinstance(data, Mixture) else data
    kind = type(data).__name__
    if splits_said(pair.trained_on, kind) == "test too":
        raise ModelError(
            f"teacher '{name}': was trained on the test recordings of {kind} too, so its student would know the "
            "answers; take another teacher"
        )
    origins = _origins(data, "test")
    for source, count in maybe_heard(pair.trained_on, origins).items():
        share = f"{count} of {len(origins)} test recordings are from {source}"
        log.warning("teacher '%s': %s, as are its training data: it may have heard them", name, share)


def lineage(folder: RunFolder) -> Iterator[tuple[RunFolder, dict[str, Any]]]:
    """A run with its settings, the run it began with (`init_from`), its teachers, and theirs, each once.

    Raises:
        RunError: the settings of the first cannot be read. Of the others those that are not there are left out.
    """
    seen: set[Path] = set()
    waiting = [folder]
    while waiting:
        folder = waiting.pop(0)
        if folder.path.resolve() in seen:
            continue
        seen.add(folder.path.resolve())
        config = read_config(folder)
        yield folder, config
        began = Path(config["model"].get("init_from") or "").expanduser().parent.parent
        for path in (began, *(Path(name).expanduser() for name in _teachers_in(config["model"].get("relevance")))):
            with contextlib.suppress(RunError):  # it is none, or is not here
                waiting.append(find_run(path))


def identities(data: Any, split: str) -> dict[str, str]:
    """What tells the recordings of a split from all others: their origins, and their files; with the name of each.

    Only annotated data sets know these; of others nothing is known.
    """
    if isinstance(data, Mixture):
        parts = data.parts if split == "train" else [data.parts[data.judge]]
        return {key: name for part in parts for key, name in identities(part, split).items()}
    if not isinstance(data, AnnotatedDataModule) or not data.has_split(split):
        return {}
    found = {origin: name for name, origin in _origins(data, split).items()}
    names = [row.name for row in data.annotations(split)]
    try:
        _, files = data.located(split)
    except UserError:  # the audio is not here, as with features in its place
        return found
    rows = zip(names, files, strict=True)
    return found | {f"{path.resolve()} {part or ''}": name for name, (path, part) in rows if path is not None}


def _origins(data: Any, split: str) -> dict[str, str]:
    try:
        return dict(data.origins(split)) if hasattr(data, "origins") else {}
    except UserError:  # the file that says so is not here
        return {}


def _teachers_in(part: Any) -> Iterator[str]:
    """Names of all teachers in the settings of a relevance, those inside others too."""
    if isinstance(part, dict):
        if str(part.get("class_path", "")).endswith("EstimatedCorrespondence"):
            yield from (part.get("init_args") or {}).get("teachers") or ()
        else:
            yield from (name for each in part.values() for name in _teachers_in(each))
    elif isinstance(part, list):
        yield from (name for each in part for name in _teachers_in(each))
