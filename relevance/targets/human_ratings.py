"""Ratings by listeners, where there are any."""

import csv
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from common.directions import TEXT_TO_AUDIO, Direction
from common.errors import RelevanceError
from common.text import cause_of
from relevance.base import Relevance
from relevance.targets.binary import SameAudio
from relevance.targets.composed import Composed

COLUMNS = ("caption", "recording", "rating")


class HumanRatings(Composed):
    """rating / 100 for pairs of a caption and a recording that listeners have rated, another relevance for all others.

    Args:
        ratings: csv file with the columns caption (its text), recording (its name in the data set) and rating (0 to
            100). Of TAU Graded Relevances 2023 docs/zoo.md makes one.
        fallback: for all other pairs; default: `SameAudio`. A caption's own recording always has its value, which has
            to be the highest, since objectives take the most relevant items for positives.

    Relations: few pairs of a batch are rated, so most of the target is that of the fallback; `CaptionSimilarity` with
    the constants of `calibrate` carries ratings over to all pairs.

    Source: ratings as targets in Xie et al. 2024, "Integrating continuous and binary relevances in audio-text
    relevance learning" (arXiv 2408.14939), and 2306.09820.
    """

    citation = 'Xie et al. 2024, "Integrating continuous and binary relevances in audio-text relevance learning"'
    bibtex = (
        "@misc{xie2024integrating, "
        "title={Integrating continuous and binary relevances in audio-text relevance learning}, "
        "author={Xie, Huang and Khorrami, Khazar and Räsänen, Okko and Virtanen, Tuomas}, eprint={2408.14939}, "
        "archivePrefix={arXiv}, year={2024}}"
    )

    def __init__(self, ratings: str, fallback: Relevance | None = None) -> None:
        fallback = SameAudio() if fallback is None else fallback
        super().__init__([fallback])
        if fallback.ignores:
            raise RelevanceError("HumanRatings: its fallback leaves pairs out; put FalseNegatives around it instead")
        self.symmetric = False
        self.path = Path(ratings).expanduser()
        self._names: Sequence[str] = ()
        self._audio_of: Tensor | None = None  # (C,)
        self._keys = torch.empty(0, dtype=torch.int64)  # (R,) caption id * recordings + audio id, sorted
        self._values = torch.empty(0)  # (R,)

    def name_recordings(self, names: Sequence[str]) -> None:
        """Like `Relevance.name_recordings`."""
        super().name_recordings(names)
        self._names = names

    def prepare(self, captions: Sequence[str], audio_ids: npt.NDArray[np.int64]) -> None:
        """Like `Relevance.prepare`.

        Raises:
            RelevanceError: the file cannot be used, or rates no pair of this data set.
        """
        super().prepare(captions, audio_ids)
        captions_of, recordings_of = defaultdict(list), defaultdict(list)
        for caption_id, text in enumerate(captions):
            captions_of[text].append(caption_id)
        for audio_id, name in enumerate(self._names):
            recordings_of[name].append(audio_id)
        self._recordings = int(audio_ids.max()) + 1
        found = {
            caption_id * self._recordings + audio_id: rating
            for (text, name), rating in _read(self.path).items()
            for caption_id in captions_of.get(text, ())
            for audio_id in recordings_of.get(name, ())
            if audio_id < self._recordings and audio_ids[caption_id] != audio_id
        }
        if not found:
            raise RelevanceError(
                f"{self.path}: rates no caption of this data set with another recording; check that captions are "
                "written, and recordings named, as in the data set"
            )
        keys = sorted(found)
        self._keys = torch.tensor(keys)
        self._values = torch.tensor([found[key] for key in keys], dtype=torch.float32)
        self._audio_of = torch.as_tensor(audio_ids, dtype=torch.int64)

    def forward(self, query_ids: Tensor, item_ids: Tensor, direction: Direction = TEXT_TO_AUDIO) -> Tensor:
        """Like `Relevance.forward`."""
        if self._audio_of is None:
            raise RelevanceError("HumanRatings was called before prepare(): it has no ratings")
        if self._audio_of.device != query_ids.device:
            self._audio_of, self._keys, self._values = (
                tensor.to(query_ids.device) for tensor in (self._audio_of, self._keys, self._values)
            )
        if direction == TEXT_TO_AUDIO:
            keys = query_ids[:, None] * self._recordings + self._audio_of[item_ids][None, :]  # (Q, N)
        else:
            keys = item_ids[None, :] * self._recordings + self._audio_of[query_ids][:, None]
        place = torch.searchsorted(self._keys, keys).clamp_max(len(self._keys) - 1)
        others: Tensor = self.parts[0](query_ids, item_ids, direction)
        return torch.where(self._keys[place] == keys, self._values[place], others)


def _read(path: Path) -> dict[tuple[str, str], float]:
    """Ratings from 0 to 1 by caption and recording."""
    rated: dict[tuple[str, str], float] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            if missing := [name for name in COLUMNS if name not in (rows.fieldnames or ())]:
                raise RelevanceError(f"{path}: has no column '{missing[0]}'; give the columns {', '.join(COLUMNS)}")
            for row in rows:
                rating = _rating(row["rating"], f"{path}, line {rows.line_num}")
                if rated.setdefault((row["caption"], row["recording"]), rating) != rating:
                    raise RelevanceError(f"{path}, line {rows.line_num}: another rating of one pair; keep one")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RelevanceError(f"{path}: cannot be read ({cause_of(error)}); give a csv file of ratings") from error
    return rated


def _rating(text: str | None, where: str) -> float:
    try:
        rating = float(text or "")
    except ValueError:
        rating = float("nan")
    if not 0 <= rating <= 100:
        raise RelevanceError(f"{where}: rating '{text}' is no number from 0 to 100; fix or delete the row")
    return rating / 100
