"""A tiny data module with tables, as the real ones have; run folders with files in them."""

from pathlib import Path
from typing import Any

from datamodules.audio import AudioInfo
from datamodules.table import AudioRow, split_table
from experiments.run_folder import RunFolder
from tests.support.tiny import TinyData

STAGES = {"test": "test", "validation": "validate"}


class Tabled(TinyData):
    """Captions that all differ, so that nothing ties, with dollar signs; and tables, as the real data modules have."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"train": 8, "held_out": 12, "graded": True, **options})
        self.captions = [rf"{caption} $\{chr(33 + i)}$" for i, caption in enumerate(self.captions)]
        self.tables = {}
        for split, audio_ids in self.audio_ids.items():
            rows = [AudioRow(audio, f"{audio}.wav", Path(f"{audio}.wav"), AudioInfo(40, 100)) for audio in audio_ids]
            captions = [(i, row, self.captions[i]) for row, a in enumerate(audio_ids) for i in self.captions_of(a)]
            self.tables[split] = split_table(rows, captions, missing=["gone.wav"])

    def has_split(self, split: str) -> bool:
        return split in self.tables


def filled(path: Path, *names: str) -> RunFolder:
    for name in names:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text("x")
    return RunFolder(path)
