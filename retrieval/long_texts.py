"""Texts that a finished model does not read to their end."""

import logging
from collections.abc import Sequence

from lightning_modules.dual_encoder import DualEncoder

log = logging.getLogger(__name__)


def warn_of_cut(model: DualEncoder, texts: Sequence[str]) -> None:
    """Say how many texts are longer than what the text encoder reads: those that differ only there rank alike."""
    if cut := model.text_encoder.count_cut(texts):
        of = f"{cut} of {len(texts)} texts are" if len(texts) > 1 else "the text is"
        log.warning("%s longer than what the text encoder reads; what is cut changes nothing, shorten it", of)
