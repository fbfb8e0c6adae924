"""What version 0.1.0 called otherwise: saved configs and checkpoints of it are still read."""

from collections.abc import Mapping
from typing import Any

CLASSES = {
    "datamodules.streamed.StreamedShards": "datamodules.streamed_shards.StreamedShards",
    "datamodules.related_batches.Related": "datamodules.sampling.related_pairs.Related",
    "lightning_modules.lora.LoRA": "lightning_modules.training.lora.LoRA",
    "lightning_modules.schedule.Constant": "lightning_modules.training.schedules.Constant",
    "lightning_modules.schedule.WarmupCosine": "lightning_modules.training.schedules.WarmupCosine",
    "relevance.mixed.MixedTargets": "relevance.targets.MixedTargets",
    "relevance.same_audio.SameAudio": "relevance.targets.SameAudio",
    "relevance.similarity.CaptionSimilarity": "relevance.targets.CaptionSimilarity",
}
"""Paths of classes, as the parser writes them into a resolved config."""
MATCHER = "lightning_modules.matchers.Cosine"
HEADS = {"audio_head.": "matcher.audio_head.", "text_head.": "matcher.text_head."}
"""Beginnings of the names of weights."""
OF_THE_MATCHER = ("embedding_dim", "head")
"""Settings of the model that are the matcher's now."""


def with_new_names(config: Any) -> Any:
    """A config of 0.1.0 under today's names; any other one as it is.

    >>> saved = {"head": "linear", "relevance": {"class_path": "relevance.same_audio.SameAudio"}}
    >>> with_new_names({"model": saved})["model"]  # doctest: +NORMALIZE_WHITESPACE
    {'relevance': {'class_path': 'relevance.targets.SameAudio'},
     'matcher': {'class_path': 'lightning_modules.matchers.Cosine', 'init_args': {'head': 'linear'}}}
    """
    renamed = _renamed(config)
    model = renamed.get("model") if isinstance(renamed, dict) else None
    if isinstance(model, dict) and any(name in model for name in OF_THE_MATCHER) and "matcher" not in model:
        moved = {name: model.pop(name) for name in OF_THE_MATCHER if name in model}
        model["matcher"] = {"class_path": MATCHER, "init_args": moved}
    return renamed


def _renamed(part: Any) -> Any:
    if isinstance(part, dict):
        path = part.get("class_path")
        renamed = {key: _renamed(value) for key, value in part.items()}
        return {**renamed, "class_path": CLASSES[path]} if isinstance(path, str) and path in CLASSES else renamed
    return [_renamed(item) for item in part] if isinstance(part, list) else part


def weights_with_new_names(state: Mapping[str, Any]) -> dict[str, Any]:
    """Weights of a checkpoint of 0.1.0 under today's names; any others as they are.

    >>> weights_with_new_names({"audio_head.weight": 1, "audio_encoder.weight": 2})
    {'matcher.audio_head.weight': 1, 'audio_encoder.weight': 2}
    """

    def new(name: str) -> str:
        return next((now + name[len(before) :] for before, now in HEADS.items() if name.startswith(before)), name)

    return {new(name): value for name, value in state.items()}
