"""What published checkpoints were trained on, and which test clips they may have heard."""

from collections import Counter
from collections.abc import Mapping, Sequence

LAION = ("clotho train", "audiocaps train", "audioset", "freesound", "bbc", "soundbible")

PUBLISHED: dict[str, tuple[str, ...]] = {
    # Wu et al. 2023, "Large-scale contrastive language-audio pretraining": LAION-Audio-630K, AudioSet, and both sets.
    "laion/clap-htsat-unfused": LAION,
    "laion/clap-htsat-fused": LAION,
    "laion/larger_clap_general": LAION,
    "laion/larger_clap_music_and_speech": LAION,
    # Elizalde et al. 2023, "CLAP: learning audio concepts from natural language supervision".
    "msclap 2022": ("clotho train", "audiocaps train", "fsd50k", "macs"),
    # Elizalde et al. 2024, "Natural language supervision for general-purpose audio representations".
    "msclap 2023": ("clotho train", "audiocaps train", "fsd50k", "macs", "wavcaps", "audioset", "freesound"),
    # Mei et al. 2024, "WavCaps".
    "wavcaps htsat-bert": ("clotho train", "audiocaps train", "wavcaps", "audioset", "freesound", "bbc", "soundbible"),
}
"""By name of the checkpoint: data sets, and the sources that their recordings come from."""

SAME_SOURCE = {"youtube": "audioset", "audioset": "youtube"}
"""AudioSet's clips are parts of videos on YouTube, by whose ids recordings are known here."""


def training_data_of(name: str) -> tuple[str, ...]:
    """What a published checkpoint was trained on; nothing where that is not known here."""
    return PUBLISHED.get(name, ())


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
