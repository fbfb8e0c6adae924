"""SoundDescs (Koepke et al. 2022, arXiv 2112.09418): BBC sound effects with their descriptions."""

import logging
from pathlib import Path
from typing import Any, ClassVar, Literal

from common.errors import DataError
from datamodules.annotated import Annotation
from datamodules.csv_files import read_csv
from datamodules.experts.archives import read_raw_captions
from datamodules.listed import ListedDataModule

log = logging.getLogger(__name__)
HOW_TO_GET = (
    "get sounddescs_data/ and data/SoundDescs/ from github.com/akoepke/audio-retrieval-benchmark into ROOT, for the "
    "group-filtered splits their lists (Weck & Serra 2023, arXiv 2302.12258) as ROOT/group_filtered/"
    "{train,val,test}_list.txt, the audio by the links in sounddescs_data/ into ROOT/audio/, then give ROOT as "
    "the data set's root"
)


class SoundDescs(ListedDataModule):
    """SoundDescs: 23,085 / 4,947 / 4,947 recordings from 1 s to an hour, with one description each.

    Layout: `root/sounddescs_data/descriptions.pkl` (id to text, read without running anything of it), or
    `descriptions.csv` (`id,description`); `root/data/SoundDescs/{train,val,test}_list.txt`, or
    `root/group_filtered/...`; `root/audio/**/{id}.wav`, any audio ending. RemArc licence, no commercial use.

    Duplicates cross the official splits (Weck & Serra 2023), which makes results too high; their group-filtered splits
    keep similar recordings together.

    Args:
        root: the folder.
        split: "official", or "group_filtered".
        **kwargs: the options of `AnnotatedDataModule` and `AudioCaptionDataModule`.
    """

    how_to_get: ClassVar[str] = HOW_TO_GET

    def __init__(
        self, root: str = "data/sounddescs", split: Literal["official", "group_filtered"] = "official", **kwargs: Any
    ) -> None:
        super().__init__(root, **kwargs)
        self.split = split
        self._descriptions: dict[str, list[str]] | None = None

    def lists(self) -> Path:
        """Like `ListedDataModule.lists`."""
        return self.root / ("data/SoundDescs" if self.split == "official" else "group_filtered")

    def captions_by_id(self, split: str) -> dict[str, list[str]]:
        """Like `ListedDataModule.captions_by_id`; the same for every split."""
        if self._descriptions is None:
            folder = self.root / "sounddescs_data"
            if (table := folder / "descriptions.csv").is_file():
                rows = read_csv(table, ("id", "description"), "utf-8-sig", HOW_TO_GET)
                self._descriptions = {}
                for line, row in rows:
                    if self._descriptions.setdefault(row["id"].strip(), texts := [row["description"]]) is not texts:
                        raise DataError(f"{table}, line {line}: id '{row['id']}' comes twice; delete one of the rows")
            else:
                self._descriptions = read_raw_captions(folder / "descriptions.pkl")
        return self._descriptions

    def read_annotations(self, split: str) -> list[Annotation]:
        """Like `AnnotatedDataModule.read_annotations`; warns of descriptions that a training recording has too."""
        rows = super().read_annotations(split)
        if split != "train" and self.split == "official":
            known = {row.captions[0] for row in self.annotations("train")}
            log.warning(
                "SoundDescs: duplicates cross the official splits, so results are too high; %d of %d %s recordings "
                "have the description of a training one; data.split group_filtered keeps them apart",
                sum(row.captions[0] in known for row in rows),
                len(rows),
                split,
            )
        return rows
