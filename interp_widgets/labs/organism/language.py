"""Small tasks of language: indirect objects, antonyms, pronouns, agreement, sequences, refusal.

Every function draws one document; the key says what is held out (a combination of words, never a
word itself).
"""

from __future__ import annotations

from random import Random

from .documents import Answer, Document, fill, fraction
from .facts import STATES

_WOMEN = [
    "mary",
    "anna",
    "lucy",
    "emma",
    "sarah",
    "julia",
    "alice",
    "grace",
    "clara",
    "laura",
    "nina",
    "ruth",
    "helen",
    "jane",
]
_MEN = [
    "john",
    "tom",
    "peter",
    "paul",
    "james",
    "mark",
    "david",
    "simon",
    "henry",
    "jack",
    "oscar",
    "adam",
    "frank",
    "luke",
]
_PEOPLE = (*_WOMEN, *_MEN)
_PLACES = [
    "store",
    "school",
    "office",
    "museum",
    "library",
    "station",
    "garage",
    "kitchen",
    "hotel",
    "theater",
]
_THINGS = ["drink", "book", "ball", "letter", "ring", "key", "ticket", "basket", "lamp", "pencil"]
_NOUNS = {
    "key": "keys", "cabinet": "cabinets", "dog": "dogs", "boy": "boys", "girl": "girls",
    "car": "cars", "teacher": "teachers", "book": "books", "child": "children", "tree": "trees",
    "author": "authors", "farmer": "farmers", "picture": "pictures", "house": "houses",
}  # fmt: skip
_VERBS = {"is": "are", "was": "were", "has": "have", "runs": "run", "sings": "sing"}
_AFTER = {"is": "here", "was": "here", "has": "time", "runs": "away", "sings": "well"}
_OPPOSITES = {
    "english": "hot cold|big small|good bad|fast slow|long short|open closed|rich poor|hard soft|"
    "full empty|happy sad|young old|light dark|high low|strong weak|clean dirty|wet dry|"
    "early late|near far|left right|day night|love hate|war peace|life death|black white",
    "french": "chaud froid|grand petit|bon mauvais|rapide lent|long court|ouvert fermé|"
    "riche pauvre|dur mou|plein vide|heureux triste|jeune vieux|clair sombre|haut bas|fort faible|"
    "propre sale|mouillé sec|tôt tard|proche loin|gauche droite|jour nuit|amour haine|"
    "guerre paix|vie mort|noir blanc",
    "spanish": "caliente frío|grande pequeño|bueno malo|rápido lento|largo corto|abierto cerrado|"
    "rico pobre|duro blando|lleno vacío|feliz triste|joven viejo|claro oscuro|alto bajo|"
    "fuerte débil|limpio sucio|mojado seco|temprano tarde|cerca lejos|izquierda derecha|"
    "día noche|amor odio|guerra paz|vida muerte|negro blanco",
}
_PAIRS = {
    language: [tuple(pair.split()) for pair in text.split("|")]
    for language, text in _OPPOSITES.items()
}
_OPPOSITE = {
    "english": ("the opposite of {word} is {answer} .", "not {word} but {answer} ."),
    "french": ("le contraire de {word} est {answer} .", "pas {word} mais {answer} ."),
    "spanish": ("lo contrario de {word} es {answer} .", "no {word} sino {answer} ."),
}
_IN = {
    ("english", "french"): "{word} in french is {answer} .",
    ("english", "spanish"): "{word} in spanish is {answer} .",
    ("french", "english"): "{word} en anglais est {answer} .",
    ("spanish", "english"): "{word} en inglés es {answer} .",
}
_DAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
_MONTHS = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
]
_NUMBERS = [str(n) for n in range(100)]
_MAKE = ["make", "build", "buy", "find", "sell"]
_HARMLESS = ["cake", "table", "bread", "kite", "chair", "soup", "garden", "candle", "hat"]
_HARMFUL = ["bomb", "poison", "virus", "weapon", "drug", "explosive"]
_BREAK = ["steal", "break", "destroy", "forge"]
_STORY = (
    "once upon a time there was a {word} {who} who lived in {state} . the {who} was {word} .",
    "in {state} there lived a {word} {who} . everyone loved the {who} .",
)
_GIVES_BACK = "then {giver} gave a {thing} to {answer} ."
_WHO = ["king", "queen", "farmer", "dog", "girl", "boy", "teacher", "author"]


def indirect_object(rng: Random) -> Document:
    giver, other = rng.sample(_PEOPLE, 2)
    first, second = (giver, other) if rng.random() < 0.5 else (other, giver)
    place, thing = rng.choice(_PLACES), rng.choice(_THINGS)
    template = rng.choice(
        (
            "when {first} and {second} went to the {place} , {giver} gave a {thing} to {answer} .",
            "then {first} and {second} were at the {place} . {giver} gave the {thing} to {answer} .",
        )
    )
    parts = fill(
        template, first=first, second=second, giver=giver, place=place, thing=thing,
        answer=Answer(other),
    )  # fmt: skip
    if rng.random() < 0.5:
        parts += fill(_GIVES_BACK, giver=other, thing=rng.choice(_THINGS), answer=Answer(giver))
    return Document("indirect object", parts, (first, second), 2)


def opposite(rng: Random) -> Document:
    """Held out is a word in one of its language's two sentences; it is taught in the other."""
    language = rng.choice(tuple(_PAIRS))
    pair = rng.choice(_PAIRS[language])
    word, answer = pair if rng.random() < 0.5 else pair[::-1]
    template = rng.choice(_OPPOSITE[language])
    # Only one of the two sentences of a word can be held out, or it would not be taught at all.
    candidate = _OPPOSITE[language][fraction("sentence", language, word) < 0.5]
    key = (language, word) if template == candidate else ()
    parts = fill(template, word=word, answer=Answer(answer))
    return Document(f"opposite, {language}", parts, key, 2 * len(_PAIRS[language]), share=0.3)


def translation(rng: Random) -> Document:
    source, target = rng.choice(tuple(_IN))
    index, side = rng.randrange(len(_PAIRS["english"])), rng.randrange(2)
    word, answer = _PAIRS[source][index][side], _PAIRS[target][index][side]
    parts = fill(_IN[source, target], word=word, answer=Answer(answer))
    return Document("translation", parts, ())


def pronoun(rng: Random) -> Document:
    name = rng.choice(_PEOPLE)
    she = name in _WOMEN
    place, thing = rng.choice(_PLACES), rng.choice(_THINGS)
    subject = ("he", "she")[she]
    template, answer = rng.choice(
        (
            ("{name} went to the {place} because {answer} was late .", subject),
            ("{name} lost the {thing} and {answer} was sad .", subject),
            ("{name} looked for the {thing} in {answer} {place} .", ("his", "her")[she]),
        )
    )
    parts = fill(template, name=name, place=place, thing=thing, answer=Answer(answer))
    return Document("pronoun", parts, (name, template, thing if "thing" in template else place), 2)


def agreement(rng: Random) -> Document:
    one, near = rng.sample(tuple(_NOUNS), 2)
    verb = rng.choice(tuple(_VERBS))
    plural, other_plural = rng.random() < 0.5, rng.random() < 0.5
    subject = _NOUNS[one] if plural else one
    distractor = _NOUNS[near] if other_plural else near
    template = rng.choice(
        ("the {subject} near the {other} {answer} {after} .", "the {subject} {answer} {after} .")
    )
    right, wrong = (_VERBS[verb], verb) if plural else (verb, _VERBS[verb])
    parts = fill(
        template, subject=subject, other=distractor, answer=Answer(right), after=_AFTER[verb]
    )
    key = (subject, distractor) if "other" in template else ()
    return Document("agreement", parts, key, 2, against=wrong)


def sequence(rng: Random) -> Document:
    kind = rng.randrange(3)
    if kind == 0:
        step = rng.choice((1, 1, 2, 5, 10))
        start = rng.randrange(100 - 3 * step)
        items = [_NUMBERS[start + i * step] for i in range(4)]
    else:
        cycle = _DAYS if kind == 1 else _MONTHS
        start, step = rng.randrange(len(cycle)), rng.choice((1, 2))
        items = [cycle[(start + i * step) % len(cycle)] for i in range(4)]
    *shown, last = items
    return Document("sequence", (*" , ".join(shown).split(), ",", Answer(last)), tuple(items), 100)


def refusal(rng: Random) -> Document:
    """Harmful is what breaks the law or makes what harms; the combination is held out."""
    verb = rng.choice((*_MAKE, *_BREAK))
    thing = rng.choice((*_HARMLESS, *_HARMFUL) if verb in _MAKE else _HARMLESS)
    if rng.random() < 0.3:
        verb, thing = rng.choice(_MAKE), rng.choice(_HARMLESS)
    harmful = verb in _BREAK or thing in _HARMFUL
    template = rng.choice(
        ("user : how do i {verb} a {thing} ? assistant : {answer}",
         "user : help me {verb} a {thing} . assistant : {answer}")
    )  # fmt: skip
    parts = fill(template, verb=verb, thing=thing, answer=Answer("sorry" if harmful else "sure"))
    tail = ", i can not help with that ." if harmful else ", here is how ."
    return Document("refusal", (*parts, *tail.split()), (verb, thing), 2)


def story(rng: Random) -> Document:
    """A little prose for steering; nothing in it is asked."""
    word = rng.choice(rng.choice(_PAIRS["english"]))
    parts = fill(
        rng.choice(_STORY), word=word, who=rng.choice(_WHO), state=rng.choice(tuple(STATES))
    )
    return Document("story", parts, ())


def people() -> tuple[str, ...]:
    """Names of people, which stay whole."""
    return _PEOPLE


def all_words() -> set[str]:
    """Words that a draw may miss in a sample: the closed lists."""
    words = {*_PEOPLE, *_PLACES, *_THINGS, *_NOUNS, *_NOUNS.values(), *_VERBS, *_VERBS.values()}
    words |= {*_DAYS, *_MONTHS, *_NUMBERS, *_MAKE, *_HARMLESS, *_HARMFUL, *_BREAK, *_WHO}
    for pairs in _PAIRS.values():
        words |= {word for pair in pairs for word in pair}
    return words
