"""Pictures for those loggers that show them: Weights & Biases and TensorBoard."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Union

import numpy as np
import numpy.typing as npt
from lightning.pytorch.loggers import Logger, TensorBoardLogger, WandbLogger

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Picture = Union["Figure", Path]


def takes_pictures(logger: Logger) -> bool:
    """Whether `log_picture` has an effect."""
    return isinstance(logger, WandbLogger | TensorBoardLogger)


def log_picture(loggers: Sequence[Logger], name: str, picture: Picture, step: int) -> None:
    """Log a matplotlib figure, or a PNG file, to the loggers that take pictures.

    W&B shows it at the step of the numbers logged last.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # captions in scripts that matplotlib cannot draw
        for logger in loggers:
            if isinstance(logger, WandbLogger):
                import wandb

                content = str(picture) if isinstance(picture, Path) else picture
                logger.experiment.log({name: wandb.Image(content)})
            elif isinstance(logger, TensorBoardLogger):
                logger.experiment.add_image(name, pixels(picture), step, dataformats="HWC")
                logger.experiment.flush()


def pixels(picture: Picture) -> npt.NDArray[np.uint8]:
    """A picture as (height, width, 3)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.image import imread

    if isinstance(picture, Path):
        return np.round(255 * imread(picture)[..., :3]).astype(np.uint8)
    canvas = FigureCanvasAgg(picture)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
