"""The parts of a model that have parameters, in a small table."""

import lightning as L
from lightning.pytorch.callbacks import ModelSummary
from rich.console import Console
from rich.table import Table


def parameter_counts(model: L.LightningModule) -> dict[str, tuple[str, int, int]]:
    """Class, parameters and trained parameters of each part that has any, by its name.

    >>> import torch
    >>> model = L.LightningModule()
    >>> model.head, model.loss = torch.nn.Linear(2, 3), torch.nn.MSELoss()
    >>> parameter_counts(model)
    {'head': ('Linear', 9, 9)}
    """
    counts = {}
    for name, part in model.named_children():
        sizes = [(parameter.numel(), parameter.requires_grad) for parameter in part.parameters()]
        if sizes:
            trained = sum(size for size, is_trained in sizes if is_trained)
            counts[name] = (type(part).__name__, sum(size for size, _ in sizes), trained)
    return counts


class PartsSummary(ModelSummary):
    """Prints what is trained when `fit` begins."""

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Print the table."""
        if not trainer.is_global_zero:
            return
        table = Table("part", "class")
        for column in ("parameters", "trained"):
            table.add_column(column, justify="right")
        for name, (kind, size, trained) in parameter_counts(pl_module).items():
            table.add_row(name, kind, f"{size:,}", f"{trained:,}")
        Console().print(table)
