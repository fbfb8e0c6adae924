"""What all figures share: colours, short captions, and how a figure is saved."""

import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, GREY = "#2f6db3", "#d9822b", "#2e8b57", "#666666"


def new_figure(width: float, height: float) -> "Figure":
    """An empty matplotlib figure, in inches; without pyplot, which needs a display and changes a notebook's backend."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def save_figure(figure: Any, path: Any) -> None:
    """Write a figure, without warnings about characters that matplotlib's font does not have."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")
        figure.savefig(path, dpi=110)


def without_frame(axes: Any, *sides: str) -> None:
    """Hide some sides of a frame; default: above and right."""
    axes.spines[list(sides or ("top", "right"))].set_visible(False)


def shortened(text: str, length: int) -> str:
    """A text of at most `length` characters.

    >>> shortened("a dog barks", 6)
    'a dog…'
    """
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"
