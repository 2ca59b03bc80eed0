"""The prose gate: each rule with the sentence that breaks it and the one that is right."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from handbook.site import gates, prose, sentences, terms
from handbook.site.project import Project
from handbook.site.prose_rules import Finding

TERMS = (
    terms.Term("멱등성", "idempotency", "…"),
    terms.Term("보상 트랜잭션", "compensating transaction", "…"),
    terms.Term("사가", "saga", "…"),
    terms.Term("커넥션 풀", "connection pool", "…"),
    terms.Term("트랜잭션", "transaction", "…", common=True),
)


def rules(text: str) -> list[str]:
    """The rules that a text breaks."""
    return [found.rule for found in prose.check(text)]


def only(found: list[Finding]) -> Finding:
    """The one finding there is."""
    assert len(found) == 1, found
    return found[0]


WORDINGS = {
    "double-passive": ("롤백되어집니다.", "롤백합니다."),
    "double-passive, can": ("이벤트가 발행되어질 수 있습니다.", "릴레이가 이벤트를 보냅니다."),
    "double-passive, seen": ("행이 보여집니다.", "행이 보입니다."),
    "by": ("락에 의해 멈춥니다.", "락을 기다립니다."),
    "by, clause": ("사가에 의한 변경을 되돌립니다.", "사가가 바꾼 것을 되돌립니다."),
    "perform": ("재시도를 수행합니다.", "재시도합니다."),
    "seems": ("락이 필요한 것으로 보입니다.", "락이 필요합니다."),
    "possible": ("커밋을 하는 것이 가능합니다.", "커밋할 수 있습니다."),
    "possible, noun": ("재시도가 가능합니다.", "재시도할 수 있습니다."),
    "among": ("서비스들 간의 순서를 지킵니다.", "서비스끼리 순서를 지킵니다."),
    "in-terms-of": ("통신에 있어서 순서가 중요합니다.", "통신할 때 순서가 중요합니다."),
    "this-causes": ("이는 락을 오래 잡습니다.", "그래서 락을 오래 잡습니다."),
    "this-causes, verb": ("재시도가 중복을 야기합니다.", "재시도하면 중복이 생깁니다."),
    "praise": ("매우 빠릅니다.", "단건의 10배를 보냅니다 (조건)."),
    "praise, adjective": ("강력한 릴레이입니다.", "릴레이 하나로 충분합니다."),
    "has": ("데이터가 정합성을 가집니다.", "세 DB의 합계가 같습니다."),
    "at-time-of": ("실패 시 다시 보냅니다.", "실패하면 다시 보냅니다."),
    "announce": ("이제 락을 살펴보겠습니다.", "락은 행마다 하나입니다."),
    "wrong": ("그 설명은 틀렸습니다.", "락은 커밋할 때 풀립니다."),
    "spacing, thing": ("기다리는것이 낫습니다.", "기다리는 것이 낫습니다."),
    "spacing, done thing": ("보낸것만 지웁니다.", "보낸 것만 지웁니다."),
    "spacing, when": ("커밋할때 보입니다.", "커밋할 때 보입니다."),
    "spacing, can": ("커밋할수 있습니다.", "커밋할 수 있습니다."),
    "spacing, can not": ("커밋할 수없습니다.", "커밋할 수 없습니다."),
    "spacing, count": ("이벤트를 두번 보냅니다.", "이벤트를 두 번 보냅니다."),
    "spacing, several": ("여러개를 보냅니다.", "여러 개를 보냅니다."),
    "spacing, during": ("실행중인 릴레이를 죽입니다.", "실행 중인 릴레이를 죽입니다."),
    "spacing, not": ("다시 보내면 안됩니다.", "다시 보내면 안 됩니다."),
    "ending": ("릴레이가 보낸다.", "릴레이가 보냅니다."),
    "ending, polite": ("릴레이가 보내요.", "릴레이가 보냅니다."),
    "ending, noun": ("실패하면 재시도 필요.", "실패하면 다시 보냅니다."),
    "ending, question": ("몇 개를 보내나요?", "몇 개를 보냅니까?"),
    "ending, no mark": ("몇 개를 보냅니까.", "몇 개를 보냅니까?"),
    "ending, exclamation": ("보냅니다!", "보냅니다."),
    "ending, open": ("릴레이가 보내는 것", "릴레이가 보냅니다."),
    "ending, code": ("값은 `batch`.", "값은 `batch`입니다."),
    "length": ("가나다라마 " * 13 + "보냅니다.", "가나다라마 " * 11 + "보냅니다."),
}


@pytest.mark.parametrize(("wrong", "right"), WORDINGS.values(), ids=WORDINGS)
def test_a_wording_is_red_and_its_better_form_is_green(
    wrong: str, right: str, request: pytest.FixtureRequest
) -> None:
    """Each rule finds what it is for, and leaves what it asks for."""
    rule = request.node.callspec.id.partition(",")[0]
    assert rules(wrong) == [rule]
    assert rules(right) == []
    assert only(prose.check(wrong)).next_step


@pytest.mark.parametrize(
    "text",
    [
        "실수 없이 함수 있는 변수를 셉니다.",
        "그것과 이것, 날것을 비교합니다.",
        "물때를 지웁니다.",
        "네트워크가 끊깁니다. 열쇠를 바꿉니다. 설명합니다.",
        "다시 보냅니다. 동시에 읽습니다. 세 시에 시작합니다.",
        "보상 가능 트랜잭션과 재시도 가능 트랜잭션이 있습니다.",
        "이벤트로 트랜잭션을 진행합니다.",
        "값은 0.65입니다. `a.b`를 읽습니다. Kafka 4.4에서 읽습니다.",
        "릴레이를 «죽인다!»라고 부르지 않습니다.",
        "측정값(CPU 2개): 스택은 0.7초에 켜집니다.",
        "다음 순서로 고릅니다:",
        "마지막 줄에 주소가 나옵니다: `http://127.0.0.1:8000/`",
        "출처: [Outbox](https://example.org/a), [Saga](https://example.org/b)",
        "**상태.** 채택 (2026-11-23)",
        "**불변식.** 두 집합이 같습니다.",
        "- 릴레이 하나\n- **이름으로 인용.** 줄 번호는 바뀝니다.",
        "| 실패 시 | 재시도를 수행 |\n| --- | --- |\n| 두번 | 할때 |",
        "```text\n재시도를 수행한다\n```",
        "## 실패한 릴레이 {#failed}",
        "Pattern: Transactional outbox.",
        "긴 문장이\n두 줄에 걸쳐\n이어집니다.",
    ],
)
def test_prose_is_green_when_it_only_looks_wrong(text: str) -> None:
    """Words that hold a pattern by chance, code, tables, labels, lists and quotations."""
    assert prose.check(text) == []


def test_a_finding_names_its_line_when_a_sentence_spans_lines() -> None:
    """Front matter and wrapped sentences do not shift it."""
    text = "---\na: 1\n---\n\n# 제목 {#a}\n\n첫 문장입니다.\n긴 문장이\n실행중에 끝납니다.\n"
    assert only(prose.check(text)).line == 9


def test_the_title_of_a_box_is_prose() -> None:
    """Questions are asked in titles."""
    assert rules('??? question "몇 개인가요?"\n    네 개입니다.\n') == ["ending"]
    assert rules('??? question "몇 개입니까?"\n    네 개입니다.\n') == []
    assert rules("/// details | 몇 개인가요?\n네 개입니다.\n///\n") == ["ending"]


EXCUSED = "이제 `시작하겠습니다`라고 말하겠습니다. <!-- prose: 화면에 나오는 말을 인용합니다 -->"


def test_a_finding_is_excused_when_its_line_says_why() -> None:
    """The comment is for the gate; it is not published."""
    assert prose.check(EXCUSED) == []
    assert "prose:" not in prose.without_excuses(EXCUSED)
    assert prose.without_excuses(f"```text\n{EXCUSED}\n```") == f"```text\n{EXCUSED}\n```"
    assert rules(EXCUSED.replace("화면에 나오는 말을 인용합니다", "인용")) == ["excuse"]
    assert rules(EXCUSED.replace("말하겠습니다", "말합니다")) == ["excuse"]
    other_line = EXCUSED.replace(" <!--", "\n다음 줄입니다. <!--")
    assert rules(other_line) == ["announce", "excuse"]


BOX = '!!! note "바로잡음"\n    상자입니다.\n\n'
BLOCK = "/// note | 바로잡음\n상자입니다.\n///\n\n"


NESTED = "/// broken | 깨짐\n//// cell | a#b\n    part: output\n////\n///\n\n"


@pytest.mark.parametrize("text", [BOX * 2, BLOCK * 2, BOX + BLOCK, BLOCK + BOX, NESTED * 2])
def test_two_boxes_in_a_row_are_red(text: str) -> None:
    """However they are written."""
    assert rules(text) == ["boxes"]


@pytest.mark.parametrize(
    "text",
    [
        BOX + "문장입니다.\n\n" + BOX,
        BLOCK + "## 제목 {#a}\n\n" + BLOCK,
        NESTED + "문장입니다.\n\n" + NESTED,
        BOX + '??? question "몇 개입니까?"\n    네 개입니다.\n',
        "/// cell | a#b\n///\n\n/// cell | a#c\n///\n",
        '!!! note "바로잡음"\n    상자입니다.\n\n    상자 안의 둘째 문단입니다.\n',
    ],
)
def test_boxes_apart_are_green(text: str) -> None:
    """A sentence or a heading between them is enough; cells and questions are no boxes."""
    assert rules(text) == []


def introduced(text: str) -> list[str]:
    """What is said about first mentions."""
    return [found.what for found in prose.check(text, TERMS) if found.rule == "introduction"]


@pytest.mark.parametrize(
    "text",
    [
        "멱등성(idempotency)이 있습니다. 멱등성을 씁니다.",
        "멱등성(Idempotency, 같은 결과)을 씁니다.",
        "# 멱등성 {#a}\n\n멱등성(idempotency)을 씁니다.",
        "| 멱등성 |\n| --- |\n\n멱등성(idempotency)을 씁니다.",
        "`멱등성`을 씁니다.",
        "조사가 끝나고 회사가 큽니다. 사가지 않습니다.",
        "커넥션 풀러를 씁니다.",
        "트랜잭션을 커밋합니다.",
    ],
)
def test_a_term_is_green_when_it_is_introduced_once(text: str) -> None:
    """Headings and tables are no mentions, and a word that holds a term is none."""
    assert introduced(text) == []


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("멱등성을 씁니다. 멱등성(idempotency)입니다.", "without its English"),
        ("멱등성을 씁니다.", "without its English"),
        ("사가는 깁니다.", "without its English"),
        ("보상 트랜잭션으로 되돌립니다.", "without its English"),
        ("멱등성(idempotency)이 멱등성(idempotency)입니다.", "once more"),
    ],
)
def test_a_term_is_red_when_it_is_introduced_late_or_twice(text: str, what: str) -> None:
    """The English comes with the first mention, and only there."""
    assert what in introduced(text)[0]


def test_only_topics_and_labs_introduce_terms() -> None:
    """Whoever reads a decision or the glossary looks a word up."""
    assert prose.check_page("events/relay.md", "멱등성을 씁니다.\n", TERMS)
    assert not prose.check_page("reference/glossary.md", "멱등성을 씁니다.\n", TERMS)


def lab(project: Project, cell_id: str, source: str) -> None:
    """Rewrite the prose of one cell."""
    file = project.notebooks / "01-demo.ipynb"
    raw = json.loads(file.read_text("utf-8"))
    next(cell for cell in raw["cells"] if cell["id"] == cell_id)["source"] = source
    file.write_text(json.dumps(raw), "utf-8")


def test_a_lab_is_red_with_cell_and_line(project: Project) -> None:
    """The prose of a notebook is prose; its gate is that of the pages."""
    lab(project, "prediction", "## 제목\n\n몇 개를 잃습니까?\n재시도를 수행합니다.")
    found = prose.check_lab(project.lab("01-demo"), ())
    places = {problem.where for problem in found}
    assert "notebooks/01-demo.ipynb#prediction:4" in places
    assert any("수행" in problem.what for problem in gates.check_lab(project, "01-demo"))


def test_a_lab_introduces_a_term_once(project: Project) -> None:
    """A later cell may use it."""
    lab(project, "intro", "# 제목\n\n멱등성(idempotency)을 봅니다.")
    lab(project, "prediction", "## 제목\n\n멱등성을 씁니다.")
    assert prose.check_lab(project.lab("01-demo"), TERMS) == []
    lab(project, "intro", "# 제목\n\n무엇을 봅니까?")
    assert len(prose.check_lab(project.lab("01-demo"), TERMS)) == 1


def test_a_page_is_red_in_the_gate_of_the_pages(project: Project) -> None:
    """The build asks the same gate."""
    page = project.docs / "events/outbox.md"
    before = page.read_text("utf-8")
    page.write_text(f"{before}\n재시도를 수행합니다.\n", "utf-8")
    assert [p.where for p in gates.check_pages(project)] == [
        f"docs/events/outbox.md:{before.count(chr(10)) + 2}"
    ]


def test_volume_is_a_hint_when_a_topic_is_short(project: Project) -> None:
    """Too short or too long is said, and is no fault."""
    topic = project.docs / "events/outbox.md"
    assert [hint.where for hint in prose.volumes(project)] == ["docs/events/outbox.md"]
    topic.write_text("# 제목 {#a}\n\n" + "가나다라마 바사아자차입니다.\n" * 100, "utf-8")
    assert prose.volumes(project) == []


def test_sentences_are_read_without_marks(tmp_path: Path) -> None:
    """Links keep their text, code becomes a sign, and ends in brackets do not count."""
    text = "[링크](https://a.b/c)는 **굵은** `x.y`입니다 (끝. 아님). 둘째입니까?\n"
    found = sentences.read(text)
    assert [sentence.text for sentence in found] == [
        "링크는 굵은 □입니다 (끝. 아님).",
        "둘째입니까?",
    ]
