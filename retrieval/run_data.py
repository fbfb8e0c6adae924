"""What a finished run's data and model say for its analysis: training captions, known relevance, a bank of captions."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from common.errors import RunError, UserError
from common.text import one_line
from datamodules.base import AudioCaptionDataModule
from experiments.analyses.hubs import Bank
from experiments.analyses.runs import Method
from experiments.analyses.sources import DataFacts
from experiments.run_folder import RunFolder, find_run
from lightning_modules.query_bank import BATCH, training_captions
from retrieval.finished_model import FinishedModel
from retrieval.run_model import built, load_model, read_config


def data_of_run(folder: Path) -> AudioCaptionDataModule:
    """The data module of a run, as its saved config describes it; paths are relative to the working directory.

    Raises:
        RunError: there is no such config, or it cannot be read or built.
    """
    run = RunFolder(folder)
    if not run.config.is_file():
        raise RunError(f"{run.config}: no such file; give the folder of a run of `python train.py fit`")
    settings = read_config(run).get("data")
    if settings is None:
        raise RunError(f"{run.config}: no settings of data in it; restore it from a copy, or repeat the run")
    data: AudioCaptionDataModule = built(AudioCaptionDataModule, settings, subclass=True, source=str(run.config))
    return data


def facts_of_data(methods: Sequence[Method], split: str) -> DataFacts:
    """What the data of the first run say that has a saved config, if they are those that it was evaluated on.

    Nothing is refused: what cannot be read is left out, and the note says why.
    """
    folders = [run.folder for method in methods for run in method.runs if RunFolder(run.folder).config.is_file()]
    if not folders:
        return DataFacts(note="no run has a saved config, so its data are not known")
    try:
        data = data_of_run(folders[0])
        captions, audio = data.read_captions()
        of_split = data.caption_ids(split)
        said, method = [captions[i] for i in of_split], methods[0]
        asked = dict(zip(of_split.tolist(), said, strict=True))
        queries = zip(method.queries.query_ids.tolist(), method.queries.queries, strict=True)
        if any(asked.get(number) != text for number, text in queries):
            return DataFacts(note=f"the data of {folders[0]} have other captions now than it was evaluated on")
        training = training_captions(data)
        annotated = np.unique(audio[of_split])
        rows = np.searchsorted(annotated, method.audio_ids)
        known, events = data.graded_relevance(split), data.event_counts(split)
    except UserError as error:
        return DataFacts(note=f"the data of {folders[0]} cannot be read: {one_line(error)}")
    return DataFacts(
        training or None,
        None if known is None or len(known) != len(annotated) else known[np.ix_(rows, rows)],
        None if events is None or len(events) != len(annotated) else events[rows],
    )


def bank_of_run(folder: Path, most: int) -> Bank:
    """Training captions of a run, evenly spaced, as its model embeds them; no audio is read.

    Raises:
        UserError: the run is not finished, its data or its model cannot be read, or it has no training captions.
    """
    run = find_run(folder)
    texts = training_captions(data_of_run(run.path), most)
    if not texts:
        raise RunError(f"{folder}: its data have no training captions for a bank; leave --bank out")
    model = FinishedModel(load_model(run, read_config(run)), device="cpu")
    return Bank(model.encode_text(texts, BATCH, output="torch"), f"{len(texts)} training captions")
