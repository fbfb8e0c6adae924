"""QuerYD (Oncescu et al. 2021, arXiv 2011.11071): videos with spoken audio descriptions."""

from pathlib import Path
from typing import Any, ClassVar, Literal

from datamodules.experts.archives import read_raw_captions
from datamodules.listed import ListedDataModule

HOW_TO_GET = (
    "get raw_captions_combined_filtered.pkl from the QuerYD archives into ROOT/{segments,videos}/, beside the lists "
    "{train,val,test}_list.txt of misc/datasets/querydsegments or misc/datasets/queryd at "
    "github.com/akoepke/audio-retrieval-benchmark, then give ROOT as the data set's root"
)
CAPTIONS = ("raw_captions_combined_filtered.pkl", "raw-captions.pkl")


class QuerYD(ListedDataModule):
    """QuerYD: 9,113 / 1,952 / 1,954 segments of videos, or 1,796 / 384 / 386 whole videos, with one caption each.

    Layout: in `root/segments/` or `root/videos/` the captions (a pickle, id to sentences or lists of words, read
    without running anything of it; several of one id are joined) and the lists; `root/audio/`.

    Args:
        root: the folder.
        part: "segments", or whole "videos".
        **kwargs: the options of `AnnotatedDataModule` and `AudioCaptionDataModule`.
    """

    how_to_get: ClassVar[str] = HOW_TO_GET

    def __init__(
        self, root: str = "data/queryd", part: Literal["segments", "videos"] = "segments", **kwargs: Any
    ) -> None:
        super().__init__(root, **kwargs)
        self.part = part
        self._captions: dict[str, list[str]] | None = None

    def lists(self) -> Path:
        """Like `ListedDataModule.lists`."""
        return self.root / self.part

    def captions_by_id(self, split: str) -> dict[str, list[str]]:
        """Like `ListedDataModule.captions_by_id`; the same for every split."""
        if self._captions is None:
            paths = [self.lists() / name for name in CAPTIONS]
            captions = read_raw_captions(next((path for path in paths if path.is_file()), paths[0]))
            self._captions = {name: [" ".join(texts)] for name, texts in captions.items()}
        return self._captions
