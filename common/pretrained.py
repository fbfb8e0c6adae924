"""Where pretrained models and files of weights come from: local paths, Python packages, the Hugging Face hub, URLs."""

import hashlib
import importlib.util
import logging
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import urldefrag, urlsplit

from common.cache_dir import default_cache_dir
from common.errors import DataError, ModelError
from common.file_kinds import checkpoint_fault, page_fault
from common.pinned import download_pinned
from common.text import cause_of

log = logging.getLogger(__name__)

HUB = "hub:"
GITHUB = "github:"
GITHUB_SERVER = "https://github.com"
PASST = "github:kkoutini/PaSST/v0.0.2-audioset/passt-s-f128-p16-s16-ap.468.pt"
"""The weights of Xie et al. 2024's audio encoder; their owners publish no checksum."""
PACKAGE = "package:"
PROBE_SECONDS = 10.0


def find_weights(name: str) -> Path:
    """The local file that a config's `checkpoint` means; what is fetched is kept and not fetched again.

    - `hub:OWNER/NAME/FILE` is a file of a hub repository, taken from the local hub cache if it is there.
    - `github:OWNER/NAME/TAG/FILE` is a file of a release at GitHub.
    - `https://...` is any other address; `#sha256=HEX` behind it (8 or more digits) is the checksum it has to have.
    - Anything else is a local path.

    Files of the second and third kind are kept in the cache folder, each with the checksum of its first copy beside it,
    as `common.pinned.download_pinned` does.

    Raises:
        ModelError: it cannot be fetched, or has another checksum, or the name is wrong. A local path is not checked.
    """
    if name.startswith(HUB):
        return _from_hub(name)
    if name.startswith(GITHUB):
        url, checksum = GITHUB_SERVER + github_path(name), None
    elif urlsplit(name).scheme in ("http", "https"):
        url, checksum = _url_and_checksum(name)
    else:
        return Path(name).expanduser()
    path = cached_path(name)
    if not path.is_file():
        log.warning("%s is fetched into %s", name, path)  # seen without a terminal too, where no bar is
    try:
        fault = checkpoint_fault if path.suffix in (".pt", ".pth", ".ckpt") else page_fault
        download_pinned(url, path, checksum, fault, f"put the file there as {path}")
    except DataError as error:
        raise ModelError(f"{name}: {error}") from error
    return path


def github_path(name: str) -> str:
    """Where a server has the file `github:OWNER/NAME/TAG/FILE`.

    >>> github_path("github:owner/name/v1/weights.pt")
    '/owner/name/releases/download/v1/weights.pt'

    Raises:
        ModelError: it is no such name.
    """
    parts = name.removeprefix(GITHUB).split("/")
    if len(parts) != 4 or not all(part.strip(".") for part in parts):
        raise ModelError(f"{name}: give github:OWNER/NAME/TAG/FILE, a file of a release")
    owner, repository, tag, file = parts
    return f"/{owner}/{repository}/releases/download/{tag}/{file}"


def cached_path(name: str) -> Path:
    """Where a file that `find_weights` fetches is kept; its name alone could be that of another address's too."""
    address = urldefrag(name).url
    file = PurePosixPath(urlsplit(address).path).name
    return default_cache_dir() / "weights" / hashlib.sha256(address.encode()).hexdigest()[:12] / file


def _url_and_checksum(name: str) -> tuple[str, str | None]:
    url, fragment = urldefrag(name)
    checksum = fragment.removeprefix("sha256=").lower()
    if not fragment and url.startswith("https:"):
        return url, None
    if not fragment.startswith("sha256=") or len(checksum) < 8 or set(checksum) - set("0123456789abcdef"):
        raise ModelError(f"{name}: a checksum is written #sha256=HEX, and needed where the address is not https")
    return url, f"sha256:{checksum}"


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

    try:  # one question to the hub: the loaders themselves retry every file for a minute
        if isinstance(huggingface_hub.try_to_load_from_cache(name, "config.json", revision=revision), str):
            return ModelSource(name, True)
        huggingface_hub.HfApi().model_info(name, revision=revision, timeout=PROBE_SECONDS)
    except Exception as error:
        raise ModelError(explain_unavailable(name, error)) from error
    return ModelSource(name, False)


def local_folder(name: str) -> Path | None:
    """The local folder that a model's name means, None for a hub name; raises `ModelError` where it means none."""
    if not name.strip():
        raise ModelError("a model's name is empty; give a folder, or a hub name (owner/model)")
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
    if Path(name).is_dir():
        return f"model '{name}': the folder holds no model that can be loaded ({cause_of(error)}); give another one"
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


def _inside_package(name: str) -> Path:
    package, _, inner = name.removeprefix(PACKAGE).partition("/")
    spec = importlib.util.find_spec(package) if package.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise ModelError(
            f"model '{name}': Python package '{package}' is not installed; "
            f"pip install {package.replace('_', '-')}, or name a hub model or a local folder"
        )
    folder = Path(spec.submodule_search_locations[0]) / inner
    if not folder.is_dir():
        raise ModelError(f"model '{name}': package '{package}' holds no folder '{inner}'")
    return folder
