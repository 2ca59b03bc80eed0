"""Estimated widths and broken lines."""

from __future__ import annotations

from handbook.figures import text


def test_width_counts_hangul_wider_than_latin() -> None:
    """Lines break by what is drawn, not by the number of letters."""
    assert text.width("과정", 14) > text.width("ab", 14) > text.width("  ", 14) > 0


def test_wrap_breaks_between_words_when_a_line_is_full() -> None:
    """Korean text breaks at spaces only."""
    assert text.wrap("행 락을 기다립니다", 14, 70) == ["행 락을", "기다립니다"]
    assert text.wrap("커밋", 14, 60) == ["커밋"]


def test_wrap_cuts_a_word_when_it_is_wider_than_the_line() -> None:
    """Nothing runs out of the picture, and nothing is lost."""
    lines = text.wrap("가" * 10, 14, 50)
    assert len(lines) > 1
    assert "".join(lines) == "가" * 10
    assert all(text.width(line, 14) <= 50 for line in lines)


def test_wrap_keeps_one_empty_line_when_there_is_no_text() -> None:
    """A label without words still has its place."""
    assert text.wrap("", 14, 50) == [""]
