"""Tables of what teachers embed: made once, kept on disk, handed to the relevance that learns from them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from common.cache_dir import default_cache_dir
from common.disk_cache import cached_table
from common.errors import ModelError
from datamodules.base import AudioCaptionDataModule
from experiments.provenance import weights_sha256
from lightning_modules.dual_encoder import embedding_parts
from lightning_modules.training.embedding_cache import fingerprint
from relevance.targets.estimated_correspondence import (
    EstimatedCorrespondence,
    TaughtData,
    TeacherTable,
    data_sha256,
)
from retrieval.finished_model import FinishedModel
from retrieval.open_model import load_run
from retrieval.teacher_checks import check_teacher

BATCH = 32
"""Inputs a forward pass."""
CHUNK = 512
"""Inputs between two savings: at most so many are embedded again after a kill."""


class MakeTeacherTables(L.Callback):
    """Makes the tables of every `EstimatedCorrespondence` in the model's relevance before that is prepared.

    Stands before all callbacks that write: a teacher that is refused leaves everything as it was. On several devices
    one process makes a table, and the others wait for it. The test split is never embedded.
    """

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Make them, of the splits that are set up.

        Raises:
            UserError: as `make_table`.
        """
        if stage not in ("fit", "validate"):
            return
        relevance: nn.Module = pl_module.relevance  # type: ignore[assignment]
        parts = [part for part in relevance.modules() if isinstance(part, EstimatedCorrespondence)]
        if not parts:
            return
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        if not isinstance(data, AudioCaptionDataModule):
            raise ModelError("teachers embed recordings of an AudioCaptionDataModule; derive the data module from it")
        taught = taught_data(data)
        for part in parts:
            if not part.holds(taught.caption_ids):
                device = trainer.strategy.root_device
                part.take([make_table(name, data, device) for name in part.teachers], taught)


def taught_data(data: AudioCaptionDataModule) -> TaughtData:
    """Ids of the recordings and captions of the splits of a data module that are set up."""
    tables = list(data.tables.values())
    audio_ids = np.concatenate([table.audio["audio_id"].to_numpy() for table in tables])
    caption_ids = np.concatenate([table.captions["caption_id"].to_numpy() for table in tables])
    return TaughtData(audio_ids, caption_ids, data_sha256(*data.read_captions()))


def make_table(
    name: str, data: AudioCaptionDataModule, device: torch.device, cache_dir: Path | None = None
) -> TeacherTable:
    """What a teacher embeds of the splits of a data module that are set up; made once, and resumed after a kill.

    Recordings are cropped from their beginning to what the teacher was trained on, at its own sample rate. The table is
    kept under a key of the teacher's weights and settings, and of all captions and recordings.

    Args:
        name: as `retrieval.load_run` takes it.
        data: a data module whose `tables` are set up.
        device: where the teacher runs.
        cache_dir: default: `common.cache_dir.default_cache_dir()`.

    Raises:
        ModelError: it cannot be opened, has no cosines, or was trained on test recordings (`check_teacher`).
        RunError: the run is not finished.
        DataError: a recording cannot be read.
        CacheError: the table cannot be written, or the teacher gives NaN.
    """
    path = Path(name).expanduser()
    if name.count("/") > 1 and ":" not in name and not path.is_dir():  # no name of a hub or a package
        raise ModelError(f"teacher '{name}': no such folder; give a finished run such as runs/demo_infonce/0")
    teacher = load_run(name, device)
    if not teacher.model.matcher.unit_length:
        raise ModelError(
            f"teacher '{name}': its matcher {type(teacher.model.matcher).__name__} gives no cosines of unit vectors; "
            "take one with the matcher Cosine"
        )
    check_teacher(name, teacher.model, data)
    half = device.type == "cuda"
    key = teacher_key(teacher, "bf16-mixed" if half else "32-true")
    folder = (cache_dir or default_cache_dir()) / "teachers"

    def table(
        inputs: list[str], encode: Callable[[list[str]], npt.NDArray[np.float32]], what: str
    ) -> npt.NDArray[np.floating]:
        def embed(part: list[str]) -> npt.NDArray[np.float32]:
            with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=half):
                return encode(part)

        task, rows = f"{what} by teacher {name}", f"embeddings of {what} by '{name}'"
        return cached_table(
            inputs, embed, f"{what} {key}", folder=folder, task=task, what=rows, dtype="float16", chunk=CHUNK
        )

    tables = list(data.tables.values())
    captions = [text for each in tables for text in each.captions["caption"].to_pylist()]
    text = table(captions, lambda part: _joined(map(teacher.model.embed_text, _cut(part, BATCH))), "captions")
    keys, hear = _recordings(teacher, data)
    weights = nn.ModuleDict(embedding_parts(teacher.model)).state_dict()
    return TeacherTable(name, weights_sha256(weights), table(keys, hear, "recordings"), text)


def teacher_key(teacher: FinishedModel, precision: str) -> str:
    """What tells a teacher from all others: weights, settings and code of its parts, the crops, and the precision."""
    parts = embedding_parts(teacher.model)
    return f"{fingerprint(nn.ModuleDict(parts), precision)} {teacher.max_seconds}"


def _recordings(
    teacher: FinishedModel, data: AudioCaptionDataModule
) -> tuple[list[str], Callable[[list[str]], npt.NDArray[np.float32]]]:
    """Keys of all recordings, and what embeds those of some keys."""
    encoder = teacher.model.audio_encoder
    if encoder.reads_audio and any(table.experts for table in data.tables.values()):
        raise ModelError(
            "the teachers read audio, but data.experts names features that stand in for it; leave that out, or take "
            "teachers that were trained on these features"
        )
    recordings = data.beginnings(teacher.sample_rate, teacher.max_seconds)
    row_of = {key: row for row, key in enumerate(recordings.keys)}
    size = 1 if encoder.depends_on_batch else BATCH

    def hear(keys: list[str]) -> npt.NDArray[np.float32]:
        rows = [row_of[key] for key in keys]
        inputs = (teacher.model.audio_inputs(batch) for batch in recordings.batches(rows, size))
        return _joined(teacher.model.embed_audio(*(each.to(teacher.device) for each in batch)) for batch in inputs)

    return recordings.keys, hear


def _cut(items: list[str], size: int) -> list[list[str]]:
    return [items[begin : begin + size] for begin in range(0, len(items), size)]


def _joined(vectors: Any) -> npt.NDArray[np.float32]:
    rows: Tensor = torch.cat([each.float().cpu() for each in vectors])
    array: npt.NDArray[np.float32] = rows.numpy()
    return array
