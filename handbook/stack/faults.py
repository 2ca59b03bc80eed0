"""Faults that can be done to the embedded servers: plain verbs in pairs, each of them real."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from pathlib import Path

import psutil

from handbook.errors import StackError, UsageError
from handbook.stack import kafka, postgres, processes, state
from handbook.stack.model import Service
from handbook.stack.trouble import readable_errors


@dataclass(frozen=True)
class EmbeddedFaults:
    """Kill, pause, resume and start the servers of one checkout; see `model.Faults`."""

    home: Path

    def kill(self, service: Service, *, node: int = 1) -> None:
        """SIGKILL, without warning; returns when the processes are gone."""
        folder = self._folder(service, node)
        if not processes.live(folder):
            raise StackError(f"{service} {node} does not run.", "start it before you kill it")
        if not processes.stop([folder], signal.SIGKILL, 10):
            raise StackError(f"{service} {node} outlived SIGKILL.", "look at its state with `ps`")

    def pause(self, service: Service, *, node: int = 1) -> None:
        """SIGSTOP: alive but silent."""
        processes.send(self._running(service, node), signal.SIGSTOP)

    def resume(self, service: Service, *, node: int = 1) -> None:
        """Undo `pause`."""
        processes.send(self._running(service, node), signal.SIGCONT)

    def start(self, service: Service, *, node: int = 1) -> None:
        """Start a killed or stopped server and wait until it answers."""
        with readable_errors(self.home), state.locked(self.home / "lock"):
            known = self._known()
            if service == "postgres":
                postgres.up(self.home, known)
            else:
                kafka.up(self.home, known.nodes, self._node(known, node))

    def _running(self, service: Service, node: int) -> list[psutil.Process]:
        found = processes.live(self._folder(service, node))
        if not found:
            raise StackError(f"{service} {node} does not run.", "start it first")
        return found

    def _folder(self, service: Service, node: int) -> Path:
        if service == "postgres":
            return postgres.data_folder(self.home)
        return kafka.folder(self.home, self._node(self._known(), node))

    def _known(self) -> state.State:
        known = state.load(self.home)
        if known is None:
            raise StackError(f"There is no stack in {self.home}.", "run `handbook up`")
        return known

    def _node(self, known: state.State, number: int) -> state.Node:
        for node in known.nodes:
            if node.id == number:
                return node
        raise UsageError(
            f"There is no broker {number}; this stack has {len(known.nodes)}.",
            "name one of them, or `handbook wipe` and `handbook up --brokers 3`",
        )
