"""The search's index and script, and the guard over what they rest on."""

from __future__ import annotations

import gzip
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from handbook import paths
from handbook.errors import CheckFailedError
from handbook.site import build, search, terms
from handbook.site.project import Project
from handbook.site.terms import Term

OUTBOX = Term("아웃박스", "outbox", "", synonyms=("아웃박스 패턴",), page="events/outbox.md#how")
SAGA = Term("사가", "saga", "")
LOCK = Term("락", "lock", "", synonyms=("잠금",))
TOPIC = Term("데드 레터 토픽", "dead-letter topic", "", synonyms=("DLT",))
COMPENSATION = Term("보상 트랜잭션", "compensating transaction", "")
LARGEST = 5 * 1024


def expanded(title: str, text: str, *known: Term, place: str = "a/", **keywords: Any) -> Any:
    """One section after the expansion."""
    index = {"config": {}, "docs": [{"location": place, "title": title, "text": text}]}
    return search.expand(index, known, keywords.get("keywords", {}))["docs"][0]


def index_of(project: Project) -> Any:
    """The search index of a built site."""
    return json.loads((project.site / search.INDEX).read_text("utf-8"))


def test_other_forms_are_added_when_a_section_means_a_term() -> None:
    """Those for the title and those for the text go into fields of their own."""
    section = expanded("아웃박스에 씁니다", "<p>saga를 시작합니다.</p>", OUTBOX, SAGA)
    assert section["ht"] == "outbox 아웃박스 패턴"
    assert section["hx"] == "사가"


def test_a_section_is_left_alone_when_it_means_no_term() -> None:
    """No field is added, and nothing of it changes."""
    section = {"location": "a/", "title": "검사", "text": "<p>모두 통과합니다.</p>"}
    assert expanded("검사", "<p>모두 통과합니다.</p>", OUTBOX, SAGA) == section


def test_a_form_is_added_when_its_letters_stand_in_another_word_only() -> None:
    """A section on the 락 of a deadlock is found by lock."""
    assert expanded("", "deadlock과 락", LOCK)["hx"] == "lock 잠금"


@pytest.mark.parametrize(
    ("text", "term"),
    [
        ("보상트랜잭션을 실행합니다", COMPENSATION),
        ("보상 트랜잭션", COMPENSATION),
        ("Dead Letter Topic", TOPIC),
        ("<code>dead_letter_topic</code>", TOPIC),
        ("deadlock이 아닌 <code>LOCK</code>", LOCK),
        ("행의 락을 기다립니다", LOCK),
        ("잠금&nbsp;파일", LOCK),
    ],
)
def test_a_term_is_meant_when_the_text_spells_it_its_own_way(text: str, term: Term) -> None:
    """With or without spaces, hyphens, particles, capitals and markup."""
    assert "hx" in expanded("", text, term)


@pytest.mark.parametrize(
    ("text", "term"),
    [
        ("검사가 끝나면 회사가 압니다", SAGA),
        ("락페스티벌과 블락", LOCK),
        ("deadlock, clock", LOCK),
        ("<a href='lock'>자물쇠</a>", LOCK),
    ],
)
def test_a_term_is_not_meant_when_its_letters_stand_in_another_word(text: str, term: Term) -> None:
    """검사가 is not 사가, clock is not lock, and markup says nothing."""
    assert "hx" not in expanded("", text, term)


def test_keywords_count_as_title_when_front_matter_has_them() -> None:
    """They stand with the words for the title, each once."""
    keywords = {"a/": ["카프카", "outbox"]}
    assert (
        expanded("아웃박스", "", OUTBOX, keywords=keywords)["ht"] == "카프카 outbox 아웃박스 패턴"
    )


def test_all_forms_count_as_title_when_a_section_explains_the_term() -> None:
    """Where `page:` leads, every name of the term leads as well."""
    section = expanded("어떻게 고칩니까", "", OUTBOX, place="events/outbox/#how")
    assert section["ht"] == "아웃박스 outbox 아웃박스 패턴"
    section = expanded("홈", "", Term("문서", "docs", "", page="index.md#top"), place="#top")
    assert section["ht"] == "문서 docs"


def test_index_has_lab_code_once_and_no_prompts_when_built(built: Project) -> None:
    """A lab's sections hold their own prose and code, without what mkdocs-jupyter adds."""
    sections = [d for d in index_of(built)["docs"] if d["location"].startswith("labs/01-demo/")]
    text = " ".join(section["text"] for section in sections)
    assert text.count('events = ["a", "b", "c"]') == 1
    assert not re.search(r"In\s*\[|Out\s*\[|Copied", text)
    assert len({section["location"] for section in sections}) == len(sections)
    first, *others = sections
    assert 'events = ["a", "b", "c"]' in first["text"]
    assert any("assert" in section["text"] or "print" in section["text"] for section in others)
    assert {section["boost"] for section in sections} == {search.LAB_BOOST}


def test_site_has_our_script_when_built(built: Project) -> None:
    """The theme's file is replaced, small, and its source is not published beside it."""
    script = (built.site / search.SCRIPT).read_bytes()
    assert b"lunr.QueryLexer.prototype.run" in script
    assert len(script) <= LARGEST
    assert len(gzip.compress(script)) <= 2 * 1024
    assert not (built.site / search.SOURCES).exists()


def test_script_loses_explanations_only_when_it_is_compacted() -> None:
    """Lines of comment, empty lines and indentation go; code stays line by line."""
    source = "// why\n\n  const a = 1 // b\n    // why\n  return a\n"
    assert search.compact(source) == "const a = 1 // b\nreturn a\n"


def test_every_word_of_one_syllable_counts_when_a_term_has_it() -> None:
    """The nouns of one syllable in terms, in the separator and in the script are the same."""
    forms = " ".join(form for term in terms.load(Project()) for form in term.forms)
    nouns = set(re.findall(r"(?<!\S)[가-힣](?!\S)", forms)) - {"한", "번"}  # 정확히 한 번
    script = (paths.ROOT / "theme" / search.SOURCE).read_text("utf-8")
    syllables = re.search(r"SYLLABLES = '(\w+)'", script)
    assert syllables
    assert set(syllables[1]) == nouns
    separator = re.search(
        r"\(\?<!\[가-힣\]\)\[(\w+)\]", (paths.ROOT / "mkdocs.yml").read_text("utf-8")
    )
    assert separator
    assert set(separator[1]) == nouns


@pytest.fixture
def theme(built: Project, tmp_path: Path) -> Path:
    """The search of a built site, to be broken."""
    for folder in (search.WORKERS, Path(search.SCRIPT).parent.as_posix()):
        shutil.copytree(built.site / folder, tmp_path / folder)
    return tmp_path


def worker(site: Path) -> Path:
    """Its search worker."""
    return next((site / search.WORKERS).glob("search.*.js"))


def test_theme_is_accepted_when_it_is_the_one_we_know(theme: Path) -> None:
    """The guard is quiet on what is installed."""
    search.check_theme(theme)


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ('version="2.3.9"', 'version="2.4.0"', "searches with lunr 2.4.0, not 2.3.9"),
        ('version="2.3.9"', "", "searches with lunr of no version"),
        ("/min/lunr.${n}.min.js", "/lang/${n}.js", "does not load .*lunr.ko.min.js any more"),
    ],
)
def test_theme_is_refused_when_its_search_changed(
    theme: Path, old: str, new: str, what: str
) -> None:
    """Another lunr or another way to load languages: the build stops and says what to do."""
    code = worker(theme).read_text("utf-8")
    assert old in code
    worker(theme).write_text(code.replace(old, new), "utf-8")
    with pytest.raises(CheckFailedError, match=what) as raised:
        search.check_theme(theme)
    assert "pin the last mkdocs-material that built" in raised.value.next_step


def test_theme_is_refused_when_a_file_of_its_search_is_gone(theme: Path) -> None:
    """No worker, or no file in whose place ours could stand."""
    (theme / search.SCRIPT).unlink()
    with pytest.raises(CheckFailedError, match="does not load"):
        search.check_theme(theme)
    worker(theme).unlink()
    with pytest.raises(CheckFailedError, match="has 0 search workers"):
        search.check_theme(theme)


def test_build_fails_when_the_guard_does(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The guard is asked in every build, and a refusal leaves no site."""
    monkeypatch.setattr(search, "LUNR", "9.9.9")
    with pytest.raises(CheckFailedError, match=r"not 9\.9\.9"):
        build.build(project)
    assert not project.site.exists()


def test_settings_are_ours_when_the_index_is_built(built: Project) -> None:
    """The language that loads our script, no pipeline, and the fields with their weights."""
    config = index_of(built)["config"]
    assert (config["lang"], config["pipeline"]) == (["ko"], [])
    boosts = {name: field["boost"] for name, field in config["fields"].items()}
    boosts.pop("tags")
    assert boosts == {"title": 20, "text": 1, search.OF_TITLE: 10, search.OF_TEXT: 1}


def test_queries_are_many_and_unique_when_they_are_read() -> None:
    """At least sixty, each kind with several, each with pages that the file names."""
    file = yaml.safe_load((Path(__file__).parent / "queries.yml").read_text("utf-8"))
    kinds = file["queries"]
    typed = [query for queries in kinds.values() for query in queries]
    assert len(typed) == len(set(typed)) >= 60
    assert min(map(len, kinds.values())) >= 5
