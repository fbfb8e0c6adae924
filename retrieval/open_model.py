"""From a name to a finished model: a run, an exported folder, or a pretrained pair."""

from collections.abc import Iterable
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig

from common.errors import ModelError, RunError
from common.pretrained import find_model
from common.text import given_twice
from datamodules.mono import Mix
from experiments.run_folder import RunFolder, find_run
from lightning_modules.dual_encoder import DualEncoder
from lightning_modules.pairs import ClapPair, Pair, PeAudioPair
from relevance.objectives import InfoNCE
from relevance.targets import SameAudio
from retrieval.exported import is_exported, load_exported
from retrieval.finished_model import FinishedModel
from retrieval.run_model import data_options, load_model, read_config

PAIRS: dict[str, Any] = {"clap": ClapPair, "pe_audio": PeAudioPair}
"""By transformers' model type."""
PAIR_WINDOW = 10.0  # s, in which long recordings are searched: what most pairs were trained on


def load_run(name: str | PathLike[str], device: str | torch.device | None = None) -> FinishedModel:
    """A finished model, ready to embed recordings and texts.

    Args:
        name: a run's folder (runs/demo_listnet/0), a folder made by `audio-relevance export`, or a pretrained pair by
            hub name or local folder (laion/clap-htsat-unfused).
        device: where it runs; default: a GPU where there is one.

    Raises:
        RunError: the run is not finished, or cannot be built.
        ModelError: there is no such model, or its weights cannot be read.

    Example:
        from retrieval import load_run

        model = load_run("runs/demo_listnet/0")
        audio = model.encode_audio(["dog.wav", "rain.flac"])          # (2, D)
        text = model.encode_text(["a dog barks"])                     # (1, D)
        model.similarity(text, audio)                                 # (1, 2)
    """
    path = Path(fspath(name)).expanduser()
    if is_exported(path):
        return FinishedModel(*load_exported(path), device)
    if folder := run_named(path):
        config = read_config(folder)
        data = data_options(config)
        mix: Mix = data.get("mix", "mean")
        return FinishedModel(load_model(folder, config), data.get("max_seconds"), device, mix=mix)
    return FinishedModel(model_of_pair(pair_named(fspath(name))), None, device, PAIR_WINDOW)


def run_named(name: str | PathLike[str]) -> RunFolder | None:
    """The finished run of a folder; None where the name means an exported folder or a pretrained pair.

    Raises:
        RunError: the folder is none of the three, or the run is not finished.
    """
    path = Path(fspath(name)).expanduser()
    is_run = path.is_dir() and not is_exported(path) and not (path / "config.json").is_file()
    return find_run(path) if is_run else None


def check_named_once(names: Iterable[str]) -> None:
    """Refuse a run, exported folder or pair that two of the names mean, as runs/a and runs/a/0 may.

    Raises:
        RunError: there is one, or a name means no finished run.
    """

    def place(name: str) -> Path:
        run = run_named(name)
        return (run.path if run else Path(name).expanduser()).resolve()

    if (twice := given_twice(names, place)) is not None:
        raise RunError(f"{twice}: given twice; name each run once")


def pair_named(name: str, **options: Any) -> Pair:
    """The pretrained pair of a hub name or local folder, by its kind of model.

    Raises:
        ModelError: there is none, or no pair of that kind.
    """
    source = find_model(name)
    kind = AutoConfig.from_pretrained(source.name_or_path, local_files_only=source.local_files_only).model_type
    if kind not in PAIRS:
        raise ModelError(f"'{name}' is a {kind} model; pretrained pairs are of these kinds: {', '.join(PAIRS)}")
    pair: Pair = PAIRS[kind](name, **options)
    return pair


def model_of_pair(pair: Pair) -> DualEncoder:
    """A dual encoder of a pair as it is; its objective is not used."""
    return DualEncoder(None, None, SameAudio(), InfoNCE(), pair=pair).eval()
