"""How checkpoints are written: to a file beside their place, then renamed, so that the earlier one stays until then."""

import os
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule
from lightning.fabric.plugins import CheckpointIO
from torch import Tensor

from common.atomic_files import replacing
from common.errors import RunError
from common.integrity import check_zip


class AtomicCheckpointIO(CheckpointIO):
    """Writes a checkpoint straight into a file beside its place, waits for the disk, and renames.

    Lightning's own way makes a second copy in memory, and a third in a temporary folder that may be on another disk,
    from where it is copied over the earlier checkpoint: a process killed meanwhile leaves neither.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write `checkpoint` to `path`, as a whole or not at all.

        Raises:
            RunError: the disk is full, or refuses it for another reason; the earlier file at `path` is still there.
        """
        path = Path(path)
        try:
            with replacing(path) as beside, beside.open("wb") as file:  # given a path, torch does not say what failed
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            _fsync_folder(path.parent)
        except (OSError, RuntimeError) as error:
            cause = error if isinstance(error, OSError) else error.__context__  # torch's zip writer fails once more
            if not isinstance(cause, OSError):
                raise
            raise unwritable(path, cause) from error

    def load_checkpoint(
        self, path: str | Path, map_location: Any = "cpu", weights_only: bool | None = None
    ) -> dict[str, Any]:
        """What `save_checkpoint` wrote; nothing but tensors and plain values, unless `weights_only` is false.

        Raises:
            RunError: the file is damaged.
        """
        check_checkpoint(Path(path))
        content: dict[str, Any] = torch.load(path, map_location=map_location, weights_only=weights_only is not False)
        return content

    def remove_checkpoint(self, path: str | Path) -> None:
        """Delete the file, if it is there."""
        Path(path).unlink(missing_ok=True)


def read_state_dict(path: Path, model: LightningModule | None = None) -> dict[str, Tensor]:
    """The model's weights in a checkpoint, on the CPU; mapped, so that the optimiser's state costs nothing.

    A `model` of the same class adds those that its checkpoints leave out, see `model.save_frozen`.
    """
    check_checkpoint(path)
    checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    if model is not None:
        model.on_load_checkpoint(checkpoint)
    state: dict[str, Tensor] = checkpoint["state_dict"]
    return state


def check_checkpoint(path: Path) -> None:
    """Whether a checkpoint is as it was written.

    Raises:
        RunError: it is damaged; the message says which other checkpoint lies beside it.
    """
    try:
        check_zip(path)
    except ValueError as error:
        others = sorted(other.name for other in path.parent.glob("*.ckpt") if other != path)
        left = (
            f"beside it lies {', '.join(others)}: begin another run with --model.init_from" if others else "train again"
        )
        raise RunError(f"{path}: is damaged ({error}); restore it from a copy, or {left}") from error


def unwritable(path: Path, cause: OSError) -> RunError:
    """The error of a file that a training run cannot write, most often because the disk is full."""
    return RunError(
        f"{path}: cannot be written ({cause.strerror}); free some space, then continue with --run.resume true"
    )


def _fsync_folder(folder: Path) -> None:
    """Wait until a renaming in `folder` has reached the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
