"""The options of every data module: declared once in the base classes, resolved through `**kwargs`."""

from collections.abc import Callable
from typing import Any

import pytest
from jsonargparse import ArgumentParser, Namespace

from datamodules.audio_folder import AudioFolder
from datamodules.audiocaps import AudioCaps
from datamodules.base import AudioCaptionDataModule
from datamodules.clotho import Clotho
from datamodules.mixture import Mixture
from datamodules.streamed_shards import StreamedShards
from datamodules.synthetic import Synthetic
from datamodules.wavcaps import WavCaps

LOADING = {"batch_size": 32, "max_seconds": 30.0, "sample_rate": None, "num_workers": 4}
MIX = {"mix": "mean"}
EPOCHS = {"captions_per_epoch": "all", "last_batch": "drop", "validation_captions": "all"}
SHARE = {"train_fraction": 1.0, "fraction_seed": 0, "train_captions": "all", "label_noise": 0.0}
BATCHES = {
    **{**LOADING, **EPOCHS, **SHARE, **MIX},
    "unique_audio": True,
    "seed": None,
    "related": None,
    "augmentations": None,
}
ANNOTATED = {**BATCHES, "experts": None, "missing_audio": "skip", "broken_audio": "refuse", "packed": None}
SOURCES = ["AudioSet", "BBC", "FreeSound", "SoundBible"]
EXCLUSION = {"exclude": "clotho_audiocaps", "exclude_freesound": None, "validation_share": 0.0}
CLIPS = {"train_clips": 1200, "validation_clips": 200, "test_clips": 300, "corpus_seed": 0}
OPTIONS: dict[type[AudioCaptionDataModule], dict[str, Any]] = {
    Clotho: {**ANNOTATED, "root": "data/clotho", "subset": None, "cut_seed": 0},
    AudioCaps: {
        **ANNOTATED,
        "root": "data/audiocaps",
        "subset": None,
        "version": 1,
        "max_seconds": 10.0,
        "broken_audio": "skip",
    },
    WavCaps: {**ANNOTATED, "root": "data/wavcaps", "sources": SOURCES, **EXCLUSION, "broken_audio": "skip"},
    Synthetic: {
        **ANNOTATED,
        **CLIPS,
        "root": "data/synthetic",
        "max_seconds": 10.0,
        "missing_audio": "refuse",
        "num_workers": 1,
    },
    Mixture: {**BATCHES, "parts": None, "judge": 0},
    StreamedShards: {**LOADING, "seed": None, "shards": None, "shuffle_buffer": 128},
    AudioFolder: {**LOADING, **MIX, "experts": None, "root": None, "broken_audio": "skip"},
}


def parser_of(module: type[AudioCaptionDataModule]) -> ArgumentParser:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(module, "data")
    return parser


@pytest.mark.parametrize("module", OPTIONS)
def test_options_and_defaults_of_a_data_module(module: type[AudioCaptionDataModule]) -> None:
    defaults: Namespace = parser_of(module).get_defaults().data
    found = {name: list(value) if isinstance(value, tuple) else value for name, value in vars(defaults).items()}
    assert found == OPTIONS[module]


@pytest.mark.parametrize("module", OPTIONS)
def test_every_option_is_documented(module: type[AudioCaptionDataModule]) -> None:
    text = {action.dest: action.help or "" for action in parser_of(module)._actions}
    for name in OPTIONS[module]:
        assert text[f"data.{name}"].strip(" ()%s") not in ("", "type", "default"), name


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "data.batch_size is 0; give a number from 1"),
        ({"max_seconds": 0.0}, "data.max_seconds is 0.0; give a number above 0, or null"),
        ({"num_workers": -1}, "data.num_workers is -1; give a number from 0"),
    ],
)
@pytest.mark.parametrize(("module", "required"), [(Clotho, {}), (StreamedShards, {"shards": "s"}), (Synthetic, {})])
def test_options_are_checked_wherever_they_come_from(
    module: type[AudioCaptionDataModule],
    required: dict[str, Any],
    options: dict[str, Any],
    message: str,
    refused: Callable[[Callable[[], object]], str],
) -> None:
    assert refused(lambda: module(**required, **options)) == message


def test_an_option_that_a_data_module_has_not_is_refused() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'batchsize'"):
        Clotho(batchsize=2)
    with pytest.raises(TypeError, match="unique_audio"):  # a stream has each recording once by its nature
        StreamedShards("shards", unique_audio=False)
