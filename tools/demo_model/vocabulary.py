"""What the demo model understands: its words, and a small grammar that makes sentences of them.

The words are chosen to sound different from each other: no homophones (so "two" but neither "to"
nor "too"), and few of the short unstressed words that even people only guess from context.
Everything is lower case and without punctuation, as the model writes it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


DIGITS = _words("one two three four five six seven eight nine")
TEENS = _words("ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen")
TENS = _words("twenty thirty forty fifty sixty seventy eighty ninety")
SPELLING = _words(
    "alpha bravo charlie delta echo foxtrot golf hotel india juliet kilo lima mike november oscar "
    "papa quebec romeo sierra tango uniform victor whiskey xray yankee zulu"
)
DAYS = _words("monday tuesday wednesday thursday friday saturday sunday")
MONTHS = _words(
    "january february march april may june july august september october november december"
)
SEASONS = _words("spring summer autumn winter")

PRONOUNS = _words("i we you they she")
POSSESSIVES = _words("the my our your this that every another")
PEOPLE = _words(
    "mother father sister brother grandmother uncle friend teacher doctor neighbor family woman "
    "captain children people"
)
ANIMALS = _words("cat dog bird fish rabbit elephant tiger monkey lion")
VERBS = _words(
    "opened closed watched cleaned painted found carried visited remembered forgot wanted needed "
    "loved finished started played answered helped brought fixed counted used followed"
)
MOTIONS = _words("walked travelled went came stayed waited")
PRESENT = _words("think drink speak believe remember understand follow")
THINGS = _words(
    "book letter paper pencil picture camera computer telephone radio guitar piano song story "
    "movie newspaper question number message money ticket basket bottle box umbrella jacket shirt "
    "shoes lamp clock mirror blanket pillow table chair window door ladder hammer engine machine "
    "recording microphone calendar secret"
)
FOOD = _words(
    "coffee tea water bread butter apple banana lemon cheese soup sugar milk chocolate potato "
    "tomato chicken rice breakfast lunch dinner egg sandwich"
)
PLACES = _words(
    "house garden kitchen bedroom station street city village river mountain forest island beach "
    "ocean bridge airport hospital school office church market library museum theater restaurant "
    "harbor valley field factory"
)
VEHICLES = _words("train bus car bicycle airplane ship")
TOPICS = _words("weather history science language music holiday birthday party festival")
NATURE = _words("rain snow sunshine cloud storm flower grass stone")
COLORS = _words("red blue yellow green orange black white brown silver golden")
ADJECTIVES = _words(
    "old young happy quiet warm cold good beautiful little big small tired hungry busy slow empty "
    "heavy simple strange lovely fresh dark long perfect difficult important different wonderful "
    "delicious expensive comfortable dangerous favorite"
)
ADVERBS = _words(
    "again always never often sometimes soon together slowly quickly outside inside upstairs "
    "early home alone already"
)
WHEN = _words("today yesterday tomorrow tonight now")
DAYTIMES = _words("morning evening afternoon midnight weekend")
SPANS = _words("minutes weeks months years")
PREPOSITIONS = _words("near behind under from across in")
SMALL_TALK = _words("hello world goodbye please yes no maybe okay thank sorry welcome everybody")
GLUE = _words(
    "zero hundred thousand and but because with without before after is was were very not last "
    "next about all go"
)

_GROUPS: tuple[Sequence[str], ...] = (
    DIGITS, TEENS, TENS, SPELLING, DAYS, MONTHS, SEASONS, PRONOUNS, POSSESSIVES, PEOPLE, ANIMALS,
    VERBS, MOTIONS, PRESENT, THINGS, FOOD, PLACES, VEHICLES, TOPICS, NATURE, COLORS, ADJECTIVES,
    ADVERBS, WHEN, DAYTIMES, SPANS, PREPOSITIONS, SMALL_TALK, GLUE,
)  # fmt: skip

WORDS: tuple[str, ...] = tuple(sorted({word for group in _GROUPS for word in group}))
"""The whole vocabulary, sorted."""

# Short unstressed words are the hardest to hear, and the commonest: practise them more.
_WEIGHTS = tuple(
    5.0 if word in {*PRONOUNS, *POSSESSIVES, *PREPOSITIONS, *GLUE} else 1.0 for word in WORDS
)


def number(rng: random.Random) -> str:
    """A number as it is spoken, from zero to the thousands."""
    kind = rng.random()
    if kind < 0.3:
        return rng.choice(["zero", *DIGITS])
    if kind < 0.5:
        return rng.choice([*TEENS, *TENS])
    if kind < 0.8:
        return f"{rng.choice(TENS)} {rng.choice(DIGITS)}"
    rest = rng.choice(["", f" {rng.choice(TEENS)}", f" {rng.choice(TENS)} {rng.choice(DIGITS)}"])
    return f"{rng.choice(DIGITS)} {rng.choice(['hundred', 'hundred', 'thousand'])}{rest}"


def _thing(rng: random.Random) -> str:
    noun = rng.choice([*THINGS, *ANIMALS, *VEHICLES, *FOOD])
    kind = rng.random()
    if kind < 0.25:
        return f"{rng.choice(POSSESSIVES)} {rng.choice([*ADJECTIVES, *COLORS])} {noun}"
    if kind < 0.4:
        return f"{number(rng)} {rng.choice(FOOD)}"
    return f"{rng.choice(POSSESSIVES)} {noun}"


def _somebody(rng: random.Random) -> str:
    if rng.random() < 0.5:
        return rng.choice(PRONOUNS)
    return f"{rng.choice(['my', 'our', 'your', 'the', 'that'])} {rng.choice(PEOPLE)}"


def _somewhere(rng: random.Random) -> str:
    return f"{rng.choice(PREPOSITIONS)} {rng.choice(['the', 'our', 'my', 'that'])} " + rng.choice(
        [*PLACES, *VEHICLES]
    )


def _sometime(rng: random.Random) -> str:
    return rng.choice(
        [
            rng.choice(WHEN),
            f"{rng.choice(['this', 'every', 'yesterday', 'tomorrow'])} {rng.choice(DAYTIMES)}",
            f"{rng.choice(['last', 'next', 'every'])} {rng.choice(DAYS)}",
            f"{rng.choice(['last', 'next', 'in'])} {rng.choice([*MONTHS, *SEASONS])}",
            f"{rng.choice(['after', 'before'])} {rng.choice(['breakfast', 'lunch', 'dinner'])}",
            f"after {number(rng)} {rng.choice(SPANS)}",
        ]
    )


def _event(rng: random.Random) -> str:
    return f"{_somebody(rng)} {rng.choice(VERBS)} {_thing(rng)}"


def _journey(rng: random.Random) -> str:
    extra = rng.choice(["", f" {rng.choice(ADVERBS)}", f" with {_somebody_else(rng)}"])
    return f"{_somebody(rng)} {rng.choice(MOTIONS)}{extra} {_somewhere(rng)}"


def _somebody_else(rng: random.Random) -> str:
    return f"{rng.choice(['my', 'our', 'your'])} {rng.choice(PEOPLE)}"


def _description(rng: random.Random) -> str:
    noun = rng.choice([*PLACES, *TOPICS, *NATURE, *THINGS, *FOOD, *PEOPLE])
    degree = rng.choice(["", "very ", "not ", "always ", "not very "])
    adjective = rng.choice(ADJECTIVES)
    return f"{rng.choice(['the', 'our', 'my', 'this'])} {noun} {rng.choice(['is', 'was'])} " + (
        degree + adjective
    )


def _opinion(rng: random.Random) -> str:
    return rng.choice(
        [
            f"i think {_description(rng)}",
            f"we believe {_description(rng)}",
            f"you remember {_thing(rng)}",
            f"they drink {rng.choice(['coffee', 'tea', 'milk', 'water'])} {_sometime(rng)}",
            f"we speak about {rng.choice(TOPICS)} {_sometime(rng)}",
            f"i understand {_thing(rng)}",
            f"please follow {_somebody_else(rng)}",
            f"we go {rng.choice(['home', 'outside', 'inside', 'upstairs'])} {_sometime(rng)}",
            f"all {rng.choice(['children', 'people'])} were {rng.choice(ADJECTIVES)}",
        ]
    )


def _greeting(rng: random.Random) -> str:
    return rng.choice(
        [
            "hello everybody",
            "hello world",
            f"good {rng.choice(['morning', 'evening', 'afternoon'])}",
            f"welcome home {rng.choice(PEOPLE)}",
            f"goodbye {rng.choice(PEOPLE)}",
            f"yes please {rng.choice(['coffee', 'tea', 'water', 'soup'])}",
            f"sorry i forgot {_thing(rng)}",
            f"okay maybe {rng.choice(WHEN)}",
            "no thank you",
        ]
    )


def _dictation(rng: random.Random) -> str:
    return rng.choice(
        [
            " ".join(rng.choices(SPELLING, k=rng.randint(2, 6))),
            f"number {' '.join(rng.choices(['zero', *DIGITS], k=rng.randint(2, 6)))}",
            f"{rng.choice(DAYS)} {rng.choice(MONTHS)} {number(rng)}",
            f"message {number(rng)} from {_somebody_else(rng)}",
            f"{number(rng)} {rng.choice(SPANS)} {rng.choice(['after', 'before'])} midnight",
        ]
    )


_SENTENCES: tuple[tuple[Callable[[random.Random], str], int], ...] = (
    (_event, 6),
    (_journey, 5),
    (_description, 4),
    (_opinion, 3),
    (_greeting, 1),
    (_dictation, 2),
)


def sentence(rng: random.Random) -> str:
    """One sentence that reads like something a person would say, of 2 to about 14 words."""
    makers = [maker for maker, _ in _SENTENCES]
    weights = [weight for _, weight in _SENTENCES]
    text = rng.choices(makers, weights)[0](rng)
    if len(text.split()) <= 7:
        kind = rng.random()
        if kind < 0.2:
            text = f"{_sometime(rng)} {text}"
        elif kind < 0.3:
            text = f"{text} {_sometime(rng)}"
        elif kind < 0.4:
            text = f"{text} {rng.choice(['and', 'but', 'because'])} {_event(rng)}"
    return text


def word_string(rng: random.Random, longest: int = 10) -> str:
    """One to ``longest`` words in any order, so that the model listens instead of guessing."""
    return " ".join(rng.choices(WORDS, _WEIGHTS, k=rng.randint(1, longest)))
