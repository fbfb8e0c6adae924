"""None"""

import itertools
import re
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datamodules.synthesis.captions import write_captions
from datamodules.synthesis.clips import background, place, render_clip, to_pcm16
from datamodules.synthesis.events import SYNTHESISERS
from datamodules.synthesis.scenes import ATTRIBUTES, KINDS, LAYOUTS, SETTINGS, Event, Scene, draw_event, draw_scene
from datamodules.synthesis.signals import SAMPLE_RATE, loudest
from datamodules.synthesis.truth import FAMILIES, relevance
from datamodules.synthesis.wordings import WORDINGS

# What a reader would accept as naming the kind: written without a look at the templates.
NAMES = {
    "alarm": r"alarm|beep|bleep|smoke detector",
    "bell": r"bell|chime",
    "bird": r"bird|chirp",
    "cat": r"\bcat\b|kitten|meow",
    "clap": r"clap",
    "clock": r"clock|tick|watch|timepiece",
    "dog": r"\bdog\b|hound|puppy|bark",
    "drip": r"drip|drops of water",
    "drum": r"drum",
    "engine": r"engine|motor|\bcar\b",
    "fire": r"fire|burning wood",
    "footsteps": r"steps|runs?\b|running|walk|stepping",
    "horn": r"horn|honk",
    "knock": r"knock|rap(s|ping)\b",
    "phone": r"phone|ringtone",
    "rain": r"rain|drizzl",
    "saw": r"\bsaw|carpenter",
    "siren": r"siren",
    "thunder": r"thunder",
    "typing": r"typ(es|ing)|key|keyboard",
    "whistle": r"whistl",
    "wind": r"\bwind\b|breeze",
}
seeds = st.integers(0, 2**32 - 1)


def scene(seed: int) -> Scene:
    return draw_scene(np.random.default_rng(seed))


def every_event() -> Iterator[Event]:
    for kind, names in KINDS.items():
        for values in itertools.product(*(ATTRIBUTES[name] for name in names)):
            yield Event(kind, values)


def between(a: Scene, b: Scene) -> float:
    return float(relevance([a], [b])[0, 0])


def naive_relevance(a: Scene, b: Scene) -> float:
    """The documented formula, word by word, over all one-to-one matchings."""

    def match(e: Event, f: Event) -> float:
        if e.kind == f.kind:
            kind = 1.0
        elif any({e.kind, f.kind} <= family for family in FAMILIES.values()):
            kind = 0.3
        else:
            return 0.0
        shared = e.attributes.keys() & f.attributes.keys()
        differing = sum(e.attributes[name] != f.attributes[name] for name in shared)
        return kind * (1 - 0.4 * (differing / len(shared) if shared else 0))

    few, many = sorted((a.events, b.events), key=len)
    overlap = max(
        sum((e.salience + f.salience) * match(e, f) for e, f in zip(few, chosen, strict=True))
        for chosen in itertools.permutations(many, len(few))
    ) / sum(event.salience for event in (*few, *many))

    def step(s: Scene, kind: str) -> int:
        return next(i for i, events in enumerate(s.steps) if kind in {event.kind for event in events})

    kinds = {e.kind for e in a.events} & {e.kind for e in b.events}
    differences = [
        abs(np.sign(step(a, k) - step(a, m)) - np.sign(step(b, k) - step(b, m))) / 2
        for k, m in itertools.combinations(sorted(kinds), 2)
    ]
    return overlap * (1 - 0.3 * (float(np.mean(differences)) if differences else 0))


def test_tables_agree() -> None:
    assert set(SYNTHESISERS) == set(WORDINGS) == set(KINDS) == set(NAMES)
    assert {kind for kinds in SETTINGS.values() for kind in kinds} == set(KINDS)
    assert {kind for kinds in FAMILIES.values() for kind in kinds} <= set(KINDS)
    assert {name for names in KINDS.values() for name in names} == set(ATTRIBUTES)
    assert sum(probability for _, probability in LAYOUTS) == pytest.approx(1)


def test_together_has_no_order_but_then_has() -> None:
    dog, bell = Event("dog", ("low", "near")), Event("bell", ("high", "slow"))
    assert Scene(((dog, bell),)) == Scene(((bell, dog),))
    assert Scene(((dog,), (bell,))) != Scene(((bell,), (dog,)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Event("cow", ()), "unknown kind of event 'cow'"),
        (lambda: Event("dog", ("low",)), "dog takes a value for each of pitch, distance"),
        (lambda: Event("dog", ("near", "low")), "dog takes a value for each of pitch, distance"),
        (lambda: Scene(()), "1 to 3 events"),
        (lambda: Scene(((Event("dog", ("low", "near")),), ())), "no empty step"),
        (lambda: Scene(((Event("dog", ("low", "near")), Event("dog", ("high", "near"))),)), "different kinds"),
    ],
)
def test_senseless_scenes_are_refused(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()  # type: ignore[operator]


def test_relevance_matches_the_documented_formula() -> None:
    scenes = [scene(seed) for seed in range(60)]
    expected = [[naive_relevance(a, b) for b in scenes] for a in scenes]
    np.testing.assert_allclose(relevance(scenes, scenes), expected, atol=1e-6)


def test_relevance_is_symmetric_graded_and_one_only_for_equal_descriptions() -> None:
    scenes = [scene(seed) for seed in range(300)]  # more than one block of rows
    scenes += scenes[:20]
    truth = relevance(scenes, scenes)
    assert truth.dtype == np.float32
    assert truth.shape == (320, 320)
    np.testing.assert_array_equal(truth, truth.T)
    np.testing.assert_array_equal(truth == 1, [[a == b for b in scenes] for a in scenes])
    assert truth.min() == 0
    assert truth.max() == 1
    assert 0.05 < np.mean((truth > 0.2) & (truth < 1)) < 0.5


@given(seeds, seeds)
def test_each_event_shared_raises_relevance(seed: int, other: int) -> None:
    """Events of a scene are replaced one by one by events of kinds that nothing in it is related to."""
    rng = np.random.default_rng(other)
    a = scene(seed)
    near = {k for e in a.events for f in FAMILIES.values() if e.kind in f for k in f} | {e.kind for e in a.events}
    strangers = iter([str(kind) for kind in rng.permutation(sorted(set(KINDS) - near))])
    b, values = a, [1.0]
    for gone in a.events:
        new = draw_event(next(strangers), rng)
        b = Scene(tuple(tuple(new if event == gone else event for event in step) for step in b.steps))
        values.append(between(a, b))
    assert values[-1] == 0
    assert all(more > less for more, less in itertools.pairwise(values))


@given(seeds)
def test_each_attribute_shared_raises_relevance(seed: int) -> None:
    a = scene(seed)
    b, values = a, [1.0]
    for event in a.events:
        for i, name in enumerate(KINDS[event.kind]):
            current = b.events
            opposite = next(value for value in ATTRIBUTES[name] if value != event.values[i])
            old = next(e for e in current if e.kind == event.kind)
            new = Event(event.kind, (*old.values[:i], opposite, *old.values[i + 1 :]))
            b = Scene(tuple(tuple(new if e == old else e for e in step) for step in b.steps))
            values.append(between(a, b))
    assert values[-1] == pytest.approx(0.6)
    assert all(more > less for more, less in itertools.pairwise(values))


def test_order_kind_and_salience_count() -> None:
    dog, bell = Event("dog", ("low", "near")), Event("bell", ("high", "slow"))
    faint = Event("dog", ("low", "distant"))
    then = Scene(((dog,), (bell,)))
    assert between(then, Scene(((bell,), (dog,)))) == pytest.approx(0.7)  # reversed
    assert between(then, Scene(((bell, dog),))) == pytest.approx(0.85)  # together
    assert between(Scene(((dog,),)), Scene(((Event("cat", ("low", "long")),),))) == pytest.approx(0.3)  # one family
    assert between(Scene(((dog,),)), Scene(((bell,),))) == 0
    assert between(Scene(((bell, faint),)), Scene(((bell,),))) > between(Scene(((bell, dog),)), Scene(((bell,),)))


def test_every_event_can_be_heard_and_is_not_clipped() -> None:
    for number, event in enumerate(every_event()):
        x = render_clip(Scene(((event,),)), np.random.default_rng(number))
        assert 3 * SAMPLE_RATE <= len(x) <= 6 * SAMPLE_RATE
        assert np.isfinite(x).all(), event
        assert np.abs(x).max() <= 0.95, event
        assert np.mean(np.abs(x) > 0.94) < 1e-3, event


def test_every_event_stands_out_from_the_loudest_background() -> None:
    n, hum = 2 * SAMPLE_RATE, max(loudest(background(SAMPLE_RATE, np.random.default_rng(seed))) for seed in range(50))
    for number, event in enumerate(every_event()):
        assert loudest(place(event, n, np.random.default_rng(number))) > 1.4 * hum, event


def test_loud_is_louder_than_soft_and_near_brighter_than_distant() -> None:
    def clip(kind: str, *values: str) -> np.ndarray:
        return render_clip(Scene(((Event(kind, values),),)), np.random.default_rng(5))

    def centroid(x: np.ndarray) -> float:
        power = np.abs(np.fft.rfft(x)) ** 2
        return float(np.sum(np.fft.rfftfreq(len(x), 1 / SAMPLE_RATE) * power) / power.sum())

    for kind in ("footsteps", "knock", "saw", "typing"):
        assert loudest(clip(kind, "slow", "loud")) > 2 * loudest(clip(kind, "slow", "soft")), kind
    for kind in ("dog", "phone"):
        assert centroid(clip(kind, "high", "near")) > centroid(clip(kind, "low", "near")), kind
        assert centroid(clip(kind, "high", "near")) > centroid(clip(kind, "high", "distant")), kind


@pytest.mark.slow
def test_kinds_sound_unlike_each_other() -> None:
    """Nearest centroid on band levels and their movement names single events far above the chance of 1 in 22."""

    def features(kind: str, seed: int) -> np.ndarray:
        rng = np.random.default_rng([seed, list(KINDS).index(kind)])
        x = render_clip(Scene(((draw_event(kind, rng),),)), rng)
        frames = np.abs(np.fft.rfft(x[: len(x) // 512 * 512].reshape(-1, 512) * np.hanning(512))) ** 2
        edges = np.unique(np.geomspace(2, 257, 25).astype(int))
        levels = np.log(np.stack([frames[:, a:b].mean(1) for a, b in itertools.pairwise(edges)], 1) + 1e-6)
        return np.concatenate([levels.mean(0), levels.std(0), np.abs(np.diff(levels, axis=0)).mean(0)])

    train = np.array([[features(kind, seed) for seed in range(6)] for kind in KINDS])  # (K, 6, F)
    test = np.array([[features(kind, seed) for seed in range(6, 8)] for kind in KINDS])  # (K, 2, F)
    scale = train.std((0, 1))
    distance = np.linalg.norm((test[:, :, None] - train.mean(1)[None, None]) / scale, axis=-1)  # (K, 2, K)
    assert np.mean(distance.argmin(-1) == np.arange(len(KINDS))[:, None]) > 0.35


def test_two_clips_of_one_description_differ() -> None:
    one = scene(1)
    first, second = (to_pcm16(render_clip(one, np.random.default_rng(seed))) for seed in (1, 2))
    assert first.dtype == np.int16
    assert first.tobytes() != second.tobytes()


@given(seeds)
def test_captions_are_five_sentences_that_name_the_main_event(seed: int) -> None:
    one = scene(seed)
    captions = write_captions(one, np.random.default_rng(seed))
    assert len(set(captions)) == 5
    for caption in captions:
        assert re.search(NAMES[one.main.kind], caption, re.IGNORECASE), (str(one), caption)
        assert re.fullmatch(r"[A-Z][a-z',\- ]*[a-z]\.", caption), caption
        assert not re.search(r"  |\[|~|\ba [aeiou]|\ban [^aeiou]|,,|\b(\w+) \1\b", caption), caption


def test_every_wording_is_well_formed_and_agrees_in_number() -> None:
    plural = {"footsteps", "raindrops", "keys", "fingers", "logs", "drops", "gusts"}
    for kind, wording in WORDINGS.items():
        for clause in wording.clauses:
            condition, _, rest = clause.rpartition(": ")
            if condition:
                name, value = condition.split("=")
                assert name in KINDS[kind], clause
                assert value in ATTRIBUTES[name], clause
            subject, present, participle = rest.split(" | ")
            slots = re.findall(r"\[(\w+)\]", rest)
            assert set(slots) <= set(KINDS[kind]), clause
            assert participle.split()[0].endswith("ing"), clause
            assert present.split()[0].endswith("s") != bool(plural & set(subject.split())), clause
        for noun in wording.nouns:
            assert set(re.findall(r"\[(\w+)\]", noun)) <= set(KINDS[kind]), noun
        for value in (*wording.adjectives, *wording.adverbs):
            assert any(value in ATTRIBUTES[name] for name in KINDS[kind]), (kind, value)


def test_captions_tell_order_and_vary_in_detail() -> None:
    then = Scene(((Event("dog", ("low", "near")),), (Event("bell", ("high", "slow")),)))
    rng = np.random.default_rng(0)
    captions = [caption for _ in range(40) for caption in write_captions(then, rng)]
    both = [c for c in captions if re.search(NAMES["dog"], c, re.I) and re.search(NAMES["bell"], c, re.I)]
    assert 0.8 < len(both) / len(captions) < 1
    for caption in both:
        dog_first = re.search(NAMES["dog"], caption, re.I).start() < re.search(NAMES["bell"], caption, re.I).start()  # type: ignore[union-attr]
        assert re.search(r"\bthen\b|followed by|\bafter\b|\bbefore\b", caption, re.I), caption
        told_backwards = re.search(r"\w after ", caption) is not None
        assert dog_first != told_backwards, caption
    assert any("slow" in c or "toll" in c for c in both)
    assert any("slow" not in c and "toll" not in c for c in both)
