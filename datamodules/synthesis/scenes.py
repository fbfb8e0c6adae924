"""What can be described: kinds of sound, their attributes, and scenes of one to three events in an order.

A scene knows nothing of samples or words: `clips` turns it into sound, `captions` into English, and `truth` compares
two of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

#: Each attribute and its two values.
ATTRIBUTES: dict[str, tuple[str, str]] = {
    "level": ("loud", "soft"),
    "distance": ("near", "distant"),
    "rate": ("fast", "slow"),
    "pitch": ("high", "low"),
    "length": ("long", "short"),
}

#: Each kind of event and the attributes that can be heard in it.
KINDS: dict[str, tuple[str, str]] = {
    "alarm": ("rate", "pitch"),
    "bell": ("pitch", "rate"),
    "bird": ("rate", "distance"),
    "cat": ("pitch", "length"),
    "clap": ("rate", "distance"),
    "clock": ("rate", "pitch"),
    "dog": ("pitch", "distance"),
    "drip": ("rate", "pitch"),
    "drum": ("rate", "pitch"),
    "engine": ("rate", "distance"),
    "fire": ("level", "rate"),
    "footsteps": ("rate", "level"),
    "horn": ("length", "distance"),
    "knock": ("rate", "level"),
    "phone": ("pitch", "distance"),
    "rain": ("level", "distance"),
    "saw": ("rate", "level"),
    "siren": ("rate", "distance"),
    "thunder": ("length", "distance"),
    "typing": ("rate", "level"),
    "whistle": ("pitch", "length"),
    "wind": ("level", "pitch"),
}

#: Kinds that are heard in one place; a scene takes its events from one setting, as a field recording would.
SETTINGS: dict[str, tuple[str, ...]] = {
    "street": ("engine", "horn", "siren", "footsteps", "dog", "rain", "bell", "whistle"),
    "country": ("bird", "wind", "rain", "thunder", "dog", "bell", "fire", "whistle"),
    "house": ("clock", "typing", "phone", "knock", "cat", "drip", "footsteps", "alarm"),
    "yard": ("saw", "drum", "clap", "bird", "cat", "wind", "engine", "knock"),
}

#: How the events of a scene fall into steps: (events in each step, probability).
LAYOUTS: tuple[tuple[tuple[int, ...], float], ...] = (
    ((1,), 0.34),
    ((1, 1), 0.26),
    ((2,), 0.22),
    ((1, 1, 1), 0.06),
    ((1, 2), 0.06),
    ((2, 1), 0.06),
)
MAX_EVENTS = 3

T = TypeVar("T")


def pick(rng: np.random.Generator, options: Sequence[T]) -> T:
    """One of `options`, each equally likely; unlike `rng.choice`, it hands back the object itself."""
    return options[int(rng.integers(len(options)))]


@dataclass(frozen=True, order=True)
class Event:
    """One sound.

    Args:
        kind: A key of `KINDS`.
        values: One value for each attribute of the kind, in the order of `KINDS[kind]`.

    Raises:
        ValueError: An unknown kind, or a value that its attribute does not have.

    >>> Event("dog", ("low", "distant")).attributes
    {'pitch': 'low', 'distance': 'distant'}
    """

    kind: str
    values: tuple[str, ...]

    def __post_init__(self) -> None:
        names = KINDS.get(self.kind)
        if names is None:
            raise ValueError(f"unknown kind of event {self.kind!r}: choose one of {', '.join(KINDS)}")
        fits = [value in ATTRIBUTES[name] for name, value in zip(names, self.values, strict=False)]
        if len(self.values) != len(names) or not all(fits):
            raise ValueError(f"{self.kind} takes a value for each of {', '.join(names)}, not {self.values}")

    @property
    def attributes(self) -> dict[str, str]:
        """Attribute name -> value."""
        return dict(zip(KINDS[self.kind], self.values, strict=True))

    @property
    def salience(self) -> float:
        """How far the event stands out: 1, or 0.6 where it is soft or distant, or 0.36 where it is both."""
        return float(0.6 ** sum(value in ("soft", "distant") for value in self.values))


@dataclass(frozen=True)
class Scene:
    """One to three events of different kinds, in steps.

    Args:
        steps: Steps follow each other; the events of one step sound together, and are kept sorted, so that two scenes
            are equal exactly when their descriptions are.

    Raises:
        ValueError: No event, more than `MAX_EVENTS`, an empty step, or a kind that occurs twice.

    >>> dog, bell = Event("dog", ("low", "near")), Event("bell", ("high", "slow"))
    >>> Scene(((dog, bell),)) == Scene(((bell, dog),))
    True
    >>> print(Scene(((dog,), (bell,))))
    dog(low, near) > bell(high, slow)
    """

    steps: tuple[tuple[Event, ...], ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", tuple(tuple(sorted(step)) for step in self.steps))
        kinds = [event.kind for event in self.events]
        if not 1 <= len(kinds) <= MAX_EVENTS or not all(self.steps) or len(set(kinds)) < len(kinds):
            raise ValueError(f"a scene has 1 to {MAX_EVENTS} events of different kinds and no empty step, not {self}")

    def __str__(self) -> str:
        return " > ".join(" + ".join(f"{e.kind}({', '.join(e.values)})" for e in step) for step in self.steps)

    @property
    def events(self) -> tuple[Event, ...]:
        """All events, step by step."""
        return tuple(event for step in self.steps for event in step)

    @property
    def main(self) -> Event:
        """The most salient event, the first of them where several are."""
        return max(self.events, key=lambda event: event.salience)


def draw_event(kind: str, rng: np.random.Generator) -> Event:
    """An event of `kind`, each attribute value equally likely."""
    return Event(kind, tuple(pick(rng, ATTRIBUTES[name]) for name in KINDS[kind]))


def draw_scene(rng: np.random.Generator) -> Scene:
    """A scene: a layout of `LAYOUTS`, a setting of `SETTINGS`, kinds of that setting, a value for each attribute."""
    layout = LAYOUTS[int(rng.choice(len(LAYOUTS), p=[probability for _, probability in LAYOUTS]))][0]
    kinds = pick(rng, tuple(SETTINGS.values()))
    events = iter([draw_event(kinds[i], rng) for i in rng.permutation(len(kinds))[: sum(layout)]])
    return Scene(tuple(tuple(next(events) for _ in range(count)) for count in layout))
