"""Claims of `handbook.notebooks.canonical`."""

from __future__ import annotations

import json
from pathlib import Path

import lab_samples as samples
import nbformat

from handbook.notebooks import canonical


def test_text_is_a_valid_notebook_when_written(tmp_path: Path) -> None:
    """Canonical form is nbformat 4.5, in UTF-8, with sorted keys and a newline at the end."""
    path = samples.write(tmp_path)
    nbformat.validate(nbformat.read(path, as_version=4))  # type: ignore[no-untyped-call]
    text = path.read_text(encoding="utf-8")
    assert text.endswith("}\n")
    assert "주문이 사라집니까?" in text
    assert text == json.dumps(json.loads(text), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def test_text_is_the_same_when_a_frontend_rewrote_the_file() -> None:
    """Metadata of frontends, the form of text and the cut of a stream do not change the bytes."""
    noisy = samples.executed()
    noisy["metadata"] = {"language_info": {"name": "python", "version": "3.12.1"}, "vscode": {}}
    noisy["nbformat_minor"] = 5
    code = samples.by_id(noisy, "e1-sum")
    code["metadata"] |= {"collapsed": False, "execution": {"iopub.status.idle": "2026-11-23"}}
    code["source"] = code["source"].splitlines(keepends=True)
    code["outputs"] = [samples.stream("합계"), samples.stream([" 42", "\n"])]  # type: ignore[arg-type]
    samples.by_id(noisy, "e1-list")["outputs"][0]["execution_count"] = 99
    assert canonical.text(noisy) == canonical.text(samples.executed())


def test_text_keeps_streams_apart_when_their_names_differ() -> None:
    """Only pieces of one stream are joined."""
    made = samples.executed()
    streams = [samples.stream("a"), samples.stream("b", "stderr"), samples.stream("c")]
    samples.by_id(made, "e1-sum")["outputs"] = streams
    stored = json.loads(canonical.text(made))
    assert [o["text"] for o in samples.by_id(stored, "e1-sum")["outputs"]] == [["a"], ["b"], ["c"]]


def test_text_is_the_same_when_made_twice() -> None:
    """Canonical form of canonical form is itself."""
    once = canonical.text(samples.executed())
    assert canonical.text(json.loads(once)) == once


def test_traceback_names_no_file_when_a_cell_may_raise() -> None:
    """An error is stored as one line, because a traceback holds paths of the machine."""
    made = samples.executed()
    error = {"output_type": "error", "ename": "E", "evalue": "no", "traceback": ["/root/x.py"]}
    samples.by_id(made, "e1-sum")["outputs"] = [error]
    assert "/root" not in canonical.text(made)


def test_file_is_not_touched_when_it_holds_the_text_already(tmp_path: Path) -> None:
    """`write` says whether it wrote, and leaves no part file."""
    path = tmp_path / "lab.ipynb"
    assert canonical.write(path, samples.executed())
    before = path.stat()
    assert not canonical.write(path, samples.executed())
    assert path.stat() == before
    assert list(tmp_path.iterdir()) == [path]
