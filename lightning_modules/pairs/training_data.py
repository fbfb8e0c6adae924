"""What published checkpoints were trained on, and which test clips they may have heard."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

# Wu et al. 2023, "Large-scale contrastive language-audio pretraining", as listed in LAION-AI/CLAP by
# experiment_scripts/htsat-roberta-large-dataset-fusion.sh: Freesound without Clotho's recordings, but the whole of
# FSD50K, which is from Freesound too.
LAION_630K = (
    *("clotho train", "audiocaps train", "bbc", "freesound", "fsd50k", "macs", "wavtext5k"),
    *("free to use sounds", "paramount motion", "sonniss", "we sound effects", "audiostock", "epidemic sound"),
)

PUBLISHED: dict[str, tuple[str, ...]] = {
    # 630k-audioset-best and 630k-audioset-fusion-best, by an author's answer among the issues of LAION-AI/CLAP.
    "laion/clap-htsat-unfused": (*LAION_630K, "audioset"),
    "laion/clap-htsat-fused": (*LAION_630K, "audioset"),
    # README of LAION-AI/CLAP, by file; that the hub has those files under these names is not checked.
    "laion/larger_clap_general": (*LAION_630K, "audioset", "music", "speech"),
    "laion/larger_clap_music": (*LAION_630K, "audioset", "music"),
    "laion/larger_clap_music_and_speech": (*LAION_630K, "music", "speech"),
    # Elizalde et al. 2023, "CLAP: learning audio concepts from natural language supervision", section 3.1; with the
    # test sets of Clotho and AudioCaps, as Elizalde et al. 2024, section 3, say. FSD50K is from Freesound.
    "msclap 2022": ("clotho, its test too", "audiocaps, its test too", "fsd50k", "macs", "freesound", "youtube"),
    # Elizalde et al. 2024, "Natural language supervision for general-purpose audio representations", section 3, without
    # data sets of music and speech; splits are not said. WavCaps' and FSD50K's sources are added.
    "msclap 2023": (
        *("wavcaps", "audioset", "fsd50k", "clotho", "audiocaps", "macs", "wavtext5k", "sounddescs", "cochlscene"),
        *("epic-kitchens", "kinetics700", "findsounds", "freesound", "bbc", "soundbible"),
    ),
    # README and retrieval/settings/pretrain.yaml of XinhaoMei/WavCaps, which has lists of test recordings to leave out.
    "wavcaps htsat-bert": ("clotho train", "audiocaps train", "wavcaps", "audioset", "freesound", "bbc", "soundbible"),
    # Second hand, from MTEB's description of the model, without sets of video alone; Vyas et al. 2025, "Pushing the
    # frontier of audiovisual perception", was not read beyond its abstract (some 100 million clips of video).
    "facebook/pe-av-large": ("audiocaps", "vggsound", "valor", "kinetics400", "kinetics700", "youtube"),
}
"""By name of the checkpoint: data sets, and the sources that their recordings come from."""

TEST_TOO = "its test too"
"""Behind the name of a data set in `Pair.trained_on`."""
Said = Literal["train", "test too", "not said"]
SAME_SOURCE = {"youtube": "audioset", "audioset": "youtube"}
"""AudioSet's clips are parts of videos on YouTube, by whose ids recordings are known here."""


def splits_said(trained_on: Sequence[str], data_set: str) -> Said | None:
    """What is published of the splits of a data set that a checkpoint was trained on; None: it is not among its data.

    >>> splits_said(["clotho train", "wavcaps"], "Clotho"), splits_said(["clotho train"], "MACS")
    ('train', None)
    >>> splits_said(["clotho, its test too"], "Clotho"), splits_said(["clotho"], "Clotho")
    ('test too', 'not said')
    """
    said: dict[str, Said] = {" train": "train", f", {TEST_TOO}": "test too", "": "not said"}
    known = {entry.lower() for entry in trained_on}
    return next((what for ending, what in said.items() if f"{data_set.lower()}{ending}" in known), None)


def maybe_heard(trained_on: Sequence[str], origins: Mapping[str, str]) -> dict[str, int]:
    """How many recordings come from a source that a checkpoint was trained on, by source.

    Args:
        trained_on: data sets and sources.
        origins: of the recordings, by name, such as "freesound:137692".

    >>> maybe_heard(["clotho train", "freesound"], {"a.wav": "freesound:1", "b.wav": "freesound:2"})
    {'freesound': 2}
    """
    sources = Counter(origin.partition(":")[0] for origin in origins.values())
    known = {entry.lower() for entry in trained_on}
    return {source: count for source, count in sources.items() if {source, SAME_SOURCE.get(source, source)} & known}
