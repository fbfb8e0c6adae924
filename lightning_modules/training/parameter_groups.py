"""Parameter groups by name: parts of the model that are trained with optimiser options of their own."""

from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from torch import nn
from torch.optim import Optimizer

from common.errors import ModelError

Groups = Mapping[str, Mapping[str, Any]]


def grouped_optimizer(module: nn.Module, optimizer_of: Callable[..., Optimizer], groups: Groups | None) -> Optimizer:
    """One optimiser over what is trained of `module`, with a named group for each of `groups`.

    Parameters in no group come first, in a group without a name that has the optimiser's own options. A group of which
    nothing is trained is left out.

    Args:
        module: its parameters that are not frozen are trained.
        optimizer_of: from parameters to an optimiser.
        groups: by name, options of the optimiser such as `lr`; and `parts`, which parameters are in the group: names of
            parts of the model (`audio_encoder`, `matcher`) or patterns of parameter names (`*.bias`). Without `parts`
            the group's name is the part. None: one group of all.

    Raises:
        ModelError: a part has no parameters, two groups share one, or the optimiser refuses an option.
    """
    trained = {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}
    if not groups:
        return optimizer_of(list(trained.values()))
    members = members_of((name for name, _ in module.named_parameters()), groups)
    rest = [parameter for name, parameter in trained.items() if name not in members]
    listed: list[dict[str, Any]] = [{"params": rest}] if rest else []
    for group, options in groups.items():
        if parameters := [parameter for name, parameter in trained.items() if members.get(name) == group]:
            own = {key: value for key, value in options.items() if key != "parts"}
            listed.append({"params": parameters, "name": group, **own})
    if not listed:
        raise ModelError("nothing of the model is trained: every parameter is frozen")
    optimizer = optimizer_of(listed)
    for group, options in groups.items():
        _check_options(type(optimizer), group, options)
    return optimizer


def members_of(parameters: Iterable[str], groups: Groups) -> dict[str, str]:
    """The group of each parameter that is in one, by the parameter's name.

    >>> members_of(["text.w", "text.b", "matcher.w"], {"text": {}, "heads": {"parts": ["matcher"]}})
    {'text.w': 'text', 'text.b': 'text', 'matcher.w': 'heads'}

    Raises:
        ModelError: a part has no parameters, or two groups share one.
    """
    names, members = list(parameters), dict[str, str]()
    for group, options in groups.items():
        parts = options.get("parts", [group])
        for part in [parts] if isinstance(parts, str) else parts:
            found = [name for name in names if name.startswith(f"{part}.") or fnmatchcase(name, part)]
            if not found:
                there = ", ".join(dict.fromkeys(name.partition(".")[0] for name in names))
                raise ModelError(
                    f"model.parameter_groups.{group}: '{part}' is no part of the model that has weights; its parts are "
                    f"{there}, and parts of these (audio_encoder.model) and patterns (*.bias) may be given in `parts`"
                )
            for name in found:
                if (other := members.setdefault(name, group)) != group:
                    raise ModelError(
                        f"model.parameter_groups: {name} is both in {other} and in {group}; let each weight be in one"
                    )
    return members


def _check_options(kind: type[Optimizer], group: str, options: Mapping[str, Any]) -> None:
    """Whether an optimiser takes a group's options: torch itself takes any in a group, and checks none."""
    try:
        own = {key: value for key, value in options.items() if key != "parts"}
        kind([nn.Parameter()], **own)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"model.parameter_groups.{group}: {kind.__name__} refuses these options ({error}); give options of "
            f"{kind.__name__}, and `parts`"
        ) from error
