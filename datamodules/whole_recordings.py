"""Whole recordings, each once: what a frozen encoder has to embed only once."""

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from torch.utils.data import ConcatDataset, DataLoader, Dataset, Subset

from common.errors import DataError
from datamodules.batch import Batch, Example, collate
from datamodules.experts.store import FRAMES
from datamodules.mono import Mix
from datamodules.table import SplitTable


class WholeRecordings:
    """All recordings of some splits.

    Args:
        tables: of the splits.
        datasets: for each table, its recordings as examples.
        max_seconds: to which longer recordings are cropped.
        num_workers: processes that decode.
        mix: what the datasets take of several channels.

    Attributes:
        audio_ids: (A,) int64.
        keys: A strings that tell a recording's samples from any other's: file, its size and date, the place in it; or
            where features stand in for them, the checksum of these and the place in them.

    Raises:
        DataError: a recording is longer than `max_seconds`, so each epoch takes another crop of it.
    """

    def __init__(
        self,
        tables: Sequence[SplitTable],
        datasets: Sequence[Dataset[Example]],
        max_seconds: float | None,
        num_workers: int,
        mix: Mix = "mean",
    ) -> None:
        audio = [row for table in tables for row in table.audio.to_pylist()]
        if max_seconds is not None:
            longer = [row["name"] for row in audio if row["frames"] > max_seconds * row["sample_rate"]]
            if longer:
                raise DataError(
                    f"{len(longer)} of {len(audio)} recordings are longer than data.max_seconds {max_seconds:g} (e.g. "
                    f"'{longer[0]}'), so each time another crop of them is taken; set data.max_seconds to null to "
                    "use them whole"
                )
        self.audio_ids: npt.NDArray[np.int64] = np.array([row["audio_id"] for row in audio], dtype=np.int64)
        self.keys = [key for table in tables for key in _keys(table, mix)]
        self._dataset: Dataset[Example] = ConcatDataset(datasets)
        self._num_workers = num_workers

    def batches(self, rows: Sequence[int], batch_size: int) -> Iterator[Batch]:
        """The recordings in these rows, in their order."""
        dataset = Subset(self._dataset, rows)
        workers = self._num_workers if len(rows) > batch_size else 0
        return iter(DataLoader(dataset, batch_size, collate_fn=collate, num_workers=workers))  # type: ignore[arg-type]


def _keys(table: SplitTable, mix: Mix) -> list[str]:
    if table.experts:
        frames = list(table.experts.values())
        checksums = [[store.facts["sha256"][FRAMES] for store in each.stores] for each in frames]
        return [
            " ".join(
                f"{sha256[place[0]]} {place[1:]}"
                for sha256, place in zip(checksums, (each.places[row] for each in frames), strict=True)
            )
            for row in range(len(table.audio))
        ]
    mixed = "" if mix == "mean" else f" {mix}"
    return [
        f"{_file(row['path'])} {row['offset']} {row['begin']} {row['frames']} {row['sample_rate']}{mixed}"
        for row in table.audio.to_pylist()
    ]


@cache
def _file(path: str) -> str:
    stat = Path(path).stat()
    return f"{path} {stat.st_size} {stat.st_mtime_ns}"
