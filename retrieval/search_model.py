"""What `audio-relevance search` searches, and with which model: a run, an exported folder or a pretrained pair."""

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.errors import DataError, RunError
from common.pretrained import PACKAGE
from common.text import one_line
from datamodules.base import AudioCaptionDataModule
from experiments.results.embeddings_file import audio_weights_sha256
from experiments.results.query_table import read_queries, rows_of
from experiments.run_folder import RUN_TEST, RunFolder, find_run
from lightning_modules.dual_encoder import DualEncoder
from retrieval.exported import is_exported
from retrieval.open_model import load_run
from retrieval.run_model import built, data_options, kept_pool, load_model, read_config
from retrieval.search_folder import cut_name, index_folder
from retrieval.search_index import Recordings, SearchIndex, recordings_of

log = logging.getLogger(__name__)


@dataclass
class Searched:
    """An index, what its model is called, and queries to begin with."""

    index: SearchIndex
    model: str
    captions: list[str]


def open_searched(name: str, audio: Path | None, window: float | None = None, hop: float | None = None) -> Searched:
    """The recordings in a folder, or those of a run's test, with a model that ranks them.

    Args:
        name: a run's folder, a folder that `audio-relevance export` wrote, or a pretrained pair (folder or hub name).
        audio: the folder of recordings; what is new in it is embedded. None: the test of the run.
        window: length in s of the windows that longer recordings are cut into; None: what the model was trained with.
        hop: between windows in s; None: as few windows as cover a recording.

    Raises:
        UserError: there is no such model, or no recordings to search.
    """
    path = Path(name).expanduser()
    if not is_exported(path) and not _is_pair(name, path):
        folder = find_run(path)
        config = read_config(folder)
        model = load_model(folder, config)
        found = (
            embedded_folder(folder, config, model, audio, window, hop)
            if audio
            else tested_recordings(folder, config, model)
        )
        return Searched(SearchIndex(model, found), f"the model of {folder.path}", example_queries(folder, 5))
    if audio is None:
        raise RunError(f"{name}: no run, so there is no test of it to search; give a FOLDER of recordings")
    index, summary = load_run(name, "cpu").index_of(audio, window, hop)
    print(f"index: {summary}")
    return Searched(index, name, [])


def _is_pair(name: str, path: Path) -> bool:
    """Whether a name is a pretrained pair's: a folder with its config, or owner/model at the hub."""
    if path.exists() or name.startswith((".", "/", "~", "runs/")):
        return (path / "config.json").is_file()
    return name.startswith(PACKAGE) or name.count("/") == 1


def embedded_folder(
    folder: RunFolder,
    config: dict[str, Any],
    model: DualEncoder,
    audio: Path,
    window: float | None = None,
    hop: float | None = None,
) -> Recordings:
    """Recordings in a folder, in windows of the run's data.max_seconds or of a given length; see `index_folder`.

    The index is kept in the run folder, one for each length and hop.

    Raises:
        DataError: there is no such folder, or no audio in it.
        RunError: no recording could be embedded, or another process does the same.
    """
    settings = data_options(config)
    encoder = config["model"].get("pair") or config["model"]["audio_encoder"]
    root = audio.expanduser().resolve()
    file = folder.search_index(root, cut_name(window, hop))
    windows, summary = index_folder(
        file,
        root,
        model,
        {
            "audio_weights_sha256": audio_weights_sha256(model.state_dict()),
            "audio_encoder": json.dumps(encoder, sort_keys=True),
        },
        seconds=settings.get("max_seconds", 30.0) if window is None else window,
        hop=hop,
        batch_size=settings.get("batch_size", 32),
        num_workers=settings.get("num_workers", 0),
        mix=settings.get("mix", "mean"),
    )
    print(f"index: {summary}")
    return recordings_of(windows, audio, file)


def tested_recordings(folder: RunFolder, config: dict[str, Any], model: DualEncoder) -> Recordings:
    """The recordings that a run was tested on, as its test embedded them, with their files where they are found.

    Raises:
        RunError: the run was not tested, or with other weights.
    """
    path = folder.pool("test")
    if not path.is_file():
        raise RunError(f"{folder.path}: was not tested; give a FOLDER of recordings, or {RUN_TEST} first")
    pool = kept_pool(folder, model)
    files: dict[str, Path] = {}
    seconds: dict[str, float] = {}
    try:
        settings, file = config.get("data"), str(folder.config)
        data: AudioCaptionDataModule = built(AudioCaptionDataModule, settings, subclass=True, source=file)
        for row in data.read_split("test").audio.to_pylist():
            files[row["name"]] = Path(row["path"]).resolve()
            seconds[row["name"]] = row["frames"] / row["sample_rate"]
    except (DataError, RunError) as error:
        log.warning("%s; so there are names only", one_line(error))
    names = pool.names
    source = f"the test of {folder.path}"
    window = data_options(config).get("max_seconds", 30.0)
    found = [*map(files.get, names)], [*map(seconds.get, names)]
    return Recordings(source, names, *found, pool.audio.numpy(), window=window)


def example_queries(folder: RunFolder, count: int) -> list[str]:
    """Captions of different recordings out of a run's test, at most `count`; none where it was not tested."""
    try:
        rows = rows_of(read_queries(folder.queries("test")), "text_to_audio")
    except RunError:
        return []
    first = {row["clip_id"]: row["query"] for row in reversed(rows)}
    captions = sorted(set(first.values()))
    return captions[:: -(-len(captions) // count)]
