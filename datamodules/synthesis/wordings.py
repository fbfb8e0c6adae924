"""The words: how annotators name each kind of event and each attribute of it. `captions` joins them to sentences.

A clause is "subject | present | participle"; a present without a final s marks a plural subject. `[pitch]` is where an
adjective for the pitch may stand, `~` where an adverb of one word may stand (other adverbs come at the end, those of
distance last). "rate=fast: ..." is only said of an event of that value, and says it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

Words = Mapping[str, tuple[str, ...]]  # attribute value -> ways to say it


@dataclass(frozen=True)
class Wording:
    """How one kind of event is put into words; words given here for a value replace the common ones."""

    clauses: tuple[str, ...]
    nouns: tuple[str, ...]
    adjectives: Words = field(default_factory=dict)
    adverbs: Words = field(default_factory=dict)


#: Adjectives that fit nearly every noun; a kind may replace them.
ADJECTIVES: Words = {
    "loud": ("loud", "noisy"),
    "soft": ("soft", "quiet", "faint"),
    "near": ("nearby",),
    "distant": ("distant", "faraway"),
    "fast": ("fast", "rapid", "quick"),
    "slow": ("slow",),
    "high": ("high-pitched", "shrill"),
    "low": ("low-pitched", "deep"),
    "long": ("long", "drawn-out"),
    "short": ("short", "brief"),
}

#: Adverbs that fit nearly every clause; a kind may replace them.
ADVERBS: Words = {
    "loud": ("loudly", "noisily"),
    "soft": ("softly", "quietly", "faintly"),
    "near": ("nearby", "close by", "up close"),
    "distant": ("in the distance", "far away", "from afar"),
    "fast": ("rapidly", "quickly", "at a fast pace"),
    "slow": ("slowly", "at a slow pace"),
    "high": ("at a high pitch", "in a high tone"),
    "low": ("at a low pitch", "in a low tone"),
    "long": ("for a long time",),
    "short": ("briefly", "for a moment"),
}

WORDINGS: dict[str, Wording] = {
    "alarm": Wording(
        clauses=(
            "a [pitch] alarm | beeps | beeping",
            "a [pitch] smoke detector | beeps | beeping",
            "an electronic device | beeps | beeping",
            "an alarm clock | goes off | going off",
            "a digital timer | bleeps | bleeping",
        ),
        nouns=("the [rate] [pitch] beeping of an alarm", "[rate] [pitch] electronic beeps", "[rate] [pitch] bleeps"),
        adjectives={"high": ("high-pitched", "shrill"), "low": ("low-pitched", "low")},
    ),
    "bell": Wording(
        clauses=(
            "a [pitch] bell | rings | ringing",
            "a [pitch] bell | chimes | chiming",
            "a church bell | rings | ringing",
            "a [pitch] bell | is struck ~ again and again | being struck ~ again and again",
            "rate=slow: a [pitch] bell | tolls | tolling",
        ),
        nouns=("the [rate] ringing of a [pitch] bell", "the [rate] chimes of a [pitch] bell", "[rate] [pitch] chimes"),
        adjectives={"high": ("small", "high-pitched"), "low": ("big", "deep")},
    ),
    "bird": Wording(
        clauses=(
            "a [distance] bird | chirps | chirping",
            "a [distance] bird | sings | singing",
            "a [distance] songbird | tweets | tweeting",
            "a small bird | twitters | twittering",
        ),
        nouns=("the [rate] chirping of a [distance] bird", "[distance] birdsong", "the [rate] chirps of a bird"),
    ),
    "cat": Wording(
        clauses=(
            "a [pitch] cat | meows | meowing",
            "a [pitch] cat | calls | calling",
            "pitch=high: a kitten | mews | mewing",
            "pitch=high: a kitten | meows | meowing",
            "pitch=low: a big cat | yowls | yowling",
        ),
        nouns=("the [length] [pitch] meows of a cat", "the [length] cries of a [pitch] cat", "[length] meowing"),
        adjectives={"high": ("little", "small"), "low": ("big", "large")},
        adverbs={"long": ("at length", "in long cries"), "short": ("briefly", "in short cries")},
    ),
    "clap": Wording(
        clauses=(
            "someone | claps | clapping",
            "a person | claps their hands | clapping their hands",
            "a pair of hands | claps | clapping",
            "a [distance] person | claps | clapping",
        ),
        nouns=("[distance] [rate] hand claps", "the [rate] clapping of hands", "[rate] [distance] clapping"),
    ),
    "clock": Wording(
        clauses=(
            "a [pitch] clock | ticks | ticking",
            "a [pitch] clock | ticks ~ on the wall | ticking ~ on the wall",
            "pitch=low: a grandfather clock | ticks | ticking",
            "pitch=high: a wristwatch | ticks | ticking",
            "a timepiece | ticks | ticking",
        ),
        nouns=("the [rate] ticking of a [pitch] clock", "the [rate] tick-tock of a [pitch] clock", "[rate] ticking"),
        adjectives={"high": ("little", "small"), "low": ("big", "large")},
    ),
    "dog": Wording(
        clauses=(
            "a [distance] [pitch] dog | barks | barking",
            "a [pitch] dog | barks ~ several times | barking ~ several times",
            "a [pitch] hound | barks | barking",
            "pitch=high: a little dog | yaps | yapping",
            "pitch=high: a [distance] puppy | barks | barking",
            "pitch=low: a big dog | woofs | woofing",
        ),
        nouns=("the barking of a [distance] [pitch] dog", "the [distance] barks of a [pitch] dog"),
        adjectives={"high": ("small", "little"), "low": ("big", "large")},
        adverbs={"high": ("in a high voice",), "low": ("in a deep voice",)},
    ),
    "drip": Wording(
        clauses=(
            "water | drips | dripping",
            "a tap | drips | dripping",
            "a leaky faucet | drips | dripping",
            "drops of water | fall ~ into a sink | falling ~ into a sink",
            "water | drips ~ into a basin | dripping ~ into a basin",
        ),
        nouns=("the [rate] dripping of water", "the [rate] [pitch] drip of a faucet", "[rate] [pitch] drops of water"),
        adverbs={"high": ("with a high plink", "in a high tone"), "low": ("with a deep plop", "in a low tone")},
    ),
    "drum": Wording(
        clauses=(
            "someone | beats a [pitch] drum | beating a [pitch] drum",
            "a person | plays ~ on a [pitch] drum | playing ~ on a [pitch] drum",
            "a drummer | drums | drumming",
            "a [pitch] drum | is hit ~ again and again | being hit ~ again and again",
            "pitch=low: a bass drum | pounds | pounding",
        ),
        nouns=("the [rate] beating of a [pitch] drum", "a [rate] beat on a [pitch] drum", "[rate] [pitch] drumbeats"),
        adjectives={"high": ("small", "high-pitched"), "low": ("big", "deep")},
    ),
    "engine": Wording(
        clauses=(
            "rate=fast: a [distance] engine | revs | revving",
            "rate=fast: a [distance] motor | races | racing",
            "rate=slow: a [distance] engine | idles | idling",
            "rate=slow: a [distance] car | idles | idling",
            "a [distance] motor | runs | running",
            "a [distance] engine | drones | droning",
            "the engine of a vehicle | runs | running",
        ),
        nouns=(
            "the drone of a [distance] motor",
            "the hum of a [distance] [rate] engine",
            "a [distance] [rate] engine",
        ),
        adjectives={"fast": ("revving", "fast"), "slow": ("idling", "slow")},
        adverbs={"fast": ("at high speed", "fast"), "slow": ("at low speed", "slowly")},
    ),
    "fire": Wording(
        clauses=(
            "a [level] fire | crackles | crackling",
            "a [level] fire | pops and crackles | popping and crackling",
            "a [level] campfire | crackles | crackling",
            "burning wood | crackles | crackling",
            "logs | snap ~ in a fire | snapping ~ in a fire",
        ),
        nouns=("the [rate] crackling of a [level] fire", "the [rate] crackle of burning wood", "a [level] fire"),
        adjectives={
            "loud": ("big", "roaring"),
            "soft": ("small", "low"),
            "fast": ("constant", "busy"),
            "slow": ("occasional", "sparse"),
        },
        adverbs={"fast": ("constantly", "without a pause"), "slow": ("now and then", "occasionally")},
    ),
    "footsteps": Wording(
        clauses=(
            "[rate] [level] footsteps | go past | going past",
            "[level] footsteps | move ~ across the floor | moving ~ across the floor",
            "rate=fast: someone | runs | running",
            "rate=fast: a person | runs ~ across the floor | running ~ across the floor",
            "rate=slow: someone | walks | walking",
            "rate=slow: a person | walks ~ across the floor | walking ~ across the floor",
            "someone | steps ~ across the floor | stepping ~ across the floor",
        ),
        nouns=("[rate] [level] footsteps", "[rate] [level] steps", "the [level] [rate] steps of a person"),
        adjectives={
            "loud": ("heavy", "loud"),
            "soft": ("light", "soft"),
            "fast": ("hurried", "quick"),
            "slow": ("slow", "unhurried"),
        },
        adverbs={"loud": ("with heavy steps", "loudly"), "soft": ("with light steps", "softly")},
    ),
    "horn": Wording(
        clauses=(
            "a [distance] car | honks | honking",
            "a [distance] car horn | honks | honking",
            "a [distance] vehicle | sounds its horn | sounding its horn",
            "a [distance] driver | honks the horn | honking the horn",
            "a [distance] horn | blares | blaring",
        ),
        nouns=("[length] honks of a [distance] car horn", "the [length] honking of a [distance] car", "[length] honks"),
        adverbs={"long": ("at length", "in long blasts"), "short": ("briefly", "in short blasts")},
    ),
    "knock": Wording(
        clauses=(
            "someone | knocks ~ on a door | knocking ~ on a door",
            "a person | knocks ~ on a wooden door | knocking ~ on a wooden door",
            "a visitor | raps ~ at the door | rapping ~ at the door",
            "a fist | knocks ~ on wood | knocking ~ on wood",
        ),
        nouns=("[rate] [level] knocks on a door", "[level] [rate] knocking at the door", "[rate] [level] knocking"),
    ),
    "phone": Wording(
        clauses=(
            "a [distance] phone | rings | ringing",
            "a [distance] telephone | rings | ringing",
            "an old telephone | rings ~ several times | ringing ~ several times",
            "a landline phone | rings | ringing",
        ),
        nouns=(
            "the [pitch] ringing of a [distance] telephone",
            "the [pitch] ring of a [distance] phone",
            "a [distance] [pitch] ringtone",
        ),
    ),
    "rain": Wording(
        clauses=(
            "[distance] [level] rain | falls | falling",
            "[level] rain | comes down | coming down",
            "[level] rain | patters ~ on the ground | pattering ~ on the ground",
            "raindrops | fall | falling",
            "level=loud: rain | pours down | pouring down",
            "level=soft: rain | drizzles | drizzling",
        ),
        nouns=("[distance] [level] rain", "the patter of [distance] [level] rain", "[distance] [level] rainfall"),
        adjectives={"loud": ("heavy", "hard"), "soft": ("light", "gentle"), "distant": ("distant", "muffled")},
        adverbs={"loud": ("heavily", "hard"), "soft": ("lightly", "gently")},
    ),
    "saw": Wording(
        clauses=(
            "someone | saws wood | sawing wood",
            "a person | saws ~ through a plank | sawing ~ through a plank",
            "a hand saw | cuts ~ through wood | cutting ~ through wood",
            "a carpenter | saws | sawing",
        ),
        nouns=(
            "the [level] [rate] sawing of wood",
            "[level] [rate] strokes of a saw",
            "the [rate] rasp of a [level] saw",
        ),
    ),
    "siren": Wording(
        clauses=(
            "a [distance] siren | wails | wailing",
            "a [distance] emergency siren | sounds | sounding",
            "a [distance] police siren | wails | wailing",
            "an ambulance siren | blares | blaring",
            "a [distance] siren | rises and falls | rising and falling",
        ),
        nouns=(
            "the [rate] wail of a [distance] siren",
            "the [rate] wailing of a [distance] siren",
            "a [distance] siren",
        ),
    ),
    "thunder": Wording(
        clauses=(
            "[distance] thunder | rumbles | rumbling",
            "[distance] thunder | booms | booming",
            "thunder | rolls | rolling",
            "a [distance] thunderstorm | rumbles | rumbling",
            "distance=near: thunder | cracks | cracking",
        ),
        nouns=(
            "a [length] rumble of [distance] thunder",
            "a [length] [distance] peal of thunder",
            "[distance] thunder",
        ),
        adverbs={"long": ("for a long time", "on and on")},
    ),
    "typing": Wording(
        clauses=(
            "someone | types ~ on a keyboard | typing ~ on a keyboard",
            "a person | types | typing",
            "computer keys | click | clicking",
            "a keyboard | clatters | clattering",
            "fingers | tap ~ on a keyboard | tapping ~ on a keyboard",
        ),
        nouns=(
            "[level] [rate] typing on a keyboard",
            "the [rate] clicking of [level] computer keys",
            "the [level] [rate] clatter of a keyboard",
        ),
    ),
    "whistle": Wording(
        clauses=(
            "someone | whistles | whistling",
            "a person | whistles | whistling",
            "a person | whistles a tune | whistling a tune",
            "a man | whistles | whistling",
        ),
        nouns=("a person's [length] [pitch] whistling", "[length] [pitch] whistles", "[length] [pitch] whistled notes"),
        adverbs={"long": ("in long notes",), "short": ("in short notes", "in short bursts")},
    ),
    "wind": Wording(
        clauses=(
            "a [level] wind | blows | blowing",
            "the wind | blows | blowing",
            "[level] gusts of wind | blow | blowing",
            "the [level] wind | whooshes | whooshing",
            "pitch=high: the wind | whistles | whistling",
            "pitch=low: the wind | moans | moaning",
            "level=soft: a breeze | blows | blowing",
        ),
        nouns=("a [level] [pitch] wind", "the [pitch] whoosh of the [level] wind", "[level] [pitch] gusts of wind"),
        adjectives={"loud": ("strong", "heavy"), "soft": ("gentle", "light"), "low": ("low", "deep")},
        adverbs={
            "loud": ("strongly", "hard"),
            "soft": ("gently", "softly"),
            "high": ("with a high whistle", "at a high pitch"),
            "low": ("with a low moan", "at a low pitch"),
        },
    ),
}
