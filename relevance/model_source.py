"""Where a pretrained model comes from: a hub name, a local folder, or a folder inside an installed Python package."""

import importlib.util
from pathlib import Path
from typing import NamedTuple

from relevance.errors import RelevanceError

PACKAGE = "package:"
PROBE_SECONDS = 10.0


class ModelSource(NamedTuple):
    """What `from_pretrained` takes: a folder or hub name, and whether to stay away from the network."""

    name_or_path: str
    local_files_only: bool


def find_model(name: str, revision: str | None = None) -> ModelSource:
    """Find the model a config names, before any slow loading begins.

    `package:NAME/FOLDER` is FOLDER inside the installed Python package NAME; an existing folder is taken as it is; all
    else is a hub name, taken from the local hub cache if it is there, else looked up at the hub once.

    Raises:
        RelevanceError: it is in none of these places, or the hub cannot be reached.
    """
    if (folder := local_folder(name)) is not None:
        return ModelSource(str(folder), True)
    import huggingface_hub

    if isinstance(huggingface_hub.try_to_load_from_cache(name, "config.json", revision=revision), str):
        return ModelSource(name, True)
    try:  # one question to the hub: the loaders themselves retry every file for a minute
        huggingface_hub.HfApi().model_info(name, revision=revision, timeout=PROBE_SECONDS)
    except Exception as error:
        raise RelevanceError(explain_unavailable(name, error)) from error
    return ModelSource(name, False)


def local_folder(name: str) -> Path | None:
    """The local folder that a model's name means, None for a hub name; raises `RelevanceError` where it is missing."""
    if name.startswith(PACKAGE):
        return _inside_package(name)
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if name.startswith((".", "/", "~")):
        raise RelevanceError(f"model '{name}': no such folder; give an existing one or a hub name (owner/model)")
    return None


def explain_unavailable(name: str, error: Exception) -> str:
    """One line for a model that could not be had, with the remedies."""
    cause = " ".join(str(error).split()) or type(error).__name__
    return (
        f"model '{name}' is neither a local folder nor in the local hub cache, and the hub could not be reached or "
        f"does not have it ({cause[:160]}); download it on a machine with a network (hf download {name}), or give a "
        "local folder or package:NAME/FOLDER instead"
    )


def _inside_package(name: str) -> Path:
    package, _, inner = name.removeprefix(PACKAGE).partition("/")
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise RelevanceError(
            f"model '{name}': Python package '{package}' is not installed; "
            f"pip install {package.replace('_', '-')}, or name a hub model or a local folder"
        )
    folder = Path(spec.submodule_search_locations[0]) / inner
    if not folder.is_dir():
        raise RelevanceError(f"model '{name}': package '{package}' holds no folder '{inner}'")
    return folder
