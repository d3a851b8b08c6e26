"""What a value could say: the name of a key and a subject in, a fitting text or number out."""

import re
from random import Random

from .subjects import Subject

_DISHES = {
    "soup",
    "cake",
    "pie",
    "stew",
    "salad",
    "bread",
    "curry",
    "pasta",
    "risotto",
    "tart",
    "sauce",
    "bowl",
}
_LARDER = ("olive oil", "garlic", "sea salt", "black pepper", "fresh herbs", "lemon", "butter", "onion")
_AMOUNTS = ("200 g", "2 tbsp", "1", "1 tsp", "a handful", "300 ml", "50 g", "3")
_COLOURS = ("terracotta", "linen white", "deep olive", "slate blue", "warm sand")
_NAMES = ("Mara Lindqvist", "Jonas Okafor", "Aiko Tanaka", "Elena Rossi", "Tomás Herrera")
_UNITS = ("g", "tbsp", "piece", "ml", "tsp")

# The first row whose pattern is found in the key's name speaks; `{...}` are parts of the subject.
_TEXTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (r"email", ("hello@{slug}.example",)),
    (r"url|link|href|website|uri", ("https://{slug}.example/",)),
    (
        r"slug|handle|^id$|_id$|identifier|filename",
        ("{slug}", "{slug}-2", "{slug}-3", "{slug}-4", "{slug}-5"),
    ),
    (r"sku|code$", ("{initials}-1024", "{initials}-2048", "{initials}-4096")),
    (r"alt", ("{Title} in soft light on a plain background",)),
    (
        r"picture|photo|image|shot|visual|scene|thumbnail|illustration",
        (
            "{A} on a linen cloth, seen slightly from above, soft window light from the left",
            "A close view of {a}, shallow depth of field, warm highlights on its edges",
            "{A} in use at a quiet table, morning light, calm neutral colours",
            "{A} from the side against a pale wall, one long soft shadow",
        ),
    ),
    (
        r"keyword|tag$|hashtag|label|topic",
        ("{word}", "{noun}", "{pair}", "everyday", "handmade", "gift idea", "timeless", "well made"),
    ),
    (r"ingredient", ("{ingredient}",)),
    (
        r"step|instruction|direction|method|procedure",
        (
            "Set out everything you need for {the} and give yourself a quiet half hour.",
            "Begin with the {noun}: work slowly, and keep an eye on colour and texture.",
            "Bring the parts together, taste or test as you go, and adjust with a light hand.",
            "Let it rest for a few minutes so that everything settles.",
            "Finish {the} with one small detail that you like, and share it.",
        ),
    ),
    (r"amount|quantity|portion", _AMOUNTS),
    (r"unit", _UNITS),
    (r"colou?r|hue", _COLOURS),
    (r"material|texture|finish", ("glazed stoneware", "washed linen", "oiled oak", "brushed brass")),
    (r"season", ("autumn", "spring", "summer", "winter")),
    (r"mood|tone|style|feeling|vibe", ("warm and quiet", "bright and playful", "calm and precise")),
    (r"sentiment|verdict|outcome", ("positive", "neutral", "mixed")),
    (r"author|person|speaker|host|customer|persona|by$|character", _NAMES),
    (r"language|locale|lang$", ("en",)),
    (r"country|origin", ("Portugal", "Japan", "Denmark")),
    (r"city|place|location|venue", ("Lisbon", "Kyoto", "Copenhagen")),
    (r"currency", ("EUR",)),
    (r"category|genre|type|kind|section_?name|department", ("{Noun}", "Home & living", "Gifts")),
    (r"price|cost", ("39.00 EUR", "24.00 EUR", "89.00 EUR")),
    (r"duration|time$|length", ("25 minutes", "10 minutes", "1 hour")),
    (r"date|day$|when", ("2026-03-14", "2026-06-21", "2026-09-05")),
    (r"question|^q$", ("What makes {the} special?", "How do I care for {the}?", "Who is {the} for?")),
    (
        r"answer|^a$|response|reply",
        (
            "Care in the making: every detail of {the} is there for a reason.",
            "Very little is needed: keep it clean, keep it dry, and use it often.",
            "For anyone who likes simple things done well.",
        ),
    ),
    (r"cta|button|action", ("Discover {the}", "See the details", "Make it yours")),
    (r"hook|slogan|tagline|motto", ("{Title}, made to be used every day.", "Small {noun}, big difference.")),
    (
        r"outline|section|chapter|heading|subheading|agenda|topics|part$",
        (
            "Why {title} Matters",
            "Choosing the Right {Noun}",
            "A Closer Look at the Details",
            "Living with {a_title}",
            "What to Remember",
        ),
    ),
    (
        r"headline|title|name|^h1$|product|item|dish|recipe|subject|idea",
        ("{Title}", "The Everyday {Noun}", "{Title} for Slow Mornings", "A Better {Noun}", "Simply {Noun}"),
    ),
    (
        r"feature|benefit|highlight|bullet|point|reason|why|pro$|pros|fact|tip|note|detail|takeaway|insight",
        (
            "Made with care, down to the parts of {the} that nobody sees.",
            "Easy to use from the first day, and easy to look after.",
            "A calm, honest look that suits almost every room.",
            "Built to last: {the} gets better with use.",
            "A thoughtful gift for someone who values good things.",
        ),
    ),
    (
        r"con$|cons|risk|issue|problem|weakness|drawback",
        ("It asks for a little patience.", "There is only one size."),
    ),
)
_PROSE = (
    "{A} that turns an ordinary moment into a small ritual. Made with care and meant to be used every day.",
    "There is a quiet confidence in {the}: nothing too much, nothing missing.",
    "Pick up {the} once and you will know where it belongs.",
    "Good company from the first morning, {the} only gets better with time.",
)
_NUMBERS: tuple[tuple[str, float], ...] = (
    (r"price|cost|amount|total|usd|eur", 39.0), (r"percent|pct", 72), (r"rating|stars", 4.6),
    (r"confidence|probab|relevance|similarity", 0.92), (r"score|grade", 8), (r"year", 2026), (r"month", 9),
    (r"day", 14), (r"hour", 2), (r"minute|duration|time", 25), (r"second", 12),
    (r"serving|portion|people", 4), (r"^age", 34), (r"width|height|size", 1024),
    (r"calorie|kcal", 420), (r"quantity|count|number|stock", 3),
    (r"index|order|position|rank|step|^id$|_id$|page|chapter", 1), (r"temperature|degree", 180),
    (r"gram|weight", 450),
)  # fmt: skip


def says(name: str, about: Subject, random: Random, index: int = 0) -> str:
    """A text for the key `name`; `index` counts within a list, so that its items differ."""
    name = _plain(name)
    rows = next((texts for pattern, texts in _TEXTS if re.search(pattern, name)), _PROSE)
    start = index if index or rows is not _PROSE else random.randrange(len(rows))
    text = rows[start % len(rows)]
    if re.search(r"keyword|tag$|hashtag|label|topic", name):
        return _keyword(about, index)
    return text.format_map(_parts(about, index))


def counts(name: str, index: int = 0) -> float:
    """A plausible number for the key `name`."""
    number = next((value for pattern, value in _NUMBERS if re.search(pattern, _plain(name))), 3)
    return number + index if float(number).is_integer() else number


def paragraph(about: Subject, random: Random) -> str:
    """Four sentences in changing order: what fills a text that has to be longer."""
    sentences = list(_PROSE)
    random.shuffle(sentences)
    return " ".join(sentence.format_map(_parts(about, 0)) for sentence in sentences)


def _plain(name: str) -> str:
    """`heroImage` and `hero-image` are `hero_image`; a plural is read as its singular."""
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().replace("-", "_")
    return snake.removesuffix("s") if len(snake) > 3 and not snake.endswith("ss") else snake


def _keyword(about: Subject, index: int) -> str:
    own = list(about.words)
    if len(own) > 2:
        own.append(" ".join(own[-2:]))
    more = [
        word
        for word in ("everyday", "handmade", "gift idea", "timeless", "well made", "slow living")
        if word not in own
    ]
    return (own + more)[index % (len(own) + len(more))]


def _ingredient(about: Subject, index: int) -> str:
    own = [word for word in about.words if word not in _DISHES][:2]
    return (own + [item for item in _LARDER if item not in own])[index % (len(own) + len(_LARDER) - 1)]


def _parts(about: Subject, index: int) -> dict[str, str]:
    a, phrase = about.a, about.phrase
    return {
        "a": a,
        "A": a[:1].upper() + a[1:],
        "the": f"the {phrase}" if not phrase[:1].isupper() else phrase,
        "title": about.title,
        "a_title": about.a,
        "Title": about.title,
        "noun": about.noun,
        "Noun": about.noun.capitalize(),
        "word": about.words[index % len(about.words)],
        "pair": " ".join(about.words[-2:]),
        "slug": about.slug,
        "initials": "".join(word[0] for word in about.words).upper()[:4],
        "ingredient": _ingredient(about, index),
    }
