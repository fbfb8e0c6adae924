"""The forms in which other programs hand over a recording: decoded samples with their rate, decoders, whole files."""

import io
from collections.abc import Mapping
from typing import Any

import soundfile

from common.errors import DataError
from common.text import one_line


def unwrapped(recording: Any, sample_rate: int | None) -> tuple[Any, int | None]:
    """Samples (T,) or (channels, T) with their rate in Hz, or a file; what is neither of these forms stays as it is.

    Args:
        recording: `{"array", "sampling_rate"}` (data sets of Hugging Face, MTEB), `{"bytes", "path"}` (the same, not
            decoded), a torchcodec `AudioDecoder`, or one of these as `{"audio": ...}` (sentence-transformers).
        sample_rate: of what has no rate of its own.

    Raises:
        DataError: bytes are not audio.
    """
    if isinstance(recording, Mapping) and "audio" in recording:
        recording = recording["audio"]
    if hasattr(recording, "get_all_samples"):
        decoded = recording.get_all_samples()
        return decoded.data, int(decoded.sample_rate)
    if not isinstance(recording, Mapping):
        return recording, sample_rate
    if recording.get("array") is not None:
        return recording["array"], int(recording["sampling_rate"])
    if recording.get("bytes") is None:
        return recording["path"], None
    try:
        samples, rate = soundfile.read(io.BytesIO(recording["bytes"]), dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError) as error:
        name = recording.get("path") or "a recording's bytes"
        raise DataError(f"{name}: is not audio that can be read ({one_line(error)}); give it as a file") from error
    return samples.T, int(rate)
