"""What a model's parts need besides their weights, written into a folder, so that it can be built there again."""

import functools
from pathlib import Path
from typing import Any

from transformers import AutoConfig

from common.pretrained import find_model
from lightning_modules.audio_encoders import HuggingFaceAudio, PaSST
from lightning_modules.pairs import ClapPair, ConvertedPair, PeAudioPair
from lightning_modules.text_encoders import HuggingFaceText


@functools.singledispatch
def make_portable(part: Any, settings: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Write what building `part` needs into `folder`; the arguments that then differ from its `settings`.

    A part that is not known here is built from its settings alone. Register a function for one of your own that reads
    files.

    Args:
        part: an encoder, a pair, a matcher or a pooling.
        settings: its arguments in the config.
        folder: of its own, made where it is needed.
    """
    return {}


@make_portable.register
def _(part: PaSST, settings: dict[str, Any], folder: Path) -> dict[str, Any]:
    return {"checkpoint": None}


@make_portable.register
def _(part: HuggingFaceText, settings: dict[str, Any], folder: Path) -> dict[str, Any]:
    part.tokenizer.save_pretrained(folder)
    if settings.get("config") is None:
        source = find_model(settings["model"], settings.get("revision"))
        config = AutoConfig.from_pretrained(source.name_or_path, local_files_only=True).to_dict()
    else:
        config = settings["config"]
    return {"model": str(folder), "revision": None, "config": config}


@make_portable.register
def _(part: HuggingFaceAudio, settings: dict[str, Any], folder: Path) -> dict[str, Any]:
    source = find_model(settings["model"], settings.get("revision"))
    AutoConfig.from_pretrained(source.name_or_path, local_files_only=True).save_pretrained(folder)
    part.extractor.save_pretrained(folder)
    return {"model": str(folder), "revision": None, "random_init": True}


@make_portable.register(ClapPair)
@make_portable.register(PeAudioPair)
def _(part: ClapPair | PeAudioPair, settings: dict[str, Any], folder: Path) -> dict[str, Any]:
    for piece in (part.source.model.config, part.source.tokenizer, part.source.extractor):
        piece.save_pretrained(folder)
    return {"name": str(folder), "revision": None, "random_init": True, "trained_on": list(part.trained_on)}


@make_portable.register
def _(part: ConvertedPair, settings: dict[str, Any], folder: Path) -> dict[str, Any]:
    for piece in (part.text_config, part.tokenizer):
        piece.save_pretrained(folder)
    return {"checkpoint": None, "text_model": str(folder), "trained_on": list(part.trained_on)}
