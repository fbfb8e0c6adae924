"""Where a run's results come from: code, versions, data, seed, device, weights."""

import hashlib
import json
import platform
import subprocess
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from common.atomic_files import replacing
from common.errors import RunError
from experiments.callbacks.atomic_checkpoint_io import unwritable

PACKAGES = (
    "audio-relevance",
    "torch",
    "lightning",
    "transformers",
    "sentence-transformers",
    "torchmetrics",
    "numpy",
    "soundfile",
    "soxr",
)


def git_state(folder: Path) -> dict[str, Any]:
    """Commit of the code and whether it had changes; None where git does not know, as of an installed package."""

    def git(*arguments: str) -> str | None:
        command = ["git", "-C", str(folder), *arguments]
        try:
            return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
        except (OSError, subprocess.SubprocessError):
            return None

    if git("rev-parse", "--show-prefix") and not git("ls-files"):  # installed somewhere in another project's folder
        return {"commit": None, "dirty": None}
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


def weights_sha256(state: Mapping[str, Tensor]) -> str:
    """Checksum of a model's weights: names, types, shapes and values of its tensors, in order of the names.

    >>> weights_sha256({"bias": torch.zeros(2)})[:12]
    '4f4cf1d73be5'
    """
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name}\t{tensor.dtype}\t{tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def training_facts(earlier: Sequence[Mapping[str, Any]], part: Mapping[str, Any]) -> dict[str, Any]:
    """What is known of a training in one or more parts: the last part's facts, all parts, the seconds of all together.

    Args:
        earlier: the parts that earlier processes left.
        part: this process's, with its `wall_seconds`.

    >>> training_facts([{"wall_seconds": 2.0}], {"device": "cuda", "wall_seconds": 0.5})["wall_seconds"]
    2.5
    """
    parts = [dict(each) for each in (*earlier, part)]
    return {**part, "wall_seconds": round(sum(each["wall_seconds"] for each in parts), 1), "parts": parts}


def read_provenance(path: Path) -> dict[str, Any]:
    """What provenance.json holds, by stage; nothing where there is no such file.

    Raises:
        RunError: it cannot be read.
    """
    try:
        content: Any = json.loads(path.read_text()) if path.exists() else {}
    except (ValueError, RecursionError) as error:
        raise RunError(f"{path}: not JSON ({error}); delete it") from error
    if not isinstance(content, dict) or not all(isinstance(facts, dict) for facts in content.values()):
        raise RunError(f"{path}: not a table of what is known of each stage; delete it")
    return content


def check_same_training(
    folder: Path, data: Mapping[str, Mapping[str, Any]], devices: int, sources: Mapping[str, str] | None = None
) -> None:
    """Whether a training that is resumed has the recordings, devices and teachers that it began with.

    Otherwise the order of the pairs, the global batch or the targets would change.

    Args:
        folder: the run folder; its provenance.json says what the training began with.
        data: manifest of each split.
        devices: of all nodes together.
        sources: checksums of what the targets were made from, by name: `Relevance.sources`.

    Raises:
        RunError: something differs.
    """
    earlier = read_provenance(folder / "provenance.json").get("fit", {})
    remedy = "or start again with --run.overwrite true or another --run.experiment"
    if earlier.get("devices", devices) != devices:
        raise RunError(
            f"{folder}: cannot be resumed with another number of devices ({earlier['devices']} before, {devices} now), "
            f"since the global batch would change; give as many as before, {remedy}"
        )
    for name, now in (sources or {}).items():
        before = earlier.get("sources", {}).get(name, now)  # runs of earlier versions have none
        if before != now:
            raise RunError(
                f"{folder}: cannot be resumed with other weights of '{name}' ({before[:12]} before, {now[:12]} now), "
                f"since its targets would change; restore those it began with, {remedy}"
            )
    for split, manifest in data.items():
        began = earlier.get("data", {}).get(split, manifest)
        before, now = _described(began), _described(manifest)
        texts = manifest.get("captions_sha256")
        if before == now and began.get("captions_sha256", texts) != texts:  # older manifests have none
            before, now = (f"{before}, captions {each['captions_sha256'][:12]}" for each in (began, manifest))
        if before != now:
            raise RunError(
                f"{folder}: cannot be resumed with other recordings ({split}: {before} before, {now} now); restore "
                f"those it began with, {remedy}"
            )


def _described(manifest: Mapping[str, Any]) -> str:
    experts = [
        f", {name} {store['sha256']['frames.npy'][:12]}"
        for name, stores in manifest.get("experts", {}).items()
        for store in stores
    ]
    return (
        f"{manifest['clips']} with {manifest['captions']} captions, sha256 {manifest['sha256'][:12]}{''.join(experts)}"
    )


def update_provenance(path: Path, stage: str, facts: Mapping[str, Any]) -> None:
    """Write what is known of a stage ("fit", "test", ...) into provenance.json, beside what other stages wrote.

    Raises:
        RunError: what is there cannot be read, or the disk is full.
    """
    content = {**read_provenance(path), stage: dict(facts)}
    try:
        with replacing(path) as beside:
            beside.write_text(json.dumps(content, indent=2) + "\n")
    except OSError as error:
        raise unwritable(path, error) from error
