"""Export: a finished model as a folder that this package and sentence-transformers load, and its upload to a hub."""

import json
import os
from pathlib import Path
from typing import Any, NamedTuple

from common.atomic_files import no_room
from common.errors import ModelError, RunError
from common.text import one_line, remedy_of
from experiments.run_folder import RunFolder
from lightning_modules.dual_encoder import DualEncoder
from retrieval.exported import SETTINGS, UNFINISHED, is_exported, replacing_model, write_model
from retrieval.model_card import card_of
from retrieval.open_model import model_of_pair, pair_named, run_named
from retrieval.run_model import data_options, load_model, read_config

MODULE = '''"""Runs this folder's model in sentence-transformers, with the code of the package audio-relevance."""

try:
    from retrieval.sentence_transformer import AudioRelevance
except ImportError as error:
    raise ImportError("this model needs the package audio-relevance in the same environment: install it") from error
'''
MODULES = [{"idx": 0, "name": "0", "path": "", "type": "audio_relevance_module.AudioRelevance"}]


class Source(NamedTuple):
    """What is exported: a model, its config, the length its recordings are cropped to, and its run, if it has one."""

    model: DualEncoder
    config: dict[str, Any]
    max_seconds: float | None
    folder: RunFolder | None


def source_named(name: str) -> Source:
    """A run by its folder, or a pretrained pair by hub name or local folder.

    Raises:
        RunError: the run is not finished.
        ModelError: there is no such model.
    """
    path = Path(name).expanduser()
    if is_exported(path):
        raise RunError(f"{name}: is an exported model already; give the run it came from")
    if folder := run_named(path):
        config = read_config(folder)
        return Source(load_model(folder, config), config, data_options(config).get("max_seconds"), folder)
    pair = pair_named(name)
    kind = f"{type(pair).__module__}.{type(pair).__qualname__}"
    config = {"model": {"pair": {"class_path": kind, "init_args": {"name": name}}}}
    return Source(model_of_pair(pair), config, None, None)


def export(source: Source, folder: Path, name: str | None = None, licence: str = "other") -> None:
    """Write a model into a folder: weights, settings, model card, and what sentence-transformers needs.

    Args:
        source: what is exported.
        folder: new, empty, or an exported model, which is replaced, or left as it is where writing fails.
        name: under which readers will load it; default: the folder's name.
        licence: of the weights.

    Raises:
        RunError: the folder holds something else, or cannot be written.
    """
    others = folder.exists() and (not folder.is_dir() or {path.name for path in folder.iterdir()} - {UNFINISHED})
    if others and not is_exported(folder):
        raise RunError(f"{folder}: holds something else than an exported model; give a new folder")
    pair = source.model.pair
    try:
        with replacing_model(folder) as new:
            write_model(new, source.model, source.config["model"], source.max_seconds, source.config.get("model_class"))
            card = card_of(
                name or folder.name,
                dim=int(source.model.embed_text(["a"]).shape[1]),
                sample_rate=source.model.sample_rate,
                licence=licence,
                trained_on=list(pair.trained_on) if pair is not None else [],
                config=source.config,
                folder=source.folder,
            )
            similarity = "cosine" if getattr(source.model.matcher, "normalise", True) else "dot"
            texts = {
                "README.md": card,
                "modules.json": json.dumps(MODULES, indent=2),
                "audio_relevance_module.py": MODULE,
                "config_sentence_transformers.json": json.dumps(
                    {"similarity_fn_name": similarity, "prompts": {}}, indent=2
                ),
            }
            for file, text in texts.items():
                (new / file).write_text(text, encoding="utf-8")
    except Exception as error:
        refused = OSError(number, os.strerror(number)) if (number := no_room(error)) else error
        if not isinstance(refused, OSError):
            raise
        cause = refused.strerror or one_line(refused)
        raise RunError(f"{folder}: cannot be written ({cause}){remedy_of(refused)}") from error


def check_repository(name: str) -> None:
    """Whether a name can be that of a model at the hub.

    Raises:
        ModelError: it is not OWNER/MODEL.
    """
    if name.count("/") != 1 or not all(name.split("/")):
        raise ModelError(f"--push {name}: give OWNER/MODEL")


def push(folder: Path, name: str) -> str:
    """Upload an exported folder to the Hugging Face hub, as the user that `hf auth login` knows; its address.

    Args:
        folder: exported.
        name: OWNER/MODEL; made where there is no such repository.

    Raises:
        ModelError: the name is none, or the hub refuses or cannot be reached.
    """
    import huggingface_hub

    check_repository(name)
    if not (folder / SETTINGS).is_file():
        raise ModelError(f"{folder}: no exported model in it")
    api = huggingface_hub.HfApi()
    try:
        api.create_repo(name, exist_ok=True)
        api.upload_folder(repo_id=name, folder_path=folder, commit_message="Upload an audio-relevance model")
    except Exception as error:  # the hub's client raises many kinds
        raise ModelError(
            f"--push {name}: the hub refused or cannot be reached ({one_line(error)[:160]}); sign in with "
            f"`hf auth login`, or upload {folder} yourself"
        ) from error
    return f"{api.endpoint}/{name}"
