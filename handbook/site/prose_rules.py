"""How Korean sentences are written here: each rule says what it looks for and what to write."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from handbook.site.sentences import CODE, Sentence

MOST_SYLLABLES = 60
HANGUL = re.compile("[가-힣]")
TRAILING = re.compile(r"(?:\s*\([^()]*\)|[\s»”’\")\]」』])+$")
FIELD = re.compile(r"^[가-힣 ]{1,8}:\s*\S")
SHOWS = re.compile(r"니다: [^가-힣]+$")


@dataclass(frozen=True)
class Finding:
    """What a rule found: the lines it stands on, what it is, and what to write."""

    rule: str
    line: int
    last_line: int
    what: str
    next_step: str


@dataclass(frozen=True)
class Pattern:
    """A wording that has a better one."""

    rule: str
    looks_for: str
    why: str
    write: str

    def find(self, sentence: Sentence) -> Iterator[Finding]:
        """Every place of the wording in a sentence."""
        for found in re.finditer(self.looks_for, sentence.flat):
            line = sentence.line_of(found.start())
            yield Finding(self.rule, line, line, f"«{found[0].strip()}» {self.why}", self.write)


def _final(*finals: str) -> str:
    """A character class of all syllables that end with one of these consonants."""
    index = {"ㄴ": 4, "ㄹ": 8, "ㅁ": 16}
    wanted = {index[final] for final in finals}
    return "[" + "".join(chr(c) for c in range(0xAC00, 0xD7A4) if (c - 0xAC00) % 28 in wanted) + "]"


N_OR_L = _final("ㄴ", "ㄹ")
L = _final("ㄹ")
COUNT = "두|세|네|다섯|여섯|일곱|여덟|아홉|열|몇|여러"
COUNTER = "번|개|가지|줄|명|행|곳|단계|시간|배"

STUCK = "is written with a space"
PATTERNS = (
    Pattern(
        "double-passive",
        r"[가-힣]*(?:되어|보여|쓰여|놓여|잊혀|나뉘어|읽혀|불려|닫혀|열려|잡혀)(?:집|지|진|질|져|졌)[가-힣]*",
        "is passive twice",
        "write «롤백합니다», not «롤백되어집니다»",
    ),
    Pattern(
        "by",
        r"에 의(?:해|하여|한|해서)(?![가-힣])",
        "hides who acts",
        "name the actor first: «락을 기다립니다», not «락에 의해 블로킹됩니다»",
    ),
    Pattern(
        "perform",
        r"[가-힣]+[을를] (?:수행|실시)[가-힣]*",
        "makes a noun of the verb",
        "write «재시도합니다», not «재시도를 수행합니다»",
    ),
    Pattern(
        "seems",
        r"것으로 (?:보입|보이|보인|생각|판단|예상)[가-힣]*",
        "leaves the claim open",
        "claim it and give the reason: «필요합니다», not «필요한 것으로 보입니다»",
    ),
    Pattern(
        "possible",
        r"(?:것이|[가-힣]+[이가]) 가능(?:합|하|해|했|할|한)[가-힣]*",
        "makes a noun of the verb",
        "write «커밋할 수 있습니다», not «커밋을 하는 것이 가능합니다»",
    ),
    Pattern(
        "among",
        r"[가-힣]*들 ?간(?:의|에)?(?![가-힣])",
        "is translated English",
        "write «서비스끼리», not «서비스들 간의»",
    ),
    Pattern(
        "in-terms-of",
        r"에 있어서[는도]?(?![가-힣])",
        "is translated English",
        "write «통신할 때», not «통신에 있어서»",
    ),
    Pattern(
        "this-causes",
        r"^이는 |[가-힣]+[을를] 야기[가-힣]+|[가-힣]+[을를] 초래[가-힣]+",
        "is translated English",
        "write «그래서 중복이 생깁니다», not «이는 중복을 야기합니다»",
    ),
    Pattern(
        "praise",
        r"(?<![가-힣])(?:매우|굉장히|무척|강력(?:한|하)|획기적|혁신적|손쉽게|완벽(?:한|하게)|놀라운|최적의)[가-힣]*",
        "praises without a number",
        "give the number and its condition: «단건의 10배를 보냅니다 (조건)»",
    ),
    Pattern(
        "has",
        r"[가-힣]+[을를] (?:가집니다|가진다|가지고 |갖습니다|갖고 |가지며)[가-힣]*",
        "says nothing that one can check",
        "say what is so: «세 DB의 합계가 같습니다», not «정합성을 가집니다»",
    ),
    Pattern(
        "at-time-of",
        rf"(?<![가-힣])(?!(?:한|{COUNT}) )[가-힣]+ 시(?=[ ,]|에는? )",
        "is a note, no sentence",
        "write «실패하면», «커밋할 때», not «실패 시»",
    ),
    Pattern(
        "announce",
        r"[가-힣]*겠습니다|봅시다(?![가-힣])",
        "announces instead of saying",
        "delete the sentence, or say the thing itself",
    ),
    Pattern(
        "wrong",
        r"틀렸습니다",
        "blames",
        "state what is right, with its source",
    ),
    Pattern(
        "spacing",
        rf"[가-힣]*(?![날탈]){N_OR_L}것[가-힣]*",
        STUCK,
        "write «하는 것», not «하는것»",
    ),
    Pattern("spacing", rf"[가-힣]*(?!물){L}때[가-힣]*", STUCK, "write «할 때», not «할때»"),
    Pattern(
        "spacing",
        rf"[가-힣]*(?!실){L}수[가는도밖에]* ?[있없][가-힣]*|(?<=\s)수[있없][가-힣]+",
        STUCK,
        "write «할 수 있습니다», not «할수 있습니다»",
    ),
    Pattern(
        "spacing",
        rf"(?<![가-힣])(?:{COUNT})(?:{COUNTER})(?!트)[가-힣]*",
        STUCK,
        "write «두 번», not «두번»",
    ),
    Pattern(
        "spacing",
        r"[가-힣]*(?:실행|처리|대기|작업|연결|전송|배포|시작|종료|하는|되는)중(?:에|인|입|이|$|(?=\W))[가-힣]*",
        STUCK,
        "write «실행 중», not «실행중»",
    ),
    Pattern(
        "spacing",
        r"(?<![가-힣])안(?:됩니다|된다|됐|되는|되면|돼)[가-힣]*",
        STUCK,
        "write «안 됩니다», not «안됩니다»",
    ),
)  # fmt: skip


def endings(sentence: Sentence) -> Iterator[Finding]:
    """합니다체: statements end with -니다, questions with -까.

    What is no sentence belongs into a list, or behind a label or a colon: `출처: …`.
    """
    if not HANGUL.search(sentence.flat) or sentence.place in {"heading", "label"}:
        return
    if (FIELD.match(sentence.flat) and sentence.end != "?") or SHOWS.search(sentence.flat):
        return
    stem = TRAILING.sub("", sentence.flat.rstrip(".?!:"))
    if sentence.end in {"", ":"}:
        free = sentence.place != "text" or sentence.labelled
        if not free and not (sentence.end and stem.endswith("니다")):
            yield _ending(sentence, "does not end", "end it with a full stop, or make it a list")
    elif sentence.end == "!":
        yield _ending(sentence, "ends with an exclamation mark", "end it with a full stop")
    elif sentence.end == "?":
        if not stem.endswith("까"):
            yield _ending(sentence, f"asks with «{_tail(stem)}»", "end the question with -까")
    elif stem.endswith("까"):
        yield _ending(sentence, "is a question without its mark", "end it with a question mark")
    elif not stem.endswith("니다"):
        yield _ending(sentence, f"ends with «{_tail(stem)}»", "end it with -니다 (합니다체)")


def _tail(text: str) -> str:
    return text.split()[-1].replace(CODE, "`…`") if text.split() else ""


def _ending(sentence: Sentence, what: str, step: str) -> Finding:
    shown = sentence.flat if len(sentence.flat) <= 24 else f"{sentence.flat[:22]}…"
    shown = shown.replace(CODE, "`…`")
    return Finding("ending", sentence.line, sentence.last_line, f"«{shown}» {what}", step)


def length(sentence: Sentence) -> Iterator[Finding]:
    """At most 60 syllables; code and Latin words do not count."""
    count = len(HANGUL.findall(sentence.text))
    if count > MOST_SYLLABLES:
        yield Finding(
            "length",
            sentence.line,
            sentence.last_line,
            f"the sentence has {count} syllables, the limit is {MOST_SYLLABLES}",
            "make two of it",
        )


def wording(sentence: Sentence) -> Iterator[Finding]:
    """The patterns."""
    for pattern in PATTERNS:
        yield from pattern.find(sentence)


RULES: tuple[Callable[[Sentence], Iterator[Finding]], ...] = (endings, length, wording)
