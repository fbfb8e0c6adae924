"""Words of captions: verbs of sounds in all their forms, sources that sound by themselves, and function words.

There is no tagger of parts of speech here. The lists hold what is frequent in the captions of Clotho and AudioCaps; a
word that is in none of them is a content word that says nothing about the form of the query.
"""

from typing import Final, Literal

Form = Literal["base", "third", "past", "participle"]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_VERBS: Final = _words(
    """
    accelerate applaud approach babble bang bark beat beep begin belch blare blast bleat bleep blow boil boom bounce
    break breathe bubble burn burp buzz call caw chat chatter cheer chew chime chirp chop chuckle chug clack clang
    clank clap clatter clear click clink clip-clop close cluck come converse coo cough crack crackle crash creak
    crinkle croak crow crumple crunch cry cut ding drag drill drip drive drizzle drone drop drum echo fade fall fill
    fizz flap flow flush fly fry gallop gasp giggle grind groan growl grunt gurgle gush hammer hiss hit honk hoot
    howl hum idle jingle knock land laugh meow mew moan moo move mumble murmur neigh oink open pant pass patter play
    pop pound pour purr quack race rain rap rasp rattle rev ring rise roar roll rub rumble run rush rustle sand saw
    scrape scratch scream screech shake shatter shout shuffle shut sing sizzle skid slam slide slosh snap sneeze
    sniff snore snort sob sound speak speed spin splash spray sputter squawk squeak squeal start step stir stop
    strike strum sweep swing swish swoosh talk tap thud thump thunder tick tinkle toll toot trickle trot turn tweet
    twitter type vibrate wail walk warble wash wave whack whimper whine whir whirl whirr whisper whistle whoosh woof
    work yap yell yelp yip yowl zoom
    """
)

SOURCES: Final = _words(
    """
    alarm applause bell bells birdsong breeze chatter conversation crickets drum drums engine engines fire footsteps
    horn laughter motor music noise radio rain rainfall raindrops ringtone siren sirens song speech static steps thunder
    thunderstorm traffic voice voices waterfall waves wind
    """
)
"""Nouns that name a sound without a verb: "with thunder in the distance"."""

FUNCTION_WORDS: Final = _words(
    """
    a about above across after again against all along an and another any are around as at away be been before behind
    being below between both but by can could did do does down during each for from had has have he her his i if in into
    is it its may might more must near no nor not of off on one onto or other our out over past she so some that the
    their then there these they this those through to together toward towards under until up upon us was we were when
    where which while whilst who will with within without would you your
    """
)

AUXILIARIES: Final = _words("is are was were am has have had does do did can could will would may might must")
"""Verbs that are finite wherever they stand."""

DETERMINERS: Final = _words(
    """
    a an the this that these those some several many few multiple two three four another each every its his her their
    of in on at by with from into to for over and no loud soft faint quiet low high deep distant nearby small big large
    little light heavy fast quick rapid slow short long brief electronic
    """
)
"""Words after which a form in -s is a plural noun: "several loud barks"."""

PLURALS: Final = _words("people men women children they we you i kids police")
"""Words after which a base form is a verb, besides those in -s: "children laugh"."""


def forms_of(verb: str) -> dict[str, Form]:
    """A regular verb's forms, by spelling; a final consonant after one short vowel is also doubled.

    >>> sorted(forms_of("hum"))
    ['hum', 'humed', 'huming', 'hummed', 'humming', 'hums']
    >>> forms_of("cry")["cries"], forms_of("chime")["chiming"], forms_of("screech")["screeches"]
    ('third', 'participle', 'third')
    """
    forms: dict[str, Form] = {verb: "base"}
    stem = verb.removesuffix("e")
    if verb.endswith("y") and verb[-2] not in "aeiou":
        return forms | {f"{verb[:-1]}ies": "third", f"{verb[:-1]}ied": "past", f"{verb}ing": "participle"}
    ending = "es" if verb.endswith(("s", "sh", "ch", "x", "zz")) else "s"
    stems = [stem]
    if len(verb) > 2 and verb[-1] not in "aeiouwxy" and verb[-2] in "aeiou" and verb[-3] not in "aeiou":
        stems.append(verb + verb[-1])
    forms[f"{verb}{ending}"] = "third"
    for each in stems:
        forms |= {f"{each}ed": "past", f"{each}ing": "participle"}
    return forms


VERB_FORMS: Final[dict[str, Form]] = {word: form for verb in sorted(_VERBS) for word, form in forms_of(verb).items()}
"""Every form of every verb of a sound."""
