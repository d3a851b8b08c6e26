"""What a prompt is about: a text in, its subject, its own words and the matching phrases out."""

import re
from dataclasses import dataclass
from functools import cached_property

_SMALL_WORDS = """
    a an the this that these those my our your their his her its i you we they he she it of for in on at
    to from with without into onto by as and or but not no is are was were be been being do does did can
    could will would should may might must have has had what which who how why when where there here
    then than so if very just only please some any all each every few more most other such too about
    over under between one two three four five six seven eight nine ten json valid return answer give me
    us write create make generate describe use using keep put show tell list explain compose draft
    produce provide suggest invent imagine summarise summarize respond reply sentence sentences word
    words paragraph short long
"""
_FAR = 4000  # characters; who has not said it by then has no subject
_STOP = frozenset(_SMALL_WORDS.split())
_ORDER = re.compile(
    r"^(?:please\s+|now\s+|you are to\s+|can you\s+|could you\s+|in \w+ (?:short )?(?:words?|sentences?|lines?),?\s+)*"
    r"(?:describe|sell|advertise|promote|praise|announce|present|write|create|make|generate|give|list|tell|explain|compose|draft|produce|provide|suggest|"
    r"invent|imagine|summari[sz]e|propose|plan|design|prepare|develop|outline|introduce|name|say|think of|"
    r"come up with|return|answer|translate|rewrite|improve|extract|"
    r"what (?:is|are|makes)|who (?:is|are)|why (?:is|are|do|does)|"
    r"how (?:do|does|can|should|to)(?: (?:i|you|we|one))?(?: \w+)?|where (?:is|are)|tell me about)\b"
    r"(?:\s+(?:me|us))?(?:\s+(?:about|of))?\s*",
    re.IGNORECASE,
)
# "a short recipe for lentil soup" is about the soup.
_FRAME = re.compile(
    r"^(?:[\w'-]+\s+){0,4}?"
    r"(?:advertisement|advert|ad|pitch|tagline|announcement|invitation|label|flyer|poster|newsletter|biography|essay|"
    r"speech|guide|tale|fable|quote|greeting|message|teaser|release|photo|picture|image|"
    r"recipe|poem|haiku|story|description|list|blurb|tweet|caption|slogan|title|titles|outline|article|post|"
    r"paragraph|summary|copy|text|ideas?|names?|headline|scene|script|letter|email|card|page|sentences?|words?|"
    r"(?:product|subject|topic|theme|item|thing)(?=\s*(?:is|:))|"
    r"facts?|steps|plan|brief|prompt|review|joke|song|idea|note|introduction|facts sheet)\s*"
    r"(?:for (?:[\w'-]+\s+){1,3}(?=about\b)|(?:that|which) \w+s (?:(?:an?|the) \w+ )?(?=about\b))?"
    r"(?:for|about|of|on|describing|introducing|announcing|selling|to|is|:)\s+",
    re.IGNORECASE,
)
# Whom the prompt wants the model to be is not what it is about.
_ROLE = re.compile(
    r"^(?:you are|you're|act as|as an?|imagine (?:that )?you|pretend|your (?:task|job) is)\b", re.IGNORECASE
)
_CUT = re.compile(
    r"\s+(?:for|as|in the style|in \d+|in one|in two|in three|using|so that|that|which|and return|and give|"
    r"return|answer|with the|with these|to be used|suitable|in json|on a|on the|, )\b|[.,:;!?\n(\[{]",
    re.IGNORECASE,
)
_ARTICLE = re.compile(r"^(?:an?|the|some|our|my|your)\s+", re.IGNORECASE)


@dataclass(frozen=True)
class Subject:
    """What the text is about, as a phrase without an article: `red ceramic teapot`."""

    phrase: str
    text: str = ""

    @cached_property
    def words(self) -> tuple[str, ...]:
        """Its content words in lower case, each once; never empty."""
        found = content_words(self.phrase)
        return tuple(found[:6]) or ("idea",)

    @property
    def title(self) -> str:
        """In title case: `Red Ceramic Teapot`."""
        small = {"a", "an", "the", "of", "for", "in", "on", "at", "to", "and", "with", "by"}
        words = self.phrase.split()[:7]
        return " ".join(w if i and w.lower() in small else w[:1].upper() + w[1:] for i, w in enumerate(words))

    @property
    def noun(self) -> str:
        """What it is in the end: `teapot`."""
        return self.words[-1]

    @property
    def slug(self) -> str:
        """For addresses and file names: `red-ceramic-teapot`."""
        return "-".join(re.findall(r"[a-z0-9]+", " ".join(self.words).lower())) or "idea"

    @property
    def a(self) -> str:
        """With its article: `a red ceramic teapot`."""
        if (
            self.phrase[:1].isupper()
            or self.noun.endswith("ing")
            or (self.noun.endswith("s") and not self.noun.endswith("ss"))
        ):
            return self.phrase
        return f"{'an' if self.phrase[:1].lower() in 'aeiou' else 'a'} {self.phrase}"


def content_words(text: str) -> list[str]:
    """The words that carry meaning, in order, each once."""
    words = [word.lower().strip("-'") for word in re.findall(r"[^\W_][\w'-]*", text)]
    return list(dict.fromkeys(word for word in words if word not in _STOP and len(word) > 1))


def subject(text: str) -> Subject:
    """The first sentence without its command, its frame and what follows the thing itself."""
    prose = _without_shapes(text[:_FAR])
    for line in re.split(r"\n+|(?<=[.!?:])\s+(?=[A-Z])", prose):
        phrase = _phrase(line)
        if content_words(phrase) and not (_ROLE.match(line.strip()) and _more(line, prose)):
            return Subject(phrase, text)
    words = content_words(prose)
    return Subject(" ".join(words[:4]) or "good idea", text)


def _more(line: str, prose: str) -> bool:
    """Whether there is anything to be about behind this line."""
    return bool(content_words(prose.partition(line)[2]))


def _without_shapes(text: str) -> str:
    """The text without all that stands between its first opening and its last closing bracket."""
    first = re.search(r"[{\[]", text)
    last = max(text.rfind("}"), text.rfind("]"))
    return text if first is None or last < first.start() else f"{text[: first.start()]} {text[last + 1 :]}"


def _phrase(line: str) -> str:
    rest = _ORDER.sub("", line.strip().strip("\"'`*#- "))
    for _ in range(2):
        rest = _ARTICLE.sub("", _FRAME.sub("", rest))
    end = next((found.start() for found in _CUT.finditer(rest) if content_words(rest[: found.start()])), len(rest))
    return " ".join(rest[:end].strip(" \"'`*").split()[:8])
