"""MACS (Martín-Morató & Mesaros 2021): captions of urban scenes by several annotators each."""

from typing import Any, ClassVar

from common.errors import DataError
from datamodules.annotated_folder import AnnotatedFolder
from datamodules.annotated_rows import Clip, Columns

HOW_TO_GET = (
    "get MACS.yaml from Zenodo record 5114771 (doi:10.5281/zenodo.5114771) into ROOT, the audio of TAU Urban Acoustic "
    "Scenes 2019, development (record 2589280), into ROOT/audio/, at any depth, then give ROOT as the data set's root"
)


class MACS(AnnotatedFolder):
    """MACS: 3,930 recordings of 10 s of airports, public squares and parks, with two to five captions each.

    Layout: `root/MACS.yaml` (`files: [{filename, annotations: [{sentence, tags, annotator_id}]}]`), and
    `root/audio/**/airport-barcelona-0-0-a.wav`, named after scene, city, place, segment and device. It has no split of
    its own and is used for training; recordings of one place stay together where some are set aside.

    Args:
        root: the folder that holds both.
        validation_share: share of the recordings, chosen by place, that is set aside for validation.
        max_seconds: longer recordings are cropped, at random in training, from the beginning in evaluation.
        **kwargs: the options of `AnnotatedDataModule` and `AudioCaptionDataModule`.
    """

    how_to_get: ClassVar[str] = HOW_TO_GET

    def __init__(
        self,
        root: str = "data/macs",
        validation_share: float = 0.0,
        *,
        max_seconds: float | None = 10.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            root,
            annotations="MACS.yaml",
            name="{filename}",
            audio="audio",
            columns=Columns(captions="annotations.sentence", group=None),
            rows="files",
            splits=None,
            validation_share=validation_share,
            origin=None,
            exclude=None,
            languages=None,
            max_seconds=max_seconds,
            **kwargs,
        )

    @property
    def label(self) -> str:
        """Like `AnnotatedDataModule.label`."""
        return "MACS"

    def group_of(self, name: str, clip: Clip) -> str:
        """The place of a recording: scene, city and number out of its name."""
        parts = name.split("-")
        if len(parts) != 5:
            raise DataError(
                f"{clip.where}: '{name}' is not called SCENE-CITY-PLACE-SEGMENT-DEVICE.wav; get MACS.yaml again"
            )
        return "-".join(parts[:3])

    def origins(self, split: str) -> dict[str, str]:
        """Places by name: TAU Urban Acoustic Scenes knows recordings by them."""
        return {name: f"tau:{clip.group}" for name, clip in self.clips(split).items()}
