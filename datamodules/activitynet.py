"""ActivityNet-Captions (Krishna et al. 2017): videos with a paragraph each."""

from pathlib import Path
from typing import Any, ClassVar, Literal

from common.errors import DataError
from common.unique_keys import parse_json
from datamodules.csv_files import read_text
from datamodules.listed import ListedDataModule

HOW_TO_GET = (
    "get train.json, val_1.json and val_2.json (captions.zip of ActivityNet-Captions) and the lists train_list.txt and "
    "val_1_list.txt of misc/datasets/activity-net at github.com/akoepke/audio-retrieval-benchmark into ROOT, then give "
    "ROOT as the data set's root"
)
FILES = {"train": "train.json", "validation": "val_1.json", "test": "val_1.json"}


class ActivityNetCaptions(ListedDataModule):
    """ActivityNet-Captions: 10,009 / 4,917 / 4,917 videos; all sentences of a video are joined into one caption.

    The published results are those of `val_1`, on which the authors also selected checkpoints: it is validation and
    test split here. `validation="val_2"` validates on a second annotation of the same videos.

    Layout: `root/{train,val_1,val_2}.json` (video to `sentences`) and `root/{train,val_1}_list.txt`; `root/audio/`.

    Args:
        root: the folder.
        validation: whose sentences the validation split has.
        **kwargs: the options of `AnnotatedDataModule` and `AudioCaptionDataModule`.
    """

    how_to_get: ClassVar[str] = HOW_TO_GET
    list_names: ClassVar[dict[str, tuple[str, ...]]] = {
        "train": ("train_list.txt",),
        "validation": ("val_1_list.txt",),
        "test": ("val_1_list.txt",),
    }

    def __init__(
        self, root: str = "data/activitynet", validation: Literal["val_1", "val_2"] = "val_1", **kwargs: Any
    ) -> None:
        super().__init__(root, **kwargs)
        self.files = {**FILES, "validation": f"{validation}.json"}

    def lists(self) -> Path:
        """Like `ListedDataModule.lists`."""
        return self.root

    def captions_by_id(self, split: str) -> dict[str, list[str]]:
        """Like `ListedDataModule.captions_by_id`."""
        path = self.root / self.files[split]
        text = read_text(path, HOW_TO_GET)
        try:
            sentences = {name: about["sentences"] for name, about in parse_json(text).items()}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"{path}: is not that of ActivityNet-Captions ({type(error).__name__}: {error}); get it again"
            ) from error
        for name, texts in sentences.items():
            if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
                raise DataError(f"{path}: the sentences of '{name}' are no list of texts; get the file again")
        return {name: [" ".join(text.strip() for text in texts)] for name, texts in sentences.items()}
