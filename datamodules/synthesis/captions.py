"""Five captions for a scene, as five annotators would write them: different words, grammar and detail."""

import re
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from datamodules.synthesis.scenes import Event, Scene, pick
from datamodules.synthesis.wordings import ADJECTIVES, ADVERBS, WORDINGS

Rng = np.random.Generator

#: How much one annotator says: the probability that an attribute is mentioned.
DETAIL = (0.1, 0.4, 0.8)
#: The probability that an annotator leaves an event out, by how far it stands out; the main event is never left out.
OMIT_PROMINENT, OMIT_FAINT = 0.12, 0.35

_SLOT = re.compile(r"\[(\w+)\] ?")
_CONDITION = re.compile(r"(\w+)=(\w+): ")


def write_captions(scene: Scene, rng: Rng, count: int = 5) -> tuple[str, ...]:
    """`count` different captions of a scene, each one sentence.

    Args:
        scene: What to describe.
        rng: Where all chance comes from: the same state gives the same captions.
        count: How many captions.

    >>> dog, bell = Event("dog", ("low", "near")), Event("bell", ("high", "slow"))
    >>> write_captions(Scene(((dog,), (bell,))), np.random.default_rng(2), count=1)
    ('A large dog barks several times up close, followed by the slow ringing of a small bell.',)
    """
    captions: dict[str, None] = {}
    while len(captions) < count:
        captions[write_caption(scene, rng)] = None
    return tuple(captions)


def write_caption(scene: Scene, rng: Rng) -> str:
    """One caption: one annotator's choice of events, of detail and of words."""
    say = _Speaker(rng, pick(rng, DETAIL))
    kept = [[event for event in step if _mentions(event, scene, rng)] for step in scene.steps]
    text = say.sequence([sorted(step, key=lambda event: -event.salience) for step in kept if step])
    return text[0].upper() + text[1:] + "."


def name_event(event: Event, rng: Rng, mention: Sequence[str] = ()) -> str:
    """An event as a noun phrase that mentions these attributes and no others, without capital and full stop.

    >>> name_event(Event("dog", ("low", "near")), np.random.default_rng(0), ("pitch",))
    'the barks of a large dog'
    """
    fitting = [text for text in WORDINGS[event.kind].nouns if all(f"[{name}]" in text for name in mention)]
    return _Speaker(rng, 0.0).name(event, pick(rng, fitting), {name: event.attributes[name] for name in mention})


def _mentions(event: Event, scene: Scene, rng: Rng) -> bool:
    omit = OMIT_PROMINENT if event.salience == 1 else OMIT_FAINT
    return event == scene.main or rng.random() >= omit


class _Speaker:
    """The grammar, as one annotator uses it.

    A *sentence* has a finite verb ("a dog barks", "a dog is barking"), a *noun* has none ("a dog barking", "the barking
    of a dog"). A step is the events that sound together, the most salient first.
    """

    def __init__(self, rng: Rng, detail: float) -> None:
        self.rng = rng
        self.detail = detail

    def sequence(self, steps: Sequence[Sequence[Event]]) -> str:
        """The whole caption, without capital and full stop."""
        if len(steps) == 1:
            return self.alone(steps[0])
        if len(steps) == 2:
            return self.two(*steps)
        return self.three(*steps)

    def alone(self, step: Sequence[Event]) -> str:
        """A caption in which nothing follows."""
        form = self.rng.random()
        if form < 0.6:
            return self.sentence(step)
        if form < 0.75:
            return self.noun(step)
        if form < 0.9:
            return f"{self.noun(step)} can be heard"
        return f"the sound of {self.noun(step)}"

    def two(self, first: Sequence[Event], second: Sequence[Event]) -> str:
        """Two steps, one after the other."""
        forms = [
            lambda: f"{self.sentence(first)}, then {self.sentence(second)}",
            lambda: f"{self.sentence(first)}, and then {self.sentence(second)}",
            lambda: f"{self.sentence(first)}, followed by {self.noun(second)}",
            lambda: f"{self.noun(first)}, followed by {self.noun(second)}",
            lambda: f"{self.noun(first)}, then {self.noun(second)}",
            lambda: f"first {self.sentence(first)}, then {self.sentence(second)}",
            lambda: f"after {self.noun(first)}, {self.sentence(second)}",
        ]
        if len(first) == len(second) == 1:
            forms.append(lambda: f"{self.clause(first[0], 'present')} before {self.clause(second[0], 'present')}")
            forms.append(lambda: f"{self.clause(second[0], 'present')} after {self.clause(first[0], 'present')}")
        return pick(self.rng, forms)()

    def three(self, first: Sequence[Event], second: Sequence[Event], third: Sequence[Event]) -> str:
        """Three steps, one after the other."""
        forms = (
            lambda: f"{self.sentence(first)}, then {self.sentence(second)}, and finally {self.sentence(third)}",
            lambda: f"{self.sentence(first)}, followed by {self.noun(second)}, and then {self.noun(third)}",
            lambda: f"{self.noun(first)}, followed by {self.noun(second)}, and then {self.noun(third)}",
            lambda: f"first {self.sentence(first)}, then {self.sentence(second)}, and lastly {self.sentence(third)}",
            lambda: f"after {self.noun(first)}, {self.sentence(second)}, and then {self.sentence(third)}",
        )
        return pick(self.rng, forms)()

    def sentence(self, step: Sequence[Event]) -> str:
        """A step with finite verbs."""
        if len(step) == 1:
            return self.clause(step[0], "finite")
        main, other = step
        first, second = self.clause(main, "finite"), self.clause(other, "finite")
        forms = [f"{first} while {second}", f"{first} as {second}", f"{first} and {second} at the same time"]
        forms.append(f"{first} over the sound of {self.label(other)}")
        if " with " not in first:
            forms.append(f"{first} with {self.clause(other, 'participle')}")
            if other.salience < 1:
                forms.append(f"{first} with {self.label(other, but='distance')} in the background")
        return pick(self.rng, forms)

    def noun(self, step: Sequence[Event]) -> str:
        """A step without a finite verb."""
        nouns = (self.label(e) if self.rng.random() < 0.5 else self.clause(e, "participle") for e in step)
        return " and ".join(nouns)

    def label(self, event: Event, but: str = "") -> str:
        """An event as a noun phrase: "the slow ringing of a small bell"; the attribute `but` is not mentioned."""
        mentioned = self._mentioned(event)
        mentioned.pop(but, None)
        return self.name(event, pick(self.rng, WORDINGS[event.kind].nouns), mentioned)

    def name(self, event: Event, noun: str, mentioned: dict[str, str]) -> str:
        """A noun phrase with the mentioned attributes in its slots."""
        return _articles(self._adjectives(event, noun, mentioned))

    def clause(self, event: Event, form: Literal["present", "finite", "participle"]) -> str:
        """An event as a clause: "a dog barks", that or "a dog is barking", or "a dog barking"."""
        wording, attributes = WORDINGS[event.kind], event.attributes
        fitting = [c for c in wording.clauses if not (m := _CONDITION.match(c)) or attributes.get(m[1]) == m[2]]
        chosen = pick(self.rng, fitting)
        mentioned = self._mentioned(event)
        if said := _CONDITION.match(chosen):
            mentioned.pop(said[1], None)
        subject, present, participle = (part.strip() for part in _CONDITION.sub("", chosen).split("|"))
        plural = not present.split()[0].endswith("s")
        if form == "participle":
            verb = participle
        elif form == "finite" and self.rng.random() < 0.5 and not participle.startswith("being"):
            verb = f"{'are' if plural else 'is'} {participle}"
        else:
            verb = present
        text = self._adjectives(event, f"{subject} {verb}", mentioned)
        return _articles(self._adverbs(event, text, mentioned))

    def _mentioned(self, event: Event) -> dict[str, str]:
        """The attributes this annotator mentions this time; what is said is taken out, so that it is said once."""
        return {name: value for name, value in event.attributes.items() if self.rng.random() < self.detail}

    def _adjectives(self, event: Event, text: str, mentioned: dict[str, str]) -> str:
        def word(slot: re.Match[str]) -> str:
            value = mentioned.pop(slot[1], None)
            own = WORDINGS[event.kind].adjectives
            return "" if value is None else pick(self.rng, _words(value, own, ADJECTIVES)) + " "

        return _SLOT.sub(word, text)

    def _adverbs(self, event: Event, text: str, mentioned: dict[str, str]) -> str:
        own = WORDINGS[event.kind].adverbs
        words = {name: pick(self.rng, _words(value, own, ADVERBS)) for name, value in mentioned.items()}
        place = words.pop("distance", "")
        single = " and ".join(word for word in words.values() if " " not in word)
        phrases = " and ".join(word for word in words.values() if " " in word)
        text = text.replace("~", single) if "~" in text else f"{text} {single}"
        return " ".join(f"{text} {phrases} {place}".split())


def _words(value: str, own: Mapping[str, tuple[str, ...]], common: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    return own.get(value, common[value])


def _articles(text: str) -> str:
    """`a` before a consonant, `an` before a vowel."""
    text = re.sub(r"\ban (?=[^aeiou])", "a ", text)
    return re.sub(r"\ba (?=[aeiou])", "an ", text)
