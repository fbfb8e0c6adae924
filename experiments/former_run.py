"""An earlier run in a run folder: set aside when a new one begins, deleted once that has trained its first step.

Nothing that this program did not write is touched. A new run that fails before its first step, or is killed, leaves the
earlier one as it was, and nothing of its own:

    set_aside   checkpoints/, config_fit.yaml, ... -> .former/, then the file .former/.complete
    restore     what the new run wrote is deleted, then .complete, then all moves back    (after a failure or a kill)
    discard     .former -> .discarded, which is deleted                                   (after the first step)

Each function may be interrupted at any moment: `restore` at the next start finishes the work.
"""

import contextlib
import shutil
from pathlib import Path

WRITTEN = (
    "checkpoints/best.ckpt",
    "checkpoints/last.ckpt",
    "config_*.yaml",
    "metrics*.csv",
    "queries_*.parquet",
    "pool_*.safetensors",
    "human_judgements_*.json",
    "provenance.json",
    "figure.png",
    "wandb_run_id",
)
"""What a run writes into its folder."""
EMBEDDED = ("embeddings.parquet", "search/*.arrow", "search/*.faiss", "search/*.parquet")
"""What `predict` and `search` keep there: it may be of other weights, so it goes only with a run that is replaced."""
FORMER, DISCARDED, COMPLETE = ".former", ".discarded", ".complete"


def set_aside(folder: Path, *, embeddings: bool) -> None:
    """Move an earlier run, or what is left of one, out of the way of a new one.

    Args:
        folder: the run folder.
        embeddings: whether those of `predict` and `search` go with it.
    """
    former = folder / FORMER
    former.mkdir(parents=True, exist_ok=True)
    for path in _written(folder, (*WRITTEN, *EMBEDDED) if embeddings else WRITTEN):
        _move(path, former / path.relative_to(folder))
    (former / COMPLETE).touch()


def restore(folder: Path) -> None:
    """Bring an earlier run back that was set aside, and delete what the new one wrote."""
    shutil.rmtree(folder / DISCARDED, ignore_errors=True)
    former = folder / FORMER
    if not former.is_dir():
        return
    if (former / COMPLETE).exists():  # else what is in the folder is still of the earlier run
        for path in _written(folder, WRITTEN):
            path.unlink()
        (former / COMPLETE).unlink()
    for path in sorted(former.rglob("*")):
        if path.is_file() or path.is_symlink():
            _move(path, folder / path.relative_to(former))
    shutil.rmtree(former)
    for empty in (folder / "checkpoints", folder, folder.parent):
        with contextlib.suppress(OSError):  # it is not empty
            empty.rmdir()


def discard(folder: Path) -> None:
    """Delete an earlier run that was set aside."""
    former = folder / FORMER
    if former.is_dir():
        former.rename(folder / DISCARDED)
        shutil.rmtree(folder / DISCARDED)


def _written(folder: Path, patterns: tuple[str, ...]) -> list[Path]:
    return sorted(path for pattern in patterns for path in folder.glob(pattern) if path.is_file() or path.is_symlink())


def _move(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    path.rename(target)
