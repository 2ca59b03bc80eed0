"""The card below a topic's title: its answer and what a reader needs to know."""

from __future__ import annotations

import hashlib
import json

import pytest
from bs4 import BeautifulSoup, Tag

from handbook.site import build, card, front_matter, new_page
from handbook.site.project import Project
from handbook.site.provenance import Provenance

PAGE = "events/whole.md"
VERIFIED = Provenance(True, "PostgreSQL 18.4 · Kafka 4.4.0에서 2026-11-23에 검증")
UNVERIFIED = Provenance(False, "검증되지 않음")


def facts(markdown: str) -> list[str]:
    """The lines that say a fact."""
    return [line for line in markdown.splitlines() if line.startswith(("<dt>", "<dd"))]


def made(**changes: object) -> card.Card:
    """A card."""
    whole = {
        "minutes": 10,
        "before": ("[ACID](../transactions/acid.md)", "Kafka 토픽과 키"),
        "labs": ("[13. 아웃박스](../labs/13-outbox.ipynb)",),
        "proofs": (VERIFIED,),
    }
    return card.Card(**{**whole, **changes})  # type: ignore[arg-type]


def test_card_holds_the_first_paragraph_and_the_facts() -> None:
    """The answer stays the page's own text; nothing else of the page moves."""
    page = "# 제목 {#a}\n\n첫째입니다.\n둘째입니다.\n\n## 다음 {#b}\n\n본문입니다.\n"
    shown = card.insert(page, made())
    answer = shown.index("첫째입니다.\n둘째입니다.")
    assert shown.index("<section") < answer < shown.index("<dl") < shown.index("## 다음 {#b}")
    assert shown.startswith("# 제목 {#a}\n\n<section")
    assert shown.endswith("## 다음 {#b}\n\n본문입니다.\n")
    assert facts(shown) == [
        "<dt>소요 시간</dt>",
        '<dd markdown="span">10분</dd>',
        "<dt>먼저 읽을 것</dt>",
        '<dd markdown="span">[ACID](../transactions/acid.md), Kafka 토픽과 키</dd>',
        "<dt>실습</dt>",
        '<dd markdown="span">[13. 아웃박스](../labs/13-outbox.ipynb)</dd>',
        "<dt>마지막 검증</dt>",
        f'<dd markdown="span"><span class="proof proof--verified">{VERIFIED.text}</span></dd>',
    ]


@pytest.mark.parametrize(
    ("proofs", "text"),
    [
        ((VERIFIED, UNVERIFIED), "검증되지 않음"),
        ((UNVERIFIED,), "검증되지 않음"),
        ((VERIFIED, VERIFIED), VERIFIED.text),
    ],
)
def test_card_is_as_verified_as_its_weakest_lab(proofs: tuple[Provenance, ...], text: str) -> None:
    """One lab that was not verified makes the page unverified; equal proofs are said once."""
    shown = facts(card.insert("# a\n\n답입니다.\n", made(proofs=proofs)))[-1]
    assert f">{text}</span>" in shown


def test_card_says_nothing_of_verification_when_there_is_no_lab() -> None:
    """What does not run is not called unverified."""
    shown = facts(card.insert("# a\n\n답입니다.\n", made(before=(), labs=(), proofs=())))
    assert [line for line in shown if line.startswith("<dd")][1:] == [
        '<dd markdown="span">없음</dd>'
    ] * 2
    assert not any("검증" in line for line in shown)


def test_page_stays_as_it_is_when_it_has_no_answer() -> None:
    """The form's gate says so; nothing is drawn around something else."""
    page = "# 제목 {#a}\n\n| 표 |\n| --- |\n\n답입니다.\n"
    assert card.insert(page, made()) == page


def test_only_topics_that_say_their_time_have_a_card(project: Project) -> None:
    """Decisions and reference pages stay plain."""
    values = front_matter.read("---\nminutes: 10\n---\n")

    def of(page: str, found: front_matter.FrontMatter) -> card.Card | None:
        return card.of_page(project, page, found, lambda _: VERIFIED, lambda target: target)

    assert of("events/a.md", values) is not None
    assert of("events/a.md", front_matter.FrontMatter()) is None
    assert of("reference/a.md", values) is None
    assert of("index.md", values) is None


def test_card_links_by_title_when_it_names_pages_and_labs(project: Project) -> None:
    """A page is called by its first heading, a lab by its own; words stay words."""
    front = "---\nminutes: 5\nbefore: [events/outbox.md, 커밋]\nlabs: [01-demo]\n---\n"
    shown = card.of_page(
        project, "saga/a.md", front_matter.read(front), lambda _: VERIFIED, lambda to: f"../{to}"
    )
    assert shown is not None
    assert shown.before == ("[커밋과 이벤트](../events/outbox.md)", "커밋")
    assert shown.labs == ("[시험용 실습](../labs/01-demo.ipynb)",)


def built_card(project: Project) -> Tag:
    """The card on the built page."""
    html = (project.site / "events/whole/index.html").read_text("utf-8")
    found = BeautifulSoup(html, "html.parser").select("article .page-card")
    assert len(found) == 1
    return found[0]


@pytest.fixture
def topic(project: Project) -> Project:
    """The small project with a whole topic, whose picture is left out."""
    new_page.create(project, PAGE.removesuffix(".md"), "물음", "01-demo")
    page = project.docs / PAGE
    text = page.read_text("utf-8")
    picture = text[text.index("/// figure") : text.index("/// predict")]
    waived = "\nwaive:\n  picture: 시험용 기록은 그릴 수 없습니다.\n---\n"
    text = text.replace("before: []", "before: [events/outbox.md]")
    page.write_text(text.replace(picture, "").replace("\n---\n", waived, 1), "utf-8")
    return project


def test_card_is_on_the_built_page_with_working_links(topic: Project) -> None:
    """Right under the title; a definition list that names each fact; unverified until checked."""
    build.build(topic)
    shown = built_card(topic)
    title = shown.find_previous_sibling()
    assert isinstance(title, Tag)
    assert title.name == "h1"
    terms = [term.get_text() for term in shown.select("dl > div > dt")]
    assert terms == ["소요 시간", "먼저 읽을 것", "실습", "마지막 검증"]
    assert [str(link["href"]) for link in shown.select("dd a")] == [
        "../outbox/",
        "../../labs/01-demo/",
    ]
    assert shown.select_one(".proof--unverified").get_text() == "검증되지 않음"  # type: ignore[union-attr]
    assert [p.get_text() for p in shown.select(".page-card__answer > p")][1].startswith("제목에")


def test_card_shows_the_last_check_when_the_lab_is_verified(topic: Project) -> None:
    """From build/labs.json, as long as the lab is the one that was checked."""
    digest = hashlib.sha256((topic.notebooks / "01-demo.ipynb").read_bytes()).hexdigest()
    entry = {"verified": "2026-11-23", "sha256": digest, "postgres": "18.4", "kafka": "4.4.0"}
    topic.build.mkdir(exist_ok=True)
    (topic.build / "labs.json").write_text(json.dumps({"01-demo": entry}), "utf-8")
    build.build(topic)
    assert built_card(topic).select_one(".proof--verified").get_text() == VERIFIED.text  # type: ignore[union-attr]
