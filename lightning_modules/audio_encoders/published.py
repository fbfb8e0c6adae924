"""Published weights of an expert into its network, or one line saying why not."""

from collections.abc import Callable, Mapping
from pathlib import Path

from torch import Tensor, nn

from common.errors import ModelError
from common.pretrained import find_weights
from lightning_modules.weights import read_weights

Rename = Callable[[str], str | None]
"""From a name in the file to the network's; None leaves the tensor out."""


def load_published(network: nn.Module, checkpoint: str, rename: Rename, what: str, official: str) -> None:
    """Copy weights, anything `find_weights` finds, into a network that they fit exactly.

    Args:
        network: gets the weights.
        checkpoint: as in a config.
        rename: see `Rename`.
        what: the network, for messages.
        official: the file to use, for messages.

    Raises:
        ModelError: no such file, one that cannot be read safely, or weights of another network.
    """
    path = find_weights(checkpoint)
    if not Path(path).is_file():
        raise ModelError(f"{path}: no such checkpoint; get {official}, or leave `checkpoint` out for random weights")
    state = {new: value for name, value in read_weights(path).items() if (new := rename(name)) is not None}
    if fault := _fault(state, network.state_dict()):
        raise ModelError(f"{path}: holds no weights of {what} ({fault}); use {official}")
    network.load_state_dict(state)


def _fault(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> str:
    if missing := sorted(own.keys() - state.keys()):
        return f"{len(missing)} of {len(own)} tensors are missing, e.g. {missing[0]}"
    if unknown := sorted(state.keys() - own.keys()):
        return f"{len(unknown)} tensors are unknown, e.g. {unknown[0]}"
    for name, value in own.items():
        if state[name].shape != value.shape:
            return f"{name} has shape {tuple(state[name].shape)} in place of {tuple(value.shape)}"
    return ""
