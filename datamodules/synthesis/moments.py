"""Long synthetic recordings with events at known times, and a query for each: moments whose spans are known."""

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from rich.progress import track

from common.errors import DataError
from datamodules.synthesis.captions import write_captions
from datamodules.synthesis.clips import background, place, to_pcm16
from datamodules.synthesis.scenes import SETTINGS, Event, Scene, draw_event, pick
from datamodules.synthesis.signals import SAMPLE_RATE, Signal, samples
from datamodules.synthesis.whole_folder import render_once

ANNOTATIONS, AUDIO = "moments.jsonl", "audio"
RECORDINGS = 60
#: Raise it with every change that changes a file of the corpus.
MOMENTS_VERSION = 1

SECONDS = (30, 60)  # of a recording, whole
LASTING = (5.0, 9.0)  # s of an event
SILENCE = 4.0  # s at least before, between and after events
EVENTS = (1, 2, 3, 4)
TWICE = 0.25  # probability that an event comes back
_PEAK = 0.95


@dataclass(frozen=True)
class Story:
    """What happens in a long recording.

    Attributes:
        seconds: its length.
        events: (start, end, event) in s, in the order of time; they do not overlap, and one may come twice.
    """

    seconds: int
    events: tuple[tuple[float, float, Event], ...]

    def windows(self, event: Event) -> list[list[float]]:
        """The spans [start, end] of an event in s."""
        return [[start, end] for start, end, each in self.events if each == event]


def render_moments(root: Path | str, recordings: int = RECORDINGS, seed: int = 0) -> Path:
    """Render long recordings to `root`, unless they are there already; the jsonl file of their moments.

    Layout: `audio/*.flac` (16 kHz mono PCM_16, 30 to 60 s) and `moments.jsonl` (`datamodules.moments`), a query for
    each different event: one caption of it. Recordings have 1 to 4 events of different kinds out of one setting, in the
    hum of a place. An event lasts 5 to 9 s, a quarter of them come twice as far as there is room, and 4 s or more
    without an event lie between them and at both ends. The same arguments give the same files; they are whole or not
    there (`render_once`).

    Args:
        root: folder to make.
        recordings: how many, at least 1.
        seed: which ones; not negative.

    Raises:
        DataError: `root` holds something else or cannot be written, or an argument makes no sense.
    """
    if recordings < 1 or seed < 0:
        raise DataError(f"{recordings} recordings of seed {seed}: give at least 1, and a seed from 0")
    root = Path(root).expanduser().resolve()
    arguments = {"moments_version": MOMENTS_VERSION, "seed": seed, "recordings": recordings}
    render_once(root, arguments, lambda part: _render_into(part, recordings, seed))
    return root / ANNOTATIONS


def draw_story(rng: np.random.Generator) -> Story:
    """A story: a setting, 1 to 4 kinds of it, a value for each attribute, times."""
    kinds = pick(rng, tuple(SETTINGS.values()))
    events = [draw_event(kinds[i], rng) for i in rng.permutation(len(kinds))[: pick(rng, EVENTS)]]
    events += [event for event in events if rng.random() < TWICE]
    events = [events[i] for i in rng.permutation(len(events))]
    seconds = int(rng.integers(SECONDS[0], SECONDS[1] + 1))
    lasting = [round(float(rng.uniform(*LASTING)), 1) for _ in events]
    while sum(lasting) + SILENCE * (len(events) + 1) > seconds:  # the last ones do not fit
        events.pop()
        lasting.pop()
    spare = seconds - sum(lasting) - SILENCE * (len(events) + 1)
    gaps = np.sort(rng.uniform(0, spare, len(events)))
    found, start = [], 0.0
    for event, length, gap in zip(events, lasting, np.diff(gaps, prepend=0.0), strict=True):
        start = round(start + SILENCE + math.floor(10 * gap) / 10, 1)
        found.append((start, round(start + length, 1), event))
        start = found[-1][1]
    return Story(seconds, tuple(found))


def render_story(story: Story, rng: np.random.Generator) -> Signal:
    """The sound of a story: `(n,)` float64 mono at `SAMPLE_RATE`, within [-0.95, 0.95]."""
    out = background(samples(story.seconds), rng)
    for start, end, event in story.events:
        begin = samples(start)
        n = samples(end) - begin
        out[begin : begin + n] += place(event, n, rng)
    return np.asarray(out * min(1.0, _PEAK / np.abs(out).max()))


def moments_of(name: str, story: Story, rng: np.random.Generator) -> list[dict[str, object]]:
    """The lines of a recording: a query for each different event, in the order of time."""
    different = list(dict.fromkeys(event for _, _, event in story.events))
    return [
        {
            "qid": f"{name}_{number}",
            "query": write_captions(Scene(((event,),)), rng, count=1)[0],
            "duration": story.seconds,
            "vid": name,
            "relevant_windows": story.windows(event),
        }
        for number, event in enumerate(different, 1)
    ]


def _render_into(part: Path, recordings: int, seed: int) -> None:
    (part / AUDIO).mkdir()
    lines: list[str] = []
    for index in track(range(recordings), "rendering long recordings", transient=True):
        story_rng, audio_rng, caption_rng = map(np.random.default_rng, np.random.SeedSequence([seed, index]).spawn(3))
        name, story = f"long_{index:04d}", draw_story(story_rng)
        pcm = to_pcm16(render_story(story, audio_rng))  # (T,)
        soundfile.write(part / AUDIO / f"{name}.flac", pcm, SAMPLE_RATE, subtype="PCM_16", format="FLAC")
        lines += [json.dumps(line) for line in moments_of(name, story, caption_rng)]
    (part / ANNOTATIONS).write_text("\n".join(lines) + "\n", encoding="utf-8")
