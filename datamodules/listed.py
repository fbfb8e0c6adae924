"""Data sets made of one table of captions and a list of ids for each split."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from common.errors import DataError
from datamodules.annotated import AnnotatedDataModule, Annotation, Tolerance
from datamodules.audio_folder import audio_by_stem
from datamodules.csv_faults import caption_fault
from datamodules.id_lists import find_list, read_ids


class ListedDataModule(AnnotatedDataModule):
    """A data module whose captions lie in one table by id, and whose splits are lists of ids.

    A subclass reads the captions of each id, and says where the lists are. The audio, where there is no `experts`, lies
    at any depth below `root/audio/`, each file called like its id.

    Args:
        root: the data set's folder.
        broken_audio: what a file that cannot be read does: "skip" it, or "refuse" to run.
        **kwargs: the options of `AnnotatedDataModule` and `AudioCaptionDataModule`.
    """

    list_names: ClassVar[dict[str, tuple[str, ...]]] = {
        "train": ("train_list.txt",),
        "validation": ("val_list.txt",),
        "test": ("test_list.txt",),
    }

    def __init__(self, root: str, *, broken_audio: Tolerance = "skip", **kwargs: Any) -> None:
        super().__init__(root, broken_audio=broken_audio, **kwargs)

    def captions_by_id(self, split: str) -> dict[str, list[str]]:
        """The captions of each recording by id, in which those of a split are looked up."""
        raise NotImplementedError

    def lists(self) -> Path:
        """The folder of the lists of ids."""
        raise NotImplementedError

    def read_annotations(self, split: str) -> list[Annotation]:
        """Like `AnnotatedDataModule.read_annotations`, in the order of the list."""
        path = find_list(self.lists(), self.list_names[split], self.how_to_get)
        captions = self.captions_by_id(split)
        rows = []
        for name in read_ids(path):
            texts = [" ".join(text.split()) for text in captions.get(name, [])]
            if not any(texts):
                raise DataError(f"{path}: '{name}' has no caption; delete the line, or get the captions again")
            for text in texts:
                if fault := caption_fault(text):
                    raise DataError(f"{path}: a caption of '{name}' {fault}; fix it, or delete the line")
            rows.append(Annotation(name, texts))
        return rows

    def find_audio(self, split: str, names: Sequence[str]) -> tuple[Path, list[Path | None]]:
        """Like `AnnotatedDataModule.find_audio`."""
        folder = self.audio_folder("audio")
        files = audio_by_stem(folder)
        return folder, [files.get(name) for name in names]
