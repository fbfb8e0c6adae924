"""Graded relevance estimated by trained models: how well their embeddings of a caption and of a recording match."""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from common.directions import TEXT_TO_AUDIO, Direction
from common.errors import RelevanceError
from common.text import given_twice
from relevance.base import Relevance
from relevance.mapped_table import mapped_table

Ids = npt.NDArray[np.int64]


class TeacherTable(NamedTuple):
    """What one teacher embeds of a data set.

    Attributes:
        teacher: its name, for messages.
        sha256: of its weights.
        audio: (A, D) unit vectors of recordings, float16.
        text: (C, D) unit vectors of captions, float16.
    """

    teacher: str
    sha256: str
    audio: npt.NDArray[np.floating]
    text: npt.NDArray[np.floating]


class TaughtData(NamedTuple):
    """Which recordings and captions the rows of teachers' tables are, the same for all teachers.

    Attributes:
        audio_ids: (A,) int64, of the recordings.
        caption_ids: (C,) int64, of the captions.
        sha256: of all the data set's captions and of which recording each describes, see `data_sha256`.
    """

    audio_ids: Ids
    caption_ids: Ids
    sha256: str


def data_sha256(captions: Sequence[str], audio_ids: Ids) -> str:
    """Checksum of a data set's captions, index = caption id, and of the recording (C,) that each describes."""
    digest = hashlib.sha256(np.ascontiguousarray(audio_ids, np.int64).tobytes())
    for caption in captions:
        encoded = caption.encode()
        digest.update(len(encoded).to_bytes(8, "little") + encoded)
    return digest.hexdigest()


def mean_cosine(queries: Sequence[Tensor], items: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """Weighted mean (Q, N) float32 over teachers of cosine similarities, of unit vectors (Q, D) and (N, D) by each.

    Teachers may differ in D. The weights sum to 1.
    """
    with torch.autocast(queries[0].device.type, enabled=False):
        cosines = [w * (q.float() @ i.float().T) for q, i, w in zip(queries, items, weights, strict=True)]
        return torch.stack(cosines).sum(dim=0).clamp(-1.0, 1.0)


class EstimatedCorrespondence(Relevance):
    """g = (1 + c) / 2, where c is the mean of the teachers' cosines of a caption and a recording.

    No teacher runs in a training step: its embeddings of a batch's captions and recordings are looked up by id in
    memory-mapped tables (on the CPU; on a GPU the tables are copied there at the first use). `python train.py fit`
    makes the tables at its start, once for a teacher and a data set. How caption i fits recording j is not how caption
    j fits recording i, so g depends on the direction.

    The objective's omega is half of the temperature that the papers give: softmax(g / omega) = softmax(c / (2 omega)),
    so `omega: 0.025` is their 0.05. Far below, the target is one-hot at what the teachers like best, right or wrong;
    near 1 it is almost uniform.

    Args:
        teachers: finished models by name, as `retrieval.load_run` takes them: folders of runs, exported folders,
            pretrained pairs. An earlier run of the same config makes it self-distillation.
        weights: of the teachers, divided by their sum; default: equal.

    Relations: take `CaptionSimilarity` where no trained model is at hand, `SameAudio` to train the teachers, and
    `MixedTargets` of `SameAudio` and this where the annotated pair should have a fixed share of the target.

    Raises:
        RelevanceError: no teachers, one twice, not as many weights as teachers, or a weight is negative, or all are 0.

    Source: Primus et al. 2024, section 3; the mean is of cosines, before temperature and softmax.
    """

    citation = 'Primus et al. 2024, "Estimated audio-caption correspondences improve language-based audio retrieval"'
    bibtex = (
        "@inproceedings{primus2024estimated, "
        "title={Estimated audio-caption correspondences improve language-based audio retrieval}, "
        "author={Primus, Paul and Schmid, Florian and Widmer, Gerhard}, "
        "booktitle={Detection and Classification of Acoustic Scenes and Events}, year={2024}}"
    )

    def __init__(self, teachers: list[str], weights: list[float] | None = None) -> None:
        super().__init__()
        weights = [1.0] * len(teachers) if weights is None else weights
        if not teachers or len(weights) != len(teachers):
            raise RelevanceError(
                f"EstimatedCorrespondence: {len(teachers)} teachers and {len(weights)} weights; give at least one "
                "teacher, such as runs/demo_infonce/0, and one weight for each or none"
            )
        if (twice := given_twice(teachers)) is not None:
            raise RelevanceError(
                f"EstimatedCorrespondence: teacher '{twice}' is given twice; name each once, and weigh it by weights"
            )
        if not all(0 <= weight < np.inf for weight in weights) or sum(weights) <= 0:
            raise RelevanceError(f"EstimatedCorrespondence: weights are {weights}; give none below 0 and one above")
        self.teachers = teachers
        self.weights = [weight / sum(weights) for weight in weights]
        self._data: TaughtData | None = None
        self._sha256: list[str] = []  # by teacher
        self._captions: Sequence[str] = ()
        # Not buffers: DDP would broadcast them at every step.
        self._audio: list[Tensor] = []  # (A, D) by teacher
        self._text: list[Tensor] = []  # (C, D) by teacher
        self._text_row = self._audio_row = torch.empty(0, dtype=torch.int64)  # (all captions,), -1: none

    def take(self, tables: Sequence[TeacherTable], data: TaughtData) -> None:
        """Take the tables of all teachers, in their order, before `prepare`.

        Raises:
            RelevanceError: they are of other teachers, or their rows are not those of the data.
        """
        if [table.teacher for table in tables] != self.teachers:
            raise RelevanceError(
                f"tables of {[table.teacher for table in tables]} were given for the teachers {self.teachers}; give "
                "one for each, in their order"
            )
        for table in tables:
            rows, wanted = (len(table.audio), len(table.text)), (len(data.audio_ids), len(data.caption_ids))
            if rows != wanted:
                raise RelevanceError(
                    f"teacher '{table.teacher}': its table has {rows[0]} recordings and {rows[1]} captions, but the "
                    f"data {wanted[0]} and {wanted[1]}; make it of these data"
                )
        self._data = data
        self._sha256 = [table.sha256 for table in tables]
        self._audio = [_mapped(table.audio) for table in tables]
        self._text = [_mapped(table.text) for table in tables]

    def sources(self) -> dict[str, str]:
        """Checksum of each teacher's weights; nothing before the tables were taken."""
        return dict(zip(self.teachers, self._sha256, strict=False))

    def holds(self, caption_ids: Ids) -> bool:
        """Whether tables were taken that have these captions."""
        return self._data is not None and bool(np.isin(caption_ids, self._data.caption_ids).all())

    def prepare(self, captions: Sequence[str], audio_ids: Ids) -> None:
        """Like `Relevance.prepare`.

        Raises:
            RelevanceError: no tables were taken, or they are of other data.
        """
        if self._data is None:
            raise RelevanceError(
                "EstimatedCorrespondence has no tables of its teachers: train with `python train.py fit`, which makes "
                "them, or give the Trainer the callback retrieval.teachers.MakeTeacherTables()"
            )
        if self._data.sha256 != data_sha256(captions, audio_ids):
            raise RelevanceError(
                f"the tables of the teachers {', '.join(self.teachers)} are of other captions or recordings than the "
                "data; make them of these data (`python train.py fit` does)"
            )
        self._captions = captions
        self._text_row = torch.from_numpy(_rows_by_id(self._data.caption_ids, len(captions)))
        self._audio_row = torch.from_numpy(_rows_by_id(self._data.audio_ids, int(audio_ids.max()) + 1)[audio_ids])

    def forward(self, query_ids: Tensor, item_ids: Tensor, direction: Direction = TEXT_TO_AUDIO) -> Tensor:
        """Like `Relevance.forward`.

        Raises:
            RelevanceError: a caption or its recording is in no table.
        """
        if len(self._text_row) == 0:
            raise RelevanceError("EstimatedCorrespondence was called before prepare(): it has no rows to look up")
        if self._text_row.device != query_ids.device:
            self._move(query_ids.device)
        text, audio = (self._text, self._text_row), (self._audio, self._audio_row)
        (left, left_row), (right, right_row) = (text, audio) if direction == TEXT_TO_AUDIO else (audio, text)
        rows, columns = left_row[query_ids], right_row[item_ids]  # (Q,), (N,)
        if bool((rows < 0).any() | (columns < 0).any()):
            self._refuse(torch.cat([query_ids[rows < 0], item_ids[columns < 0]]))
        cosine = mean_cosine([table[rows] for table in left], [table[columns] for table in right], self.weights)
        return (1 + cosine) / 2  # (Q, N)

    def _move(self, device: torch.device) -> None:
        self._audio, self._text = ([table.to(device) for table in tables] for tables in (self._audio, self._text))
        self._text_row, self._audio_row = self._text_row.to(device), self._audio_row.to(device)

    def _refuse(self, missing: Tensor) -> None:
        first = int(missing[0])
        raise RelevanceError(
            f"caption {first} ('{self._captions[first]}') or its recording is not in the tables of the teachers "
            f"{', '.join(self.teachers)}, which hold the training and validation splits; train and validate on these"
        )


def _mapped(table: npt.NDArray[np.floating]) -> Tensor:
    """A table as a tensor that stays in its file."""
    name = getattr(table, "filename", None)
    return mapped_table(name) if name and not table.flags.writeable else torch.from_numpy(table)


def _rows_by_id(ids: Ids, count: int) -> Ids:
    """Row of each of `count` ids, -1 of those that have none."""
    rows = np.full(count, -1, dtype=np.int64)
    rows[ids] = np.arange(len(ids))
    return rows
