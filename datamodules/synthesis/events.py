"""The sounds: one small synthesiser for each kind of event, written from scratch.

A synthesiser takes the samples to fill, a random generator and the event's attributes, and gives `(n,)` float64 of any
level: `clips` sets level and distance. Each event draws its own parameters, so two events of one description differ;
the ranges of an attribute's two values do not meet, so that the attribute can be heard.
"""

from collections.abc import Callable, Mapping

import numpy as np

from datamodules.synthesis.scenes import Event
from datamodules.synthesis.signals import (
    SAMPLE_RATE,
    Signal,
    band,
    beats,
    decay,
    draw,
    fade,
    impulses,
    lowpass,
    noise,
    place,
    reverberate,
    samples,
    tone,
    wander,
)

Rng = np.random.Generator
Values = Mapping[str, str]


def _ring(n: int, frequency: float, seconds: float, overtones: Mapping[float, float]) -> Signal:
    """A struck body: decaying tones at multiples of `frequency` (ratio -> amplitude), the higher the shorter."""
    t = np.arange(n) / SAMPLE_RATE
    out = np.zeros(n)
    for ratio, amplitude in overtones.items():
        if ratio * frequency < 0.45 * SAMPLE_RATE:
            out += amplitude * np.sin(2 * np.pi * ratio * frequency * t) * decay(n, seconds / ratio**0.7)
    return out


def _blasts(n: int, rng: Rng, length: str, long: float, short: float, gap: float) -> list[tuple[int, int]]:
    """(start, samples) of sounds that last about `long` or `short` seconds with pauses of about `gap` seconds."""
    out, start = [], int(rng.uniform(0, 0.1) * SAMPLE_RATE)
    while start < n - samples(0.15):
        size = samples((long if length == "long" else short) * rng.uniform(0.85, 1.15))
        out.append((start, min(size, n - start)))
        start += size + samples(gap * rng.uniform(0.7, 1.4))
    return out


def alarm(n: int, rng: Rng, a: Values) -> Signal:
    """Electronic beeps: a hard tone switched on and off."""
    pitch = draw(rng, a["pitch"], high=(2400, 3400), low=(700, 1100))
    rate = draw(rng, a["rate"], fast=(5, 8), slow=(1.2, 2.0))
    size = samples(rng.uniform(0.4, 0.6) / rate)
    beep = tone(np.full(size, pitch), (1, 0, 0.33, 0, 0.2)) * fade(size, 0.004, 0.004)
    starts = beats(n, rng, rate, 0)
    return place(n, starts, [beep] * len(starts))


def bell(n: int, rng: Rng, a: Values) -> Signal:
    """A struck bell: inharmonic partials that ring on."""
    pitch = draw(rng, a["pitch"], high=(750, 1200), low=(220, 360))
    starts = beats(n, rng, draw(rng, a["rate"], fast=(2.6, 4.0), slow=(0.7, 1.1)), 0.03)
    partials = {r: w * rng.uniform(0.6, 1.4) for r, w in {0.5: 0.5, 1: 1, 1.2: 0.7, 1.5: 0.4, 2: 0.8, 2.7: 0.4}.items()}
    strike = _ring(samples(2.5), pitch, rng.uniform(0.4, 0.8), partials)
    return place(n, starts, [strike * rng.uniform(0.7, 1) for _ in starts])


def bird(n: int, rng: Rng, a: Values) -> Signal:
    """Chirps: short tones that sweep at a few kilohertz."""
    rate = draw(rng, a["rate"], fast=(7, 10), slow=(1.8, 3.0))
    base, width = rng.uniform(2800, 4200), rng.uniform(500, 1800) * rng.choice([-1, 1])
    starts = beats(n, rng, rate, 0.12)
    chirps = []
    for _ in starts:
        size = samples(rng.uniform(0.06, 0.09) if a["rate"] == "fast" else rng.uniform(0.12, 0.25))
        sweep = np.linspace(0, 1, size) ** rng.uniform(0.7, 1.5)
        flutter = 250 * np.sin(2 * np.pi * 35 * np.arange(size) / SAMPLE_RATE) * (a["rate"] == "slow")
        pitch = base + width * sweep + flutter + rng.uniform(-200, 200)
        chirps.append(tone(pitch, (1, 0.08)) * fade(size, 0.01, 0.03) * rng.uniform(0.6, 1))
    return place(n, starts, chirps)


def cat(n: int, rng: Rng, a: Values) -> Signal:
    """Meows: a harmonic voice whose pitch rises and falls while its mouth opens and closes."""
    base = draw(rng, a["pitch"], high=(650, 850), low=(300, 420))
    spans = _blasts(n, rng, a["length"], long=1.2, short=0.3, gap=0.45)
    meows = []
    for _, size in spans:
        arc = np.sin(np.pi * np.linspace(0.05, 1, size) ** 0.7)
        voice = tone(base * (0.85 + 0.35 * arc) * (1 + 0.01 * wander(size, rng, 20)), [1 / k for k in range(1, 13)])
        vowel = band(voice, 700, 1500) * arc + 0.6 * band(voice, 1800, 3000) * arc**2 + 0.15 * voice
        meows.append(vowel * fade(size, 0.05, 0.08))
    return place(n, [start for start, _ in spans], meows)


def clap(n: int, rng: Rng, a: Values) -> Signal:
    """Hand claps: noise bursts of a few milliseconds, each a little unlike the last."""
    starts = beats(n, rng, draw(rng, a["rate"], fast=(4, 6), slow=(1.2, 1.9)), 0.08)
    centre, size = rng.uniform(900, 1500), samples(0.12)
    claps = []
    for _ in starts:
        burst = decay(size, 0.004) + 0.8 * np.roll(decay(size, 0.012), samples(rng.uniform(0.005, 0.012)))
        claps.append(band(noise(size, rng) * burst, 0.6 * centre, 2.0 * centre) * rng.uniform(0.7, 1))
    return reverberate(place(n, starts, claps), rng, 0.3, 0.25)


def clock(n: int, rng: Rng, a: Values) -> Signal:
    """Tick and tock: two clicks in turn, perfectly regular."""
    starts = beats(n, rng, draw(rng, a["rate"], fast=(4.5, 6.0), slow=(1.4, 2.2)), 0)
    pitch = draw(rng, a["pitch"], high=(3200, 4800), low=(700, 1200))
    size = samples(0.08)
    clicks = [_ring(size, pitch * ratio, 0.012, {1: 1, 1.6: 0.6, 2.3: 0.3}) for ratio in (1, rng.uniform(0.75, 0.88))]
    clicks = [click + 0.4 * band(noise(size, rng), 1500, 6000) * decay(size, 0.002) for click in clicks]
    return place(n, starts, [clicks[i % 2] for i in range(len(starts))])


def dog(n: int, rng: Rng, a: Values) -> Signal:
    """Barks: a rough voice that jumps up and drops, with breath in it."""
    base = draw(rng, a["pitch"], high=(520, 760), low=(150, 250))
    mouth = draw(rng, a["pitch"], high=(1500, 2200), low=(550, 900))
    starts = beats(n, rng, rng.uniform(1.6, 2.8), 0.2)
    barks = []
    for _ in starts:
        size = samples(rng.uniform(0.14, 0.24))
        arc = np.sin(np.pi * np.linspace(0, 1, size) ** 0.6)
        voice = tone(base * (0.7 + 0.5 * arc) * (1 + 0.06 * wander(size, rng, 90)), [1 / k**0.7 for k in range(1, 16)])
        breath = noise(size, rng) * rng.uniform(0.4, 0.8)
        bark = band(voice + breath, 0.6 * mouth, 1.5 * mouth, 1) + 0.3 * lowpass(voice, 1.5 * base)
        barks.append(np.tanh(2 * bark) * fade(size, 0.012, 0.08) * rng.uniform(0.7, 1))
    return reverberate(place(n, starts, barks), rng, 0.25, 0.1)


def drip(n: int, rng: Rng, a: Values) -> Signal:
    """Drops into water: each bubble a short tone that slides up."""
    starts = beats(n, rng, draw(rng, a["rate"], fast=(5, 8), slow=(1.2, 2.0)), 0.1)
    pitch = draw(rng, a["pitch"], high=(1500, 2300), low=(450, 750))
    drops = []
    for _ in starts:
        size = samples(0.13)
        rise = 1 + rng.uniform(0.3, 0.7) * np.linspace(0, 1, size)
        drops.append(tone(pitch * rng.uniform(0.93, 1.07) * rise) * decay(size, 0.022, 0.003) * rng.uniform(0.6, 1))
    return reverberate(place(n, starts, drops), rng, 0.5, 0.12)


def drum(n: int, rng: Rng, a: Values) -> Signal:
    """A struck skin: a tone that drops in pitch, and the slap of the stick."""
    starts = beats(n, rng, draw(rng, a["rate"], fast=(4.5, 7), slow=(1.3, 2.0)), 0.03)
    pitch = draw(rng, a["pitch"], high=(260, 400), low=(65, 105))
    size = samples(0.35)
    skin = tone(pitch * (1 + 0.7 * decay(size, 0.03)), (1, 0.35, 0.2)) * decay(size, rng.uniform(0.06, 0.12))
    slap = band(noise(size, rng), 3 * pitch, min(12 * pitch, 5000)) * decay(size, 0.015)
    return place(
        n, starts, [(skin + rng.uniform(0.2, 0.4) * slap) * (1 if i % 4 == 0 else 0.7) for i in range(len(starts))]
    )


def engine(n: int, rng: Rng, a: Values) -> Signal:
    """A motor: a train of low pulses whose speed wavers, and its roar."""
    speed = draw(rng, a["rate"], fast=(85, 130), slow=(24, 38))
    drift = 1 + (0.35 * (wander(n, rng, 1.2) - 0.3) if a["rate"] == "fast" else 0.06 * wander(n, rng, 3))
    pulses = tone(speed * drift, [1, 0.8, 0.9, 0.6, 0.7, 0.5, 0.4, 0.4, 0.3, 0.3, 0.2, 0.2])
    roar = lowpass(noise(n, rng, 1), 900) * (0.3 + 0.5 * np.maximum(tone(speed * drift), 0))
    return lowpass(np.tanh(1.5 * pulses), 1600) + rng.uniform(0.4, 0.8) * roar


def fire(n: int, rng: Rng, a: Values) -> Signal:
    """Flames: a soft roar, and crackles that snap at random."""
    roar = lowpass(noise(n, rng, 1.5), 500) * (0.4 + 0.6 * wander(n, rng, 4))
    density = draw(rng, a["rate"], fast=(35, 60), slow=(4, 8))
    snaps = band(impulses(n, rng, density), 1200, 5500) + 0.7 * band(impulses(n, rng, density / 2), 500, 1800)
    return np.asarray(0.10 * roar + snaps * (1.0 + 0.8 * wander(n, rng, 2)))


def footsteps(n: int, rng: Rng, a: Values) -> Signal:
    """Steps: the thump of the heel, then the scuff of the sole."""
    starts = beats(n, rng, draw(rng, a["rate"], fast=(3.2, 4.4), slow=(1.3, 1.9)), 0.04)
    weight, sole, size = rng.uniform(70, 130), rng.uniform(900, 2200), samples(0.22)
    steps = []
    for i in range(len(starts)):
        thump = tone(np.full(size, weight * (1.06 if i % 2 else 1)), (1, 0.6, 0.3)) * decay(size, 0.03)
        scuff = band(noise(size, rng), sole, 2.2 * sole) * np.roll(decay(size, 0.025), samples(rng.uniform(0.02, 0.04)))
        steps.append(
            (thump + 0.5 * scuff + 0.5 * band(noise(size, rng), 300, 900) * decay(size, 0.01)) * rng.uniform(0.8, 1)
        )
    return place(n, starts, steps)


def horn(n: int, rng: Rng, a: Values) -> Signal:
    """A car horn: two steady reedy tones a third apart."""
    base, ratio = rng.uniform(330, 470), rng.choice([1.2, 1.25, 1.26])
    spans = _blasts(n, rng, a["length"], long=1.5, short=0.22, gap=0.3)
    honks = []
    for _, size in spans:
        reed = sum(tone(np.full(size, base * r), [1 / k**0.6 for k in range(1, 11)]) for r in (1, ratio))
        honks.append(band(np.asarray(reed), 300, 3800) * fade(size, 0.015, 0.03))
    return place(n, [start for start, _ in spans], honks)


def knock(n: int, rng: Rng, a: Values) -> Signal:
    """Knuckles on a door: groups of short woody thuds with pauses between."""
    rate = draw(rng, a["rate"], fast=(6, 8), slow=(1.8, 2.6))
    beat = beats(n, rng, rate, 0.05)
    group = int(rng.integers(3, 6)) + 1
    starts = [start for i, start in enumerate(beat) if a["rate"] == "slow" or i % (group + 2) < group]
    wood, size = rng.uniform(260, 420), samples(0.12)
    thuds = []
    for _ in starts:
        body = _ring(size, wood * rng.uniform(0.97, 1.03), 0.025, {1: 1, 1.9: 0.6, 3.3: 0.4, 5.1: 0.2})
        thuds.append((body + 0.3 * band(noise(size, rng), 600, 3000) * decay(size, 0.004)) * rng.uniform(0.75, 1))
    return reverberate(place(n, starts, thuds), rng, 0.25, 0.1)


def phone(n: int, rng: Rng, a: Values) -> Signal:
    """A telephone: two tones that warble twenty times a second, ringing and pausing."""
    pitch = draw(rng, a["pitch"], high=(1700, 2400), low=(620, 900))
    spans = _blasts(n, rng, "long", long=rng.uniform(0.6, 0.9), short=0, gap=0.35)
    ratio, warble = rng.uniform(1.18, 1.3), rng.uniform(16, 24)
    rings = []
    for _, size in spans:
        first = np.sin(2 * np.pi * warble * np.arange(size) / SAMPLE_RATE) > 0
        rings.append(tone(np.where(first, pitch, pitch * ratio), (1, 0.3, 0.2)) * fade(size, 0.01, 0.06))
    return place(n, [start for start, _ in spans], rings)


def rain(n: int, rng: Rng, a: Values) -> Signal:
    """A hiss of countless drops, and the near ones one by one; heavy rain hisses more and is deeper."""
    heavy = a["level"] == "loud"
    low = rng.uniform(300, 600) if heavy else rng.uniform(1800, 2600)
    hiss = band(noise(n, rng), low, 7000, 1) * (0.8 + 0.2 * wander(n, rng, 3))
    drops = band(impulses(n, rng, rng.uniform(150, 300) if heavy else rng.uniform(40, 80)), 1500, 6500)
    return np.asarray((0.8 if heavy else 0.18) * hiss + 3 * drops)


def saw(n: int, rng: Rng, a: Values) -> Signal:
    """A hand saw: rasping strokes, push and pull, the teeth heard as a buzz."""
    rate = draw(rng, a["rate"], fast=(2.4, 3.4), slow=(0.7, 1.0))
    stroke = 2 * np.pi * (rate * np.arange(n) / SAMPLE_RATE + rng.uniform(0, 1))
    speed = np.abs(np.sin(stroke))
    teeth = tone(60 + rng.uniform(90, 160) * speed, (1, 0.5, 0.3))
    colour = np.where(np.sin(stroke) > 0, 1.0, 0.0)
    rasp = noise(n, rng)
    rasp = band(rasp, 2200, 6500) * colour + 0.7 * band(rasp, 900, 3500) * (1 - colour)
    return np.asarray(rasp * speed**1.5 * (0.4 + np.maximum(teeth, 0)))


def siren(n: int, rng: Rng, a: Values) -> Signal:
    """A wail that climbs and falls without a pause."""
    rate = draw(rng, a["rate"], fast=(2.2, 3.5), slow=(0.3, 0.5))
    low, high = rng.uniform(500, 700), rng.uniform(1200, 1600)
    swing = 0.5 - 0.5 * np.cos(2 * np.pi * (rate * np.arange(n) / SAMPLE_RATE + rng.uniform(0, 1)))
    return tone(low + (high - low) * swing, (1, 0.5, 0.35, 0.2))


def thunder(n: int, rng: Rng, a: Values) -> Signal:
    """A crack where it is near, then rumbling that dies away soon or rolls on."""
    long = a["length"] == "long"
    start = int(rng.uniform(0.02, 0.12) * n)
    t = np.maximum(np.arange(n) - start, 0) / SAMPLE_RATE
    envelope = np.exp(-t / (2.5 if long else 0.3)) * (t > 0) * np.minimum(t / 0.03, 1)
    if long:
        envelope *= 0.25 + wander(n, rng, 4) ** 2
    rumble = lowpass(noise(n, rng, 1.6), rng.uniform(180, 300)) * envelope
    crack = band(noise(n, rng, 0.5), 300, 5000) * np.exp(-t / 0.09) * (t > 0) * (a["distance"] == "near")
    return np.asarray(rumble + rng.uniform(0.5, 0.9) * crack)


def typing(n: int, rng: Rng, a: Values) -> Signal:
    """Keys: light clicks at uneven times, each with a dull bottom."""
    starts = beats(n, rng, draw(rng, a["rate"], fast=(10, 14), slow=(2.6, 4.0)), 0.45)
    bright, size = rng.uniform(2200, 3200), samples(0.06)
    keys = []
    for _ in starts:
        click = band(noise(size, rng), bright, 2 * bright) * (
            decay(size, 0.003) + 0.5 * np.roll(decay(size, 0.003), 560)
        )
        keys.append((click + 0.4 * band(noise(size, rng), 250, 700) * decay(size, 0.008)) * rng.uniform(0.5, 1))
    return place(n, starts, keys)


def whistle(n: int, rng: Rng, a: Values) -> Signal:
    """Someone whistling: a pure tone with vibrato and a little breath, in notes of a scale."""
    base = draw(rng, a["pitch"], high=(1900, 2500), low=(750, 1050))
    spans = _blasts(n, rng, a["length"], long=1.1, short=0.16, gap=0.14)
    notes = []
    for _, size in spans:
        note = base * 2 ** (rng.choice([0, 2, 4, 5, 7]) / 12)
        vibrato = 1 + 0.012 * np.sin(2 * np.pi * rng.uniform(5, 7) * np.arange(size) / SAMPLE_RATE)
        breath = band(noise(size, rng), 0.9 * note, 1.1 * note)
        notes.append((tone(note * vibrato, (1, 0.05)) + 0.25 * breath) * fade(size, 0.03, 0.04))
    return place(n, [start for start, _ in spans], notes)


def wind(n: int, rng: Rng, a: Values) -> Signal:
    """Gusts: noise around a frequency that wanders up and down with its strength."""
    gust = wander(n, rng, 1.5)
    centre = draw(rng, a["pitch"], high=(900, 1400), low=(180, 300)) * (0.8 + 0.5 * gust)
    width = 0.12 if a["pitch"] == "high" else 0.3
    howl = lowpass(noise(n, rng), width * float(centre.mean())) * tone(centre)  # noise moved up to `centre`
    return np.asarray((howl + 0.05 * lowpass(noise(n, rng, 1), 600)) * (0.25 + gust))


SYNTHESISERS: dict[str, Callable[[int, Rng, Values], Signal]] = {
    f.__name__: f
    for f in (
        *(alarm, bell, bird, cat, clap, clock, dog, drip, drum, engine, fire, footsteps),
        *(horn, knock, phone, rain, saw, siren, thunder, typing, whistle, wind),
    )
}


def synthesise(event: Event, n: int, rng: Rng) -> Signal:
    """`n` samples of `event` at `SAMPLE_RATE`: `(n,)` float64, not yet scaled."""
    return SYNTHESISERS[event.kind](n, rng, event.attributes)
