"""The files of WavCaps: where each source is, and which recordings must not be trained on."""

from typing import Literal

Source = Literal["AudioSet", "BBC", "FreeSound", "SoundBible"]
FILES: dict[Source, str] = {
    "AudioSet": "AudioSet_SL/as_final.json",
    "BBC": "BBC_Sound_Effects/bbc_final.json",
    "FreeSound": "FreeSound/fsd_final.json",
    "SoundBible": "SoundBible/sb_final.json",
}
FOLDERS: dict[Source, str] = {source: path.partition("/")[0] for source, path in FILES.items()}
BROKEN = frozenset(("Y06-g5jz-OGc", "Y3sSblRfEG2o", "YFli8wjBFV2M", "YVcu0pVF1npM", "YWudGD6ZHRoY", "YmW3S0u8bj58"))
"""AudioSet clips whose published files cannot be decoded."""
Exclusion = Literal["clotho_audiocaps", "clotho", "test_only", "classification"]
EXCLUSIONS: dict[Exclusion, tuple[str, tuple[Source, ...]]] = {
    "clotho_audiocaps": ("blacklist_exclude_all_ac.json", ("AudioSet", "FreeSound")),
    "clotho": ("blacklist_exclude_all_ac.json", ("FreeSound",)),
    "test_only": ("blacklist_exclude_test_ac.json", ("AudioSet", "FreeSound")),
    "classification": ("blacklist_exclude_ub8k_esc50_vggsound.json", ("AudioSet", "FreeSound")),
}
"""File, and which of its lists are used."""
