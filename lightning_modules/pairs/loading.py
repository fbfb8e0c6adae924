"""Whole models of transformers with both towers: found, loaded, and refused in one line."""

from typing import Any, NamedTuple

import torch
from transformers import AutoConfig, AutoFeatureExtractor, AutoTokenizer

from common.errors import ModelError
from common.load_reports import without_unused
from common.pretrained import find_model
from common.text import cause_of
from lightning_modules.architectures import check_whole


class Loaded(NamedTuple):
    """A model with its tokenizer and feature extractor."""

    model: Any
    tokenizer: Any
    extractor: Any


def load_whole(kind: Any, name: str, revision: str | None, random_init: bool) -> Loaded:
    """A checkpoint of `kind` by hub name or local folder, in float32.

    Args:
        kind: a class of transformers with both towers.
        name: hub name, local folder, or `package:NAME/FOLDER`.
        revision: of a hub model.
        random_init: take random weights: config.json, tokenizer and feature extractor are enough.

    Raises:
        ModelError: it cannot be found or loaded, is of another kind, or its weights are incomplete.
    """
    try:
        source = find_model(name, revision)
        hub: dict[str, Any] = {"revision": revision, "local_files_only": source.local_files_only}
        config = AutoConfig.from_pretrained(source.name_or_path, **hub)
        if config.model_type != kind.config_class.model_type:
            raise ModelError(
                f"'{name}' is a {config.model_type} model; {kind.__name__} takes "
                f"{kind.config_class.model_type} checkpoints"
            )
        tokenizer = AutoTokenizer.from_pretrained(source.name_or_path, **hub)
        extractor = AutoFeatureExtractor.from_pretrained(source.name_or_path, **hub)
        if random_init:
            return Loaded(kind(config).float(), tokenizer, extractor)
        with without_unused():
            model, report = kind.from_pretrained(
                source.name_or_path, config=config, dtype=torch.float32, output_loading_info=True, **hub
            )
        check_whole(name, report, model, model)
        return Loaded(model, tokenizer, extractor)
    except ModelError as error:
        raise ModelError(f"model.pair: {error}") from error
    except Exception as error:  # what tokenizers, safetensors and transformers raise has no common base
        raise ModelError(
            f"model.pair: '{name}' cannot be loaded ({cause_of(error)}); it needs config.json, tokenizer, "
            f"preprocessor_config.json and weights of a {kind.__name__}, as its authors published them"
        ) from error
