"""The two directions of language-based audio retrieval, by name."""

from typing import Final, Literal

Direction = Literal["text_to_audio", "audio_to_text"]
"""What is searched with what: the first half names the queries, the second half the items that are ranked."""

TEXT_TO_AUDIO: Final = "text_to_audio"
AUDIO_TO_TEXT: Final = "audio_to_text"
DIRECTIONS: Final[tuple[Direction, Direction]] = (TEXT_TO_AUDIO, AUDIO_TO_TEXT)
