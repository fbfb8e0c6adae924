"""A Lightning logger that keeps one csv file: a row for each time something was logged, empty cells elsewhere."""

import contextlib
import csv
from pathlib import Path
from typing import Any

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from common.atomic_files import replacing
from common.errors import RunError
from experiments.callbacks.atomic_checkpoint_io import unwritable


class MetricsLogger(Logger):
    """Writes `folder/file_name`; the file is replaced as a whole, so it is readable whenever a run dies.

    Args:
        folder: the run folder.
        file_name: of the csv file.
        resume: keep the rows that are there already, up to the step at which this run continues, without those of a
            test. They are read now, so the folder's lock must be held.
        flush_every: rows between two writings; values of an evaluation are written at once.

    Raises:
        RunError: `resume`, and the file there cannot be read.
    """

    def __init__(self, folder: Path, file_name: str, *, resume: bool = False, flush_every: int = 100) -> None:
        super().__init__()
        self.folder = folder
        self.path = folder / file_name
        self.flush_every = flush_every
        self.rows: list[dict[str, Any]] = read_rows(self.path) if resume and self.path.exists() else []
        self._resumes = bool(self.rows)

    @property
    def name(self) -> str:
        """Name of the experiment."""
        return self.folder.parent.name

    @property
    def version(self) -> str:
        """Seed of the run."""
        return self.folder.name

    @property
    def log_dir(self) -> str:
        """The run folder."""
        return str(self.folder)

    @property
    def save_dir(self) -> str:
        """The run folder."""
        return str(self.folder)

    @property
    @rank_zero_experiment
    def experiment(self) -> "MetricsLogger":
        """The logger itself."""
        return self

    @rank_zero_only
    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: the resolved config is written beside."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, Any], step: int | None = None) -> None:
        """Add a row."""
        if self._resumes and step is not None:
            # A run that was killed after its last checkpoint logged steps that are repeated now, with the same rows.
            # A test is of the end of a training: another one follows, also where the training was made longer.
            self.rows = [row for row in self.rows if row.get("step", -1) < step and not _is_of_test(row)]
            self._resumes = False
        self.rows.append({"step": step, **{name: float(value) for name, value in metrics.items()}})
        if len(self.rows) % self.flush_every == 0 or any(name.startswith(("val/", "test/")) for name in metrics):
            self.save()

    @rank_zero_only
    def save(self) -> None:
        """Write the file.

        Raises:
            RunError: the disk is full, or refuses it for another reason; the earlier file is still there.
        """
        if not self.rows:
            return
        columns = list(dict.fromkeys(["epoch", "step", *sorted({name for row in self.rows for name in row})]))
        try:
            with replacing(self.path) as path, path.open("w", newline="") as file:
                writer = csv.DictWriter(file, columns)
                writer.writeheader()
                writer.writerows(self.rows)
        except OSError as error:
            raise unwritable(self.path, error) from error

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Write the file; where the run has failed already, its own error is reported, not one of this file."""
        with contextlib.suppress(*([RunError] if status == "failed" else [])):
            self.save()


def _is_of_test(row: dict[str, Any]) -> bool:
    return any(name.startswith("test/") for name in row)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Rows of a metrics file, without empty cells; numbers as float, steps as int.

    Raises:
        RunError: it holds something else, or is cut off.
    """
    try:
        text = path.read_text()
        if not text.endswith("\n"):
            raise ValueError("it ends in the middle of a line")
        rows = [{name: float(cell) for name, cell in row.items() if cell} for row in csv.DictReader(text.splitlines())]
        return [{**row, "step": int(row["step"])} if "step" in row else row for row in rows]
    except (ValueError, TypeError, csv.Error) as error:
        raise RunError(f"{path}: not a table of numbers ({error}); delete it, or repeat the run") from error
