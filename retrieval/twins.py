"""Finished models on twin sets: what is embedded, which scores are computed, and the shares they make."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from common.errors import DataError, ModelError, RunError
from datamodules.clotho import read_caption_csv
from datamodules.twins.perturbations import perturbed_captions
from datamodules.twins.recordings import find_recordings
from datamodules.twins.twin_set import CaptionVariants, TwinSet
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
from experiments.results.pool_file import read_pool
from experiments.run_folder import find_run
from retrieval.finished_model import FinishedModel

Vectors = npt.NDArray[np.float32]
BLOCK = 64
"""Twins scored at once, each with the recordings of all of them: few enough that the others cost nothing."""
ORIGINAL = "original"


def shares_of_twins(model: FinishedModel, twins: TwinSet) -> list[Share]:
    """How well a model tells the twins of a set apart; with twin recordings CompA's scores, without a control.

    Raises:
        UserError: a recording cannot be read, the model reads no audio, or has no score of a text and a recording.
    """
    return _shares(model, twins, embed_recordings(model, twins.recordings))


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
    found = {
        name: recalls(MatrixScores(torch.from_numpy(model.similarity(_texts(model, captions), vectors))), described)
        for name, captions in ((ORIGINAL, variants.captions), *variants.variants.items())
    }
    shares = {name: recall_shares(values, described, len(vectors)) for name, values in found.items()}
    for twins in variants.twin_sets():
        changed = recall_differences(found[twins.name], found[ORIGINAL], described)
        shares[twins.name] = [*_shares(model, twins, vectors), *shares[twins.name], *changed]
    return shares


def score_twins(model: FinishedModel, twins: TwinSet, audio: Vectors) -> TwinScores:
    """The scores of every caption and its twin with the recordings (A, D) they are to be told apart by."""
    texts = list(dict.fromkeys(text for twin in twins.twins for text in (twin.caption, twin.twin_caption)))
    row = {text: number for number, text in enumerate(texts)}
    text = _texts(model, texts)
    own = np.array([(row[twin.caption], row[twin.twin_caption], twin.audio) for twin in twins.twins])  # (T, 3)
    found = [_pairs(model, text[own[:, place]], audio[own[:, 2]]) for place in (0, 1)]
    if not twins.has_twin_recordings:
        return TwinScores(found[0], found[1], own[:, 2])
    other = audio[[twin.twin_audio for twin in twins.twins]]
    return TwinScores(found[0], found[1], own[:, 2], *(_pairs(model, text[own[:, place]], other) for place in (0, 1)))


def embed_recordings(model: FinishedModel, recordings: Sequence[object]) -> Vectors:
    """Recordings in memory or in files: (A, D)."""
    return model.encode_audio(list(recordings))  # type: ignore[call-overload, no-any-return]


def tested_captions(name: str, seed: int) -> tuple[CaptionVariants, Vectors]:
    """The captions of a run's test in every perturbed form, and the embeddings (A, D) of its recordings.

    Raises:
        RunError: it is no run, or was not tested.
    """
    if not Path(name).expanduser().is_dir():
        raise RunError(f"{name}: no run's folder, so it has no test captions; give captions by --files and --audio")
    pool = read_pool(find_run(Path(name).expanduser()).pool("test"))
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
        DataError: they were not.
    """
    for other, name in zip(variants, names, strict=True):
        if sorted(other.captions) != sorted(variants[0].captions):
            raise DataError(
                f"{name}: was tested on other captions than {names[0]}; ask each alone, or give captions by --files "
                "and --audio"
            )


def _shares(model: FinishedModel, twins: TwinSet, audio: Vectors) -> list[Share]:
    scores = score_twins(model, twins, audio)
    if twins.has_twin_recordings:
        return told_apart(scores) + compa(scores)
    if len(audio) == 1:
        return told_apart(scores)  # there is no other recording
    return [*told_apart(scores), control(score_twins(model, twins, np.roll(audio, len(audio) // 2, axis=0)))]


def _texts(model: FinishedModel, texts: Sequence[str]) -> Vectors:
    """Embeddings (C, D) of texts, each different one embedded once."""
    distinct = list(dict.fromkeys(texts))
    row = {text: number for number, text in enumerate(distinct)}
    return model.encode_text(distinct)[[row[text] for text in texts]]


def _pairs(model: FinishedModel, text: Vectors, audio: Vectors) -> npt.NDArray[np.float64]:
    """The score (T,) of each text with the recording in its row."""
    blocks = [slice(begin, begin + BLOCK) for begin in range(0, len(text), BLOCK)]
    scores = [np.diagonal(model.similarity(text[block], audio[block])) for block in blocks]
    joined = np.concatenate(scores).astype(np.float64)
    if not np.isfinite(joined).all():
        raise ModelError("the model gives NaN or inf; look for a diverged model or silent audio")
    return joined
