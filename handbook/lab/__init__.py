"""What a notebook imports: a database, roles and topics of its own, processes to kill, waiting."""

from handbook.lab.child import Child
from handbook.lab.crowd import Meeting, Tally, all_at_once
from handbook.lab.database import Database
from handbook.lab.exercise import exercise
from handbook.lab.kafka import Record
from handbook.lab.lab import Lab
from handbook.lab.own_postgres import OwnPostgres
from handbook.lab.pending import Pending
from handbook.lab.proxy import Proxy
from handbook.lab.served import Served
from handbook.lab.trace import Trace
from handbook.lab.verdict import Verdict
from handbook.lab.waiting import until, wait_until
from handbook.lab.wire import Wire
from handbook.lab.workspace import Workspace

__all__ = [
    "Child",
    "Database",
    "Lab",
    "Meeting",
    "OwnPostgres",
    "Pending",
    "Proxy",
    "Record",
    "Served",
    "Tally",
    "Trace",
    "Verdict",
    "Wire",
    "Workspace",
    "all_at_once",
    "exercise",
    "until",
    "wait_until",
]
