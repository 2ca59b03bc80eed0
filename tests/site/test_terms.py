"""The words of the handbook: their file, the gate over pages and labs, the glossary."""

from __future__ import annotations

import pytest

from handbook.errors import CheckFailedError
from handbook.site import gates, prose, terms
from handbook.site.project import Project
from handbook.site.terms import Term

RULE = "is called"
DEADLOCK = Term("교착 상태", "deadlock", "서로 기다립니다.", avoid=("데드락",))


def rewrite(project: Project, old: str, new: str) -> None:
    """Change the project's list of terms."""
    file = project.root / terms.FILE
    text = file.read_text("utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), "utf-8")


def found(project: Project, line: str) -> list[str]:
    """What the gate says about a page that ends with `line`."""
    text = f"# 제목 {{#title}}\n\n{line}\n"
    problems = prose.check_page("reference/a.md", text, terms.load(project))
    return [
        str(problem) for problem in problems if RULE in str(problem) or "excuse" in str(problem)
    ]


def test_every_term_is_in_order_when_the_handbook_is_checked() -> None:
    """The handbook's own terms match their schema, contradict nobody and lead to pages."""
    project = Project()
    assert len(terms.load(project)) > 60
    assert terms.check(project) == []


def test_glossary_writes_only_preferred_forms_when_it_explains() -> None:
    """No meaning uses a form that another entry avoids."""
    known = terms.load(Project())
    sentences = [term.meaning for term in known]
    refused = {form for term in known for form in term.refused}
    assert [form for form in refused if any(form in sentence for sentence in sentences)] == []


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("    english: deadlock\n", "", "'english' is a required property"),
        ("    common: true\n", "    comon: true\n", "'comon' was unexpected"),
        ("meaning: 트랜잭션이 서로", "meaning: '", "is no YAML"),
        ("기다려 아무도 나아가지 못하는 상태입니다.", "기다림", "does not match"),
    ],
)
def test_terms_are_refused_when_the_file_is_wrong(
    project: Project, old: str, new: str, what: str
) -> None:
    """Broken YAML, a misspelt or missing key and a meaning that is no sentence stop the build."""
    rewrite(project, old, new)
    with pytest.raises(CheckFailedError, match=what) as raised:
        gates.check_pages(project)
    assert terms.FILE in str(raised.value)


def test_terms_are_refused_when_the_file_is_missing(project: Project) -> None:
    """Without its terms the handbook does not build."""
    (project.root / terms.FILE).unlink()
    with pytest.raises(CheckFailedError, match="is missing"):
        terms.load(project)


@pytest.mark.parametrize(
    ("old", "new", "where", "what"),
    [
        ("term: Kafka", "term: 데드락", ":12", "`데드락` belongs to `교착 상태` and to `데드락`"),
        ("Apache Kafka", "Deadlock", ":12", "the anchor #deadlock belongs to"),
        ("page: events/outbox.md", "page: gone.md", ":2", "docs/gone.md, which does not exist"),
    ],
)
def test_an_entry_is_named_when_it_contradicts_another(
    project: Project, old: str, new: str, where: str, what: str
) -> None:
    """A form of two terms, an anchor of two terms and a page that is gone: file and line."""
    rewrite(project, old, new)
    (problem,) = terms.check(project)
    assert problem.where == f"{terms.FILE}{where}"
    assert what in problem.what


@pytest.mark.parametrize(
    ("line", "form"),
    [
        ("데드락이 생깁니다.", "데드락"),
        ("- 목록에서 데드락을 봅니다.", "데드락"),
        ("## 데드락 {#deadlock}", "데드락"),
        ("| 표 | 데드락 |", "데드락"),
        ('!!! note "데드락"', "데드락"),
        ("교착상태가 생깁니다.", "교착상태"),
        ("[카프카](https://kafka.apache.org/)로 보냅니다.", "카프카"),
    ],
)
def test_a_form_is_refused_when_another_is_preferred(
    project: Project, line: str, form: str
) -> None:
    """In text, lists, headings, tables and titles of boxes: file, line, and what to write."""
    (problem,) = found(project, line)
    assert problem.startswith(f"docs/reference/a.md:3: «{form}» is called")
    assert "write 교착 상태" in problem or "write Kafka" in problem


@pytest.mark.parametrize(
    "line",
    [
        "교착 상태가 생깁니다.",
        "`데드락`이라는 이름의 테이블입니다.",
        "[문서](https://example.org/데드락)를 봅니다.",
        "<!-- 데드락 -->",
        "```text\n데드락\n```",
        "카드 데드라인을 봅니다.",
        "오데드락은 다른 낱말입니다.",
        "데드락이라고도 부릅니다. <!-- prose: 다른 이름을 소개하는 문장입니다. -->",
    ],
)
def test_a_line_passes_when_it_writes_no_refused_form(project: Project, line: str) -> None:
    """Code, addresses, comments, other words and excused lines are left alone."""
    assert found(project, line) == []


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("데드락입니다. <!-- prose: 그냥 -->", "gives no reason"),
        ("교착 상태입니다. <!-- prose: 아무 이유도 필요하지 않습니다. -->", "excuses nothing"),
    ],
)
def test_an_excuse_is_refused_when_it_is_empty_or_idle(
    project: Project, line: str, what: str
) -> None:
    """An excuse needs a reason, and something to excuse."""
    (problem,) = found(project, line)
    assert what in problem


def test_a_lab_is_refused_when_its_prose_has_another_form(project: Project) -> None:
    """The gate reads labs as well, and names cell and line."""
    file = project.notebooks / "01-demo.ipynb"
    text = file.read_text("utf-8")
    file.write_text(text.replace("# 시험용 실습", "# 카프카 실습"), "utf-8")
    problems = [problem for problem in gates.check_pages(project) if "카프카" in problem.what]
    assert [problem.where for problem in problems] == ["notebooks/01-demo.ipynb#intro:1"]


def test_the_gate_runs_when_a_page_is_checked(project: Project) -> None:
    """`handbook pages check` and the build both ask for it."""
    page = project.docs / "events/outbox.md"
    page.write_text(page.read_text("utf-8") + "\n데드락이 생깁니다.\n", "utf-8")
    problems = gates.check_page(project, "events/outbox.md")
    assert any("데드락" in problem.what for problem in problems)


def test_glossary_lists_every_term_in_order_when_it_is_made() -> None:
    """Korean first, each with English, meaning and a link; forms to avoid are named."""
    kafka = Term("Kafka", "Apache Kafka", "서버입니다.", common=True)
    outbox = Term("아웃박스", "outbox", "테이블입니다.", coined=True, page="events/outbox.md#a")
    text = terms.glossary([kafka, outbox, DEADLOCK], "reference/glossary.md")
    headings = [line for line in text.splitlines() if line.startswith("#")]
    assert headings == [
        "## ㄱ {#giyeok .term-group}",
        '### 교착 상태 <span lang="en">(deadlock)</span> {#deadlock .term}',
        "## ㅇ {#ieung .term-group}",
        '### 아웃박스 <span lang="en">(outbox)</span> {#outbox .term}',
        "## A {#latin .term-group}",
        '### Kafka <span lang="en">(Apache Kafka)</span> {#apache-kafka .term}',
    ]
    assert "«데드락» 대신" in text
    assert "(../events/outbox.md#a)" in text
    assert text.startswith("[ㄱ](#giyeok) [ㅇ](#ieung) [A](#latin)\n")


def test_doubled_consonants_stand_with_the_plain_when_terms_are_grouped() -> None:
    """ㅆ is looked up below ㅅ, and what is not Hangul below A."""
    initials = [Term(word, "word", "").initial for word in ("쓰기 스큐", "락", "힙", "Kafka")]
    assert initials == ["ㅅ", "ㄹ", "ㅎ", "A"]


def test_terms_are_read_again_when_the_file_changes(project: Project) -> None:
    """While serving, a new term counts at once."""
    assert "멱등 키" not in {term.term for term in terms.load(project)}
    rewrite(project, "terms:\n", "terms:\n  - {term: 멱등 키, english: key, meaning: 값입니다.}\n")
    assert "멱등 키" in {term.term for term in terms.load(project)}
