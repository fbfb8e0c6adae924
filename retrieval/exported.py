"""A folder that holds a whole model: weights, settings, tokenizer. Written and read without the run it came from."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from common.atomic_files import made, replacing
from common.errors import ModelError
from common.text import one_line
from lightning_modules.dual_encoder import DualEncoder
from lightning_modules.model_class import model_class
from lightning_modules.weights import load_weights
from retrieval.portable import make_portable
from retrieval.run_model import built

SETTINGS = "audio_relevance.json"
ONNX = ("text.onnx", "audio.onnx")
WEIGHTS = "model.safetensors"
UNFINISHED = ".export.part"
FORMAT = 1
PARTS = ("audio_encoder", "text_encoder", "matcher", "audio_pooling", "text_pooling", "pair")
INSIDE = "exported:"
"""Begins a path inside the folder, wherever that is."""
UNUSED = {
    "relevance": {"class_path": "relevance.targets.SameAudio"},
    "objective": {"class_path": "relevance.objectives.InfoNCE"},
}
"""What a dual encoder is built with besides; it is needed for training alone."""


def is_exported(path: Path) -> bool:
    """Whether a folder holds an exported model."""
    return (path / SETTINGS).is_file()


@contextmanager
def replacing_model(folder: Path) -> Iterator[Path]:
    """An empty folder inside `folder`, whose content replaces an earlier export there when the block ends well.

    When it does not, `folder` is as it was.
    """
    unfinished = folder / UNFINISHED
    shutil.rmtree(unfinished, ignore_errors=True)  # of a process that was killed
    with made(folder):
        unfinished.mkdir()
        try:
            yield unfinished
            for name in PARTS:
                shutil.rmtree(folder / name, ignore_errors=True)
            for name in ONNX:
                (folder / name).unlink(missing_ok=True)  # of the earlier model
            for path in unfinished.iterdir():
                path.replace(folder / path.name)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)


def write_model(
    folder: Path, model: DualEncoder, settings: dict[str, Any], max_seconds: float | None, own_class: str | None = None
) -> None:
    """Write weights and settings of a model into a folder.

    Args:
        folder: empty.
        model: any dual encoder.
        settings: of the model, as a run's config has them.
        max_seconds: its recordings are cropped to.
        own_class: of a model of one's own (`model_class` of the run's config).
    """
    parts: dict[str, Any] = {}
    for name in PARTS:
        if settings.get(name) is not None:
            arguments = settings[name].get("init_args") or {}
            changed = make_portable(getattr(model, name), arguments, folder / name)
            inside = {key: _inside(value, folder) for key, value in changed.items()}
            parts[name] = {"class_path": settings[name]["class_path"], "init_args": {**arguments, **inside}}
    # Weights that towers share are written for each: safetensors refuses views of one another.
    weights = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in model.state_dict().items()}
    weights = {name: tensor for name, tensor in weights.items() if not name.startswith(("objective.", "relevance."))}
    with replacing(folder / WEIGHTS) as beside:
        save_file(weights, beside, {"format": "pt"})
    content: dict[str, Any] = {
        "format": FORMAT,
        "sample_rate": model.sample_rate,
        "max_seconds": max_seconds,
        "model": parts,
    }
    content |= {"model_class": own_class}
    with replacing(folder / SETTINGS) as beside:
        beside.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def load_exported(folder: Path) -> tuple[DualEncoder, float | None]:
    """The model in an exported folder, in evaluation mode on the CPU, and the length in s it crops recordings to.

    Raises:
        ModelError: the folder's settings or weights cannot be read, or do not go together.
    """
    path = folder / SETTINGS
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        parts, max_seconds, version = content["model"], content["max_seconds"], content["format"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path}: cannot be read ({one_line(error)}); export the run again") from error
    seconds = isinstance(max_seconds, int | float) and max_seconds > 0
    if not isinstance(parts, dict) or not (seconds or max_seconds is None):
        raise ModelError(f"{path}: model is no table of parts, or max_seconds no number above 0; export the run again")
    if version != FORMAT:
        raise ModelError(f"{path}: has format {version!r}, and this version reads {FORMAT}; update audio-relevance")
    settings = {"audio_encoder": None, "text_encoder": None, **UNUSED, **_outside(parts, folder)}
    model: DualEncoder = built(model_class(content.get("model_class")), settings, subclass=False, source=str(path))
    load_weights(model, folder / WEIGHTS)
    return model.eval(), max_seconds


def _inside(value: Any, folder: Path) -> Any:
    is_inside = isinstance(value, str) and Path(value).is_relative_to(folder)
    return INSIDE + Path(value).relative_to(folder).as_posix() if is_inside else value


def _outside(value: Any, folder: Path) -> Any:
    if isinstance(value, dict):
        return {key: _outside(each, folder) for key, each in value.items()}
    if isinstance(value, str) and value.startswith(INSIDE):
        return str(folder / value.removeprefix(INSIDE))
    return value
