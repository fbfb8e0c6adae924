"""Where a file of weights comes from: a local path, the Hugging Face hub or its cache, or a URL with its checksum."""

import os
from pathlib import Path
from urllib.parse import urldefrag, urlparse

import torch

from lightning_modules.errors import ModelError

HUB = "hub:"


def find_weights(name: str) -> Path:
    """The local file that a config's `checkpoint` means; what is fetched is kept and not fetched again.

    `hub:OWNER/NAME/FILE` is a file of a hub repository, from the local hub cache where it is there. A URL needs its
    SHA-256 behind it, `https://...#sha256=HEX` (8 or more digits), and is kept in torch's hub folder ($TORCH_HOME). All
    else is a local path.

    Raises:
        ModelError: it cannot be fetched, or has another checksum, or the URL has none. A missing local file is not
            looked at here.
    """
    if name.startswith(HUB):
        return _from_hub(name)
    if urlparse(name).scheme in ("http", "https", "file"):
        return _from_url(name)
    return Path(name).expanduser()


def _from_hub(name: str) -> Path:
    from huggingface_hub import hf_hub_download

    owner, _, rest = name.removeprefix(HUB).partition("/")
    repository, _, file = rest.partition("/")
    if not (owner and repository and file):
        raise ModelError(f"{name}: give hub:OWNER/NAME/FILE")
    try:
        return Path(hf_hub_download(f"{owner}/{repository}", file))
    except Exception as error:  # the hub's client raises many kinds
        cause = " ".join(str(error).split())[:160] or type(error).__name__
        raise ModelError(
            f"{name}: is not in the local hub cache, and the hub could not be reached or does not have it ({cause}); "
            "download it on a machine with a network, or give a local file"
        ) from error


def _from_url(name: str) -> Path:
    url, fragment = urldefrag(name)
    checksum = fragment.removeprefix("sha256=").lower()
    if not fragment.startswith("sha256=") or len(checksum) < 8 or set(checksum) - set("0123456789abcdef"):
        raise ModelError(f"{name}: a URL needs its checksum; write #sha256=HEX behind it")
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    path = folder / f"{checksum[:16]}-{os.path.basename(urlparse(url).path)}"
    if not path.is_file():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(path), hash_prefix=checksum)
        except (OSError, RuntimeError) as error:
            cause = " ".join(str(error).split())[:160]
            raise ModelError(
                f"{name}: cannot be fetched ({cause}); check URL and checksum, or give a local file"
            ) from error
    return path
