"""The data set that a config names."""

from typing import Any

from cli.dry_run import planned_settings
from datamodules.annotated import AnnotatedDataModule
from datamodules.base import AudioCaptionDataModule
from datamodules.mixture import Mixture
from retrieval.run_model import built


def annotated_parts(config: str) -> list[tuple[str, AnnotatedDataModule]]:
    """The annotated data sets of a config with their labels: one, the parts of a mixture, or none.

    Raises:
        RunError: there is no such config, or its data cannot be built.
    """
    settings: Any = planned_settings(["fit", "--config", config])["data"]
    data = built(AudioCaptionDataModule, settings, subclass=True, source=config)
    parts = data.parts if isinstance(data, Mixture) else [data]
    return [(part.label, part) for part in parts if isinstance(part, AnnotatedDataModule)]
