"""Weights out of a file, without trusting it: safetensors, or torch checkpoints read with `weights_only`."""

import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from common.errors import ModelError
from common.integrity import check_zip
from common.renamed import weights_with_new_names
from lightning_modules.left_out import KEY, completed


def read_weights(path: str | Path, own: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
    """Tensors by name, on the CPU, of a .safetensors file or a torch file.

    In a torch file they may be inside `state_dict` (Lightning), or `model` or `model_state_dict` (published ones).

    Args:
        path: of the file.
        own: weights of the model, which gives those that a checkpoint leaves out.

    Raises:
        ModelError: no such file, another kind of file, or one that holds more than tensors and plain values; or as
            `completed`.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise ModelError(f"{path}: no such weights file; check the path")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        # Mapped, so that an optimiser's state beside the weights costs nothing; only the zip format can be.
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
        if (
            isinstance(content, dict) and "pytorch-lightning_version" in content and zipfile.is_zipfile(path)
        ):  # others may be without checksums
            check_zip(path)
    except Exception as error:  # what a broken pickle raises has no common base
        beside = ", ".join(sorted(other.name for other in path.parent.glob("*.ckpt") if other != path))
        copy = "restore it from a copy, " + (f"take {beside} beside it, " if beside else "") + "or "
        remedy = copy if path.suffix == ".ckpt" else ""
        raise ModelError(
            f"{path}: damaged, or not a weights file that can be read safely ({_cause(error)}); {remedy}"
            "give a .safetensors file or a checkpoint of tensors"
        ) from error
    state = content
    if isinstance(content, Mapping):
        state = next((content[key] for key in ("state_dict", "model_state_dict", "model") if key in content), content)
    if not isinstance(state, Mapping) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()
    ):
        raise ModelError(f"{path}: holds no table of tensors; give a checkpoint or a state_dict")
    state = weights_with_new_names(state)
    left_out = content.get(KEY) if "state_dict" in content else None
    return completed(state, left_out, own or {}, path) if left_out else state


def _cause(error: Exception) -> str:
    """First sentence of what went wrong, without torch's advice on how to load unsafely."""
    text = str(error).rpartition("WeightsUnpickler error:")[2]
    return f"{type(error).__name__}: {' '.join(text.split()).split('. ')[0][:120]}"


def load_weights(module: nn.Module, path: str | Path) -> None:
    """Load weights that fit `module` exactly, or would if it had no LoRA adapters; new adapters stay as they are.

    Raises:
        ModelError: as `fitting_weights`.
    """
    own = module.state_dict()
    module.load_state_dict(_checked(with_adapters(read_weights(path, own), own), own, path))


def with_adapters(state: dict[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of a model without LoRA under the names they have in one with it, `own`, and that one's adapters.

    Layers that have adapters in `state`, or have none in `own`, keep their names.
    """
    now = {name.replace(".base_layer.", "."): name for name in own if ".base_layer." in name and name not in state}
    layers = {name.rpartition(".")[0] for name in now.keys() & state.keys()}
    adapters = {name: value for name, value in own.items() if name.partition(".lora_")[0] in layers}
    return adapters | {now.get(name, name): value for name, value in state.items()}


def fitting_weights(module: nn.Module, path: str | Path) -> dict[str, Tensor]:
    """Weights of a file that fit `module` exactly; the module is left as it is.

    Raises:
        ModelError: as `read_weights`, or the weights are of another model: names missing, unknown, or of other shapes
            or types.
    """
    own = module.state_dict()
    return _checked(read_weights(path, own), own, path)


def _checked(state: dict[str, Tensor], own: Mapping[str, Tensor], path: str | Path) -> dict[str, Tensor]:
    missing = sorted(own.keys() - state.keys())
    unknown = sorted(state.keys() - own.keys())
    common = own.keys() & state.keys()
    reshaped = sorted(name for name in common if own[name].shape != state[name].shape)
    retyped = sorted(name for name in common if own[name].is_floating_point() != state[name].is_floating_point())
    if missing or unknown or reshaped or retyped:
        parts = [
            f"{len(names)} {what} (e.g. {names[0]})"
            for names, what in (
                (missing, "missing"),
                (unknown, "unknown"),
                (reshaped, "of another shape"),
                (retyped, "of another type"),
            )
            if names
        ]
        raise ModelError(
            f"{path}: weights of another model: {', '.join(parts)} of {len(own)} names; use the configs it was trained "
            "with (config_fit.yaml in its run folder)"
        )
    return state
