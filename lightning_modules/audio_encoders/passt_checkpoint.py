"""Published PaSST weights into the network, or one line saying why not."""

from pathlib import Path

from torch import Tensor, nn

from common.errors import ModelError
from common.pretrained import PASST, find_weights
from lightning_modules.weights import read_weights

_LANDMARK = "patch_embed.proj.weight"  # in every PaSST; what stands before it is the prefix of all its keys
_CLASSIFIERS = ("head.", "head_dist.")


def load_passt(network: nn.Module, path: str) -> None:
    """Copy the weights of a PaSST checkpoint, anything `find_weights` finds, into `network`; classifiers are left out.

    Keys may have a prefix, such as "net." or "model." from a training program's wrapper; entries outside the shortest
    prefix are ignored.

    Raises:
        ModelError: the file is missing, unreadable or not a PaSST, or keys or shapes do not fit the network.
    """
    path = str(find_weights(path))
    if not Path(path).is_file():
        raise ModelError(
            f"{path}: no such checkpoint; give {PASST}, which is fetched at first use, or null for random weights"
        )
    state = _strip_prefix(read_weights(path), path)
    expected = network.state_dict()
    missing = sorted(expected.keys() - state.keys())
    unknown = sorted(state.keys() - expected.keys())
    if missing or unknown:
        raise ModelError(
            f"{path}: does not fit this PaSST: {len(missing)} missing keys{_first(missing)}, {len(unknown)} unknown "
            f"keys{_first(unknown)}; set dim, depth and heads as in the checkpoint, or use {PASST}"
        )
    for key, value in expected.items():
        if state[key].shape != value.shape:
            raise ModelError(
                f"{path}: {key} has shape {tuple(state[key].shape)}, this PaSST needs {tuple(value.shape)}; "
                f"set dim, depth and heads as in the checkpoint, or use {PASST}"
            )
    network.load_state_dict(state)


def _strip_prefix(content: dict[str, Tensor], path: str) -> dict[str, Tensor]:
    """The PaSST's own tensors under their bare names, classifiers left out."""
    prefixes = [key.removesuffix(_LANDMARK) for key in content if key.endswith(_LANDMARK)]
    if not prefixes:
        raise ModelError(f"{path}: not a PaSST checkpoint, it has no key {_LANDMARK}; use {PASST}")
    prefix = min(prefixes, key=len)
    own = {key.removeprefix(prefix): value for key, value in content.items() if key.startswith(prefix)}
    return {key: value for key, value in own.items() if not key.startswith(_CLASSIFIERS)}


def _first(keys: list[str]) -> str:
    """The first few of many keys, in parentheses."""
    if not keys:
        return ""
    return f" ({', '.join(keys[:3])}{', ...' if len(keys) > 3 else ''})"
