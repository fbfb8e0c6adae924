"""Finished models on twin sets: what is embedded, which scores are computed, and the shares they make."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from common.errors import ModelError, RunError
from datamodules.clotho import read_caption_csv
from datamodules.twins.perturbations import perturbed_captions
from datamodules.twins.recordings import find_recordings
from datamodules.twins.twin_set import CaptionVariants, Recording, TwinSet
from evaluation.analyses.twins import (
    Share,
    TwinScores,
    compa,
    control,
    recall_differences,
    recall_shares,
    recalls,
    told_apart,
)
from evaluation.scores import MatrixScores
from experiments.run_folder import find_run
from retrieval.finished_model import FinishedModel
from retrieval.run_model import kept_pool

Vectors = npt.NDArray[np.float32]
TextTable = Callable[[Sequence[str]], Vectors]
BLOCK = 64
"""Twins scored at once, each with the recordings of all of them: few enough that the others cost nothing."""
ORIGINAL = "original"


def shares_of_twins(model: FinishedModel, twins: TwinSet) -> list[Share]:
    """How well a model tells the twins of a set apart; with twin recordings CompA's scores, without a control.

    Raises:
        UserError: a recording cannot be read, the model reads no audio, or has no score of a text and a recording.
    """
    texts = text_table(model, [text for twin in twins.twins for text in (twin.caption, twin.twin_caption)])
    return _shares(model, twins, embed_recordings(model, twins.recordings), texts)


def shares_of_variants(
    model: FinishedModel, variants: CaptionVariants, audio: Vectors | None = None
) -> dict[str, list[Share]]:
    """By form of the captions: the share told apart and its control, R@k in the pool of the recordings, and its change.

    Args:
        model: what is asked.
        variants: captions and their changed forms.
        audio: (A, D), where the recordings are embedded already.

    Raises:
        UserError: as `shares_of_twins`.
    """
    vectors = embed_recordings(model, variants.recordings) if audio is None else audio
    described = np.asarray(variants.caption_audio, np.int64)  # (C,)
    forms = {ORIGINAL: variants.captions, **variants.variants}
    texts = text_table(model, [text for captions in forms.values() for text in captions])
    found = {
        name: recalls(MatrixScores(torch.from_numpy(model.similarity(texts(captions), vectors))), described)
        for name, captions in forms.items()
    }
    shares = {name: recall_shares(values, described, len(vectors)) for name, values in found.items()}
    for twins in variants.twin_sets():
        pair = found[twins.name], found[ORIGINAL]
        changed = recall_differences(*pair, described) if len(vectors) > 1 else []  # of one recording R@k is always 1
        shares[twins.name] = [*_shares(model, twins, vectors, texts), *shares[twins.name], *changed]
    return shares


def score_twins(model: FinishedModel, twins: TwinSet, audio: Vectors, texts: TextTable) -> TwinScores:
    """The scores of every caption and its twin for recordings (A, D)."""
    captions = texts([twin.caption for twin in twins.twins]), texts([twin.twin_caption for twin in twins.twins])
    rows = np.array([twin.audio for twin in twins.twins])  # (T,)
    own, text = (_pairs(model, vectors, audio[rows]) for vectors in captions)
    if not twins.has_twin_recordings:
        return TwinScores(own, text, rows)
    other = audio[np.array([twin.twin_audio for twin in twins.twins])]
    return TwinScores(own, text, rows, *(_pairs(model, vectors, other) for vectors in captions))


def text_table(model: FinishedModel, texts: Sequence[str]) -> TextTable:
    """Embeds texts, each different one once; gives the embeddings (C, D) of any of them."""
    distinct = list(dict.fromkeys(texts))
    row = {text: number for number, text in enumerate(distinct)}
    vectors = model.encode_text(distinct)
    return lambda asked: vectors[[row[text] for text in asked]]


def embed_recordings(model: FinishedModel, recordings: Sequence[Recording | str]) -> Vectors:
    """Recordings in memory or in files: (A, D)."""
    return model.encode_audio(list(recordings))


def tested_captions(name: str, model: FinishedModel, seed: int) -> tuple[CaptionVariants, Vectors]:
    """The captions of a run's test in every perturbed form, and the embeddings (A, D) of its recordings.

    Raises:
        RunError: it is no run, or was not tested with the weights that the model has.
    """
    if not Path(name).expanduser().is_dir():
        raise RunError(f"{name}: no run's folder, so it has no test captions; give captions by --files and --audio")
    pool = kept_pool(find_run(Path(name).expanduser()), model.model)
    variants = perturbed_captions(pool.names, pool.captions, pool.caption_audio.tolist(), seed)
    return variants, pool.audio.float().numpy()


def captions_in_file(path: Path, audio: Path, seed: int) -> CaptionVariants:
    """Captions in Clotho's csv layout in every perturbed form, of the recordings that are in a folder.

    Raises:
        DataError: as `read_caption_csv` and `find_recordings`.
    """
    captions = dict(read_caption_csv(path))
    found = find_recordings(audio, list(captions), path)
    texts = [(text, row) for row, name in enumerate(found) for text in captions[name]]
    return perturbed_captions(list(found.values()), [text for text, _ in texts], [row for _, row in texts], seed)


def same_captions(variants: Sequence[CaptionVariants], names: Sequence[str]) -> None:
    """Whether runs were tested on the same captions: shares of others say nothing beside each other.

    Raises:
        RunError: they were not.
    """
    for other, name in zip(variants, names, strict=True):
        if sorted(other.captions) != sorted(variants[0].captions):
            raise RunError(
                f"{name}: was tested on other captions than {names[0]}; ask each alone, or give captions by --files "
                "and --audio"
            )


def _shares(model: FinishedModel, twins: TwinSet, audio: Vectors, texts: TextTable) -> list[Share]:
    scores = score_twins(model, twins, audio, texts)
    if twins.has_twin_recordings:
        return told_apart(scores) + compa(scores)
    if len(audio) == 1:
        return told_apart(scores)  # there is no other recording
    others = np.roll(audio, len(audio) // 2, axis=0)
    return [*told_apart(scores), control(score_twins(model, twins, others, texts))]


def _pairs(model: FinishedModel, text: Vectors, audio: Vectors) -> npt.NDArray[np.float64]:
    """The score (T,) of each text with the recording in its row."""
    blocks = [slice(begin, begin + BLOCK) for begin in range(0, len(text), BLOCK)]
    scores = [np.diagonal(model.similarity(text[block], audio[block])) for block in blocks]
    joined = np.concatenate(scores).astype(np.float64)
    if not np.isfinite(joined).all():
        raise ModelError("the model gives NaN or inf; look for a diverged model or silent audio")
    return joined
