"""What passes between two services becomes a trace."""

from __future__ import annotations

from handbook.lab import Trace, Wire


def test_call_is_four_events_when_its_reply_arrives() -> None:
    """Sent and received, there and back; a lost reply ends on its way; repeats are messages too."""
    trace = Trace("lab", "calls")
    seen: list[str] = []
    wire = Wire(trace, "course", "member", verbs={"PUT": "담당자 등록"}, before=seen.append)
    wire("request", "PUT /managers/c-1")
    wire("lost", "201")
    wire("request", "PUT /managers/c-1")
    wire("reply", "200")

    told = [(event.lane, event.kind, event.label, event.msg) for event in trace.events]
    assert told == [
        ("course", "send", "담당자 등록", "member-1"),
        ("member", "recv", "담당자 등록", "member-1"),
        ("member", "send", "201", "member-1-reply"),
        ("course", "lost", "201", "member-1-reply"),
        ("course", "send", "담당자 등록", "member-2"),
        ("member", "recv", "담당자 등록", "member-2"),
        ("member", "send", "200", "member-2-reply"),
        ("course", "recv", "200", "member-2-reply"),
    ]
    assert seen == ["PUT", "PUT"]
