"""Which parts of a pretrained encoder are trained; the others get neither gradients nor noise."""

from collections.abc import Callable
from typing import Self

import torch
from torch import nn

from common.errors import ModelError
from lightning_modules.training.lora import LoRA, add_lora


class Freezable(nn.Module):
    """A module that may be trained as a whole, in its last layers, through LoRA adapters, or not at all.

    What is frozen stays in evaluation mode while the rest is trained: no dropout, no new batch statistics. Where
    nothing is trained that is so of all its parts. The module's own flag `training` says whether the model is trained:
    augmentation of its inputs that asks for it (in the `forward` of a subclass) acts in a frozen encoder too.
    """

    source: str | None = None
    """The pretrained model that its weights come from; None where they begin at random."""
    _frozen: tuple[str, ...] = ()
    """Names of modules: `trainer.sync_batchnorm` puts others in place of batch normalisations."""

    @property
    def is_frozen(self) -> bool:
        """Whether no parameter is trained."""
        return not any(parameter.requires_grad for parameter in self.parameters())

    def train(self, mode: bool = True) -> Self:
        """Switch training mode on or off, but never on in what is frozen."""
        super().train(mode and not self.is_frozen)
        for name in self._frozen:
            self.get_submodule(name).training = False
        self.training = mode
        return self

    def choose_trained(
        self,
        model: nn.Module,
        layers: int | None,
        trained_layers: int | None,
        lora: LoRA | None,
        run: Callable[[], object],
    ) -> None:
        """Freeze what is not to be trained, and go into training mode.

        Args:
            model: the pretrained part of this module, a transformer.
            layers: how many it has; None where it does not say.
            trained_layers: train the last so many, and what runs after them (a final norm); None trains all, 0 none.
            lora: adapters, which then are all of `model` that is trained.
            run: lets `model` see something small.

        Raises:
            ModelError: `trained_layers` and `lora` are both given, the model does not have so many layers or keeps
                them where they cannot be found, or as `add_lora`.
        """
        name = type(self).__name__
        frozen: list[nn.Module] = []
        if lora is not None:
            if trained_layers is not None:
                raise ModelError(
                    f"{name}: both lora and trained_layers ({trained_layers}) are given, but LoRA trains nothing of a "
                    "model except its adapters; leave one of them out (trained_layers: null)"
                )
            add_lora(model, lora, name)
            # Their statistics belong to the model's own weights.
            frozen = [part for part in model.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
        elif trained_layers == 0:
            model.requires_grad_(False)
            frozen = list(model.modules())
        elif trained_layers is not None:
            if not 0 <= trained_layers <= (layers or 0):
                raise ModelError(
                    f"{name}: trained_layers is {trained_layers}; give 0 to {layers or 0}, or null for all"
                )
            self.eval()
            frozen = modules_before(model, find_layers(model, layers, name)[-trained_layers], run)
            for module in frozen:
                for parameter in module.parameters(recurse=False):
                    parameter.requires_grad_(False)
        names = {module: name for name, module in self.named_modules()}
        self._frozen = tuple(names[module] for module in frozen)
        self.train()


def find_layers(model: nn.Module, layers: int | None, name: str = "model") -> nn.ModuleList:
    """The list of a transformer's `layers` layers: of all lists of that length the one with most parameters.

    Raises:
        ModelError: there is none.
    """
    stacks = [part for part in model.modules() if isinstance(part, nn.ModuleList) and len(part) == layers]
    if not stacks:
        raise ModelError(f"{name}: the layers of this model cannot be told apart; give trained_layers 0 or null")
    return max(stacks, key=lambda stack: sum(parameter.numel() for parameter in stack.parameters()))


def modules_before(model: nn.Module, layer: nn.Module, run: Callable[[], object]) -> list[nn.Module]:
    """Modules of `model` that begin to work before `layer` does: embeddings, earlier layers, and what `layer` is in.

    Names and places do not tell: models have norms before and after their layers, and position biases that all layers
    share. So the model is run once, and the order of the first calls is looked at.

    >>> model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2), nn.LayerNorm(2))
    >>> before = modules_before(model, model[1], lambda: model(torch.ones(1, 2)))
    >>> [name for name, module in model.named_modules() if module in before]
    ['', '0']
    """
    calls: dict[nn.Module, None] = {}
    hooks = [part.register_forward_pre_hook(lambda part, _: calls.setdefault(part)) for part in model.modules()]
    try:
        with torch.no_grad():
            run()
    finally:
        for hook in hooks:
            hook.remove()
    order = list(calls)
    behind = {inner for part in order[order.index(layer) :] for inner in part.modules()}
    return [part for part in model.modules() if part not in behind]
