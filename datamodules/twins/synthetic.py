"""Twins out of the synthetic corpus's sounds: two scenes that differ in one property, each rendered and described.

Both recordings of a pair have the same background and length, and an event that is in both is the same instance of its
sound, as far as the property lets it. Both captions use the same phrases. So nothing but the property tells them apart:

    order      the same two events, the other one first; the captions hold the same words
    attribute  the same event with the other value of one attribute, such as a high or a low bell
    count      one event, or three of different kinds, one of them the same
    overlap    two events one after another, or at the same time
"""

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType

import numpy as np
import soundfile

from common.atomic_files import check_nothing_in, filled_at_once
from common.errors import DataError
from common.numbers import check_numbers
from datamodules.synthesis.captions import name_event
from datamodules.synthesis.clips import SECONDS, background, place, to_pcm16
from datamodules.synthesis.scenes import ATTRIBUTES, KINDS, SETTINGS, Event, Scene, draw_event, pick
from datamodules.synthesis.signals import SAMPLE_RATE, Signal, samples
from datamodules.twins.compa import COLUMNS
from datamodules.twins.twin_set import Twin, TwinSet

Rng = np.random.Generator
PAIRS = 100
"""Of each property by default."""
MOST = 2_000
"""Of each property: more sounds would fill the memory."""
ORDERED = ("{0}, followed by {1}", "{0}, then {1}", "{0} before {1}", "{1} after {0}")
SEQUENTIAL = ORDERED[:2]
TOGETHER = ("{0} and {1} at the same time", "{0} over the sound of {1}")
ALONE = ("{0}", "{0} can be heard", "the sound of {0}")
THREE = "{0}, followed by {1}, and then {2}"
_PEAK = 0.95


@dataclass(frozen=True)
class ScenePair:
    """Two scenes that differ in one property, and a caption of each.

    Attributes:
        scene, twin_scene: what sounds.
        caption, twin_caption: what is said of it.
        seed: of the sounds.
    """

    scene: Scene
    twin_scene: Scene
    caption: str
    twin_caption: str
    seed: tuple[int, ...]


Drawn = tuple[Scene, Scene, str, str]


def _order(events: list[Event], rng: Rng) -> Drawn:
    first, second = events[:2]
    named, form = [name_event(event, rng) for event in (first, second)], pick(rng, ORDERED)
    return (
        Scene(((first,), (second,))),
        Scene(((second,), (first,))),
        form.format(*named),
        form.format(*reversed(named)),
    )


def _attribute(events: list[Event], rng: Rng) -> Drawn:
    event = events[0]
    name = pick(rng, KINDS[event.kind])
    values = {**event.attributes, name: next(v for v in ATTRIBUTES[name] if v != event.attributes[name])}
    other = Event(event.kind, tuple(values.values()))
    form, state = pick(rng, ALONE), rng.bit_generator.state
    named = []
    for each in (event, other):
        rng.bit_generator.state = state  # both are put into the same words
        named.append(name_event(each, rng, (name,)))
    return Scene(((event,),)), Scene(((other,),)), form.format(named[0]), form.format(named[1])


def _count(events: list[Event], rng: Rng) -> Drawn:
    named = [name_event(event, rng) for event in events]
    one = int(rng.integers(len(events)))
    three = Scene(tuple((event,) for event in events))
    return Scene(((events[one],),)), three, pick(rng, ALONE).format(named[one]), THREE.format(*named)


def _overlap(events: list[Event], rng: Rng) -> Drawn:
    first, second = events[:2]
    named = [name_event(event, rng) for event in (first, second)]
    texts = pick(rng, SEQUENTIAL).format(*named), pick(rng, TOGETHER).format(*named)
    return Scene(((first,), (second,))), Scene(((first, second),)), *texts


PROPERTIES: MappingProxyType[str, Callable[[list[Event], Rng], Drawn]] = MappingProxyType(
    {"order": _order, "attribute": _attribute, "count": _count, "overlap": _overlap}
)
"""How a pair of each property is drawn, from three events of one setting."""


def draw_pairs(name: str, count: int = PAIRS, seed: int = 0) -> list[ScenePair]:
    """`count` pairs that differ in a property; the first ones of a larger number are those of a smaller one.

    Raises:
        DataError: there is no such property, or fewer than one pair or more than 2,000 are asked for.
    """
    if name not in PROPERTIES:
        raise DataError(f"there are no synthetic twins of '{name}'; choose of {', '.join(PROPERTIES)}")
    check_numbers(DataError, "synthetic twins", 1, MOST, pairs=count)
    check_numbers(DataError, "synthetic twins", 0, seed=seed)
    return [_draw_pair(name, (seed, list(PROPERTIES).index(name), index)) for index in range(count)]


def _draw_pair(name: str, seed: tuple[int, ...]) -> ScenePair:
    rng = np.random.default_rng([*seed, 0])
    kinds = pick(rng, tuple(SETTINGS.values()))
    events = [draw_event(kinds[i], rng) for i in rng.permutation(len(kinds))[:3]]
    scene, twin, caption, other = PROPERTIES[name](events, rng)
    caption, other = (text[0].upper() + text[1:] + "." for text in (caption, other))
    return ScenePair(scene, twin, caption, other, seed)


def render_pair(pair: ScenePair) -> tuple[Signal, Signal]:
    """The sounds of a pair: two of `(n,)` float64 at 16 kHz, of one length, background and gain."""
    rng = np.random.default_rng([*pair.seed, 1])
    steps = max(len(pair.scene.steps), len(pair.twin_scene.steps))
    n = samples(rng.uniform(*SECONDS[steps]))
    behind, gain = background(n, rng), 10 ** (rng.uniform(-4, 2) / 20)
    pictures = [gain * (behind + _sounds(scene, n, pair.seed)) for scene in (pair.scene, pair.twin_scene)]
    peak = max(float(np.abs(each).max()) for each in pictures)
    first, second = (np.asarray(each * min(1.0, _PEAK / peak)) for each in pictures)
    return first, second


def _sounds(scene: Scene, n: int, seed: tuple[int, ...]) -> Signal:
    """The events of a scene, each drawn from a generator of its own; steps share the time equally."""
    out = np.zeros(n)
    length = n // len(scene.steps)
    edges = [length * step for step in range(len(scene.steps) + 1)]
    for (start, end), step in zip(pairwise(edges), scene.steps, strict=True):
        for event in step:
            rng = np.random.default_rng([*seed, 2, list(KINDS).index(event.kind)])
            late = start + int(rng.uniform(0, 0.12) * length)
            out[late:end] += place(event, end - late, rng)
    return out


def rendered(name: str, pairs: list[ScenePair]) -> TwinSet:
    """Pairs with their sounds in memory, as 16 bits hold them: recordings 2i and 2i + 1 are those of pair i."""
    recordings = [
        {"array": to_pcm16(sound).astype(np.float32) / 32767, "sampling_rate": SAMPLE_RATE}
        for pair in pairs
        for sound in render_pair(pair)
    ]
    twins = [Twin(pair.caption, pair.twin_caption, 2 * i, 2 * i + 1) for i, pair in enumerate(pairs)]
    return TwinSet(name, recordings, twins)


def write_pairs(folder: Path, drawn: Mapping[str, list[ScenePair]]) -> None:
    """Write the sounds of pairs as wav files, and their captions in CompA's layout, which `read_compa` reads.

    Files: `FOLDER/NAME/NAME_00000.wav`, `..._twin.wav`, and `FOLDER/NAME.csv`, for each property; all of them, or none
    where writing fails. The same pairs give the same bytes.

    Args:
        folder: new or empty.
        drawn: pairs by property.

    Raises:
        DataError: the folder holds something, or cannot be written.
    """
    check_nothing_in(folder, "--keep")
    try:
        with filled_at_once(folder) as inside:
            for name, pairs in drawn.items():
                (inside / name).mkdir()
                rows = []
                for index, pair in enumerate(pairs):
                    files = [f"{name}_{index:05d}.wav", f"{name}_{index:05d}_twin.wav"]
                    for file, sound in zip(files, render_pair(pair), strict=True):
                        soundfile.write(inside / name / file, to_pcm16(sound), SAMPLE_RATE, subtype="PCM_16")
                    rows.append([files[0], pair.caption, files[1], pair.twin_caption])
                with (inside / f"{name}.csv").open("w", encoding="utf-8", newline="") as table:
                    csv.writer(table, lineterminator="\n").writerows([COLUMNS, *rows])
    except (OSError, soundfile.SoundFileError) as error:
        raise DataError(
            f"{folder}: the twins cannot be written ({error}); free the disk or give another one"
        ) from error
