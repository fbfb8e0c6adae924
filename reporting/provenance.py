"""Where a run's figures come from: code, versions, data, seed, device."""

import json
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from reporting.errors import RunError
from reporting.files import replacing

PACKAGES = ("torch", "lightning", "transformers", "sentence-transformers", "torchmetrics", "numpy", "soundfile", "soxr")


def git_state(folder: Path) -> dict[str, Any]:
    """Commit of the code and whether it had changes; None where git does not know."""

    def git(*arguments: str) -> str | None:
        command = ["git", "-C", str(folder), *arguments]
        try:
            return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
        except (OSError, subprocess.SubprocessError):
            return None

    status = git("status", "--porcelain")
    return {"commit": git("rev-parse", "HEAD"), "dirty": None if status is None else bool(status)}


def package_versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide a result."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions


def update_provenance(path: Path, stage: str, facts: dict[str, Any]) -> None:
    """Write what is known of a stage ("fit", "test", ...) into provenance.json, beside what other stages wrote.

    Raises:
        RunError: what is there cannot be read.
    """
    try:
        content = json.loads(path.read_text()) if path.exists() else {}
    except ValueError as error:
        raise RunError(f"{path}: not JSON ({error}); delete it") from error
    content[stage] = facts
    with replacing(path) as beside:
        beside.write_text(json.dumps(content, indent=2) + "\n")
