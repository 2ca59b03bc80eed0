"""Breaks one thing after the other, and heals each: kill/start, pause/resume, refuse/heal."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from town import EVENTS, HTTP, Town

from handbook.lab import wait_until
from handbook.stack.model import Service

SHORT = 0.2
"""Seconds that a fault lasts which is no death."""


@dataclass
class Nemesis:
    """Faults chosen by a seed.

    Attributes:
        town: What it breaks.
        rng: Chooses.
        done: The faults that took effect, by name.
    """

    town: Town
    rng: random.Random
    done: list[str] = field(default_factory=list)

    def strike(self) -> None:
        """One fault of a kind that the run has had least; heals it."""
        kinds: dict[str, Callable[[], str | None]] = {
            "kill": self.kill,
            "pause": self.pause,
            "drop": self.drop_replies,
            "cut": self.cut_replies,
            "refuse": self.refuse,
            "postgres": self.postgres,
        }
        if self.town.events:
            kinds["kafka"] = self.kafka
        counts = {kind: sum(one.startswith(kind) for one in self.done) for kind in kinds}
        least = [kind for kind in kinds if counts[kind] == min(counts.values())]
        if name := kinds[self.rng.choice(least)]():
            self.done.append(name)
        self.town.revive()

    def kill(self) -> str:
        """SIGKILL of a service; it is started again."""
        name = self._service()
        self.town.children[name].kill()
        self.town.revive()
        return f"kill {name}"

    def pause(self) -> str | None:
        """A service that is alive and silent."""
        name = self._service()
        child = self.town.children[name]
        if not child.alive:
            return None
        child.pause()
        time.sleep(SHORT)  # the length of the fault
        child.resume()
        return f"pause {name}"

    def drop_replies(self) -> str | None:
        """Requests arrive, replies do not."""
        return self._at_proxy("drop")

    def cut_replies(self) -> str | None:
        """Replies end in the middle."""
        return self._at_proxy("cut")

    def refuse(self) -> str:
        """Nobody listens for a moment."""
        name = self._way()
        self.town.proxies[name].refuse()
        time.sleep(SHORT)
        self.town.proxies[name].heal()
        return f"refuse {name}"

    def postgres(self) -> str:
        """SIGKILL of the database server under everybody."""
        return self._restart("postgres")

    def kafka(self) -> str:
        """SIGKILL of the broker."""
        return self._restart("kafka")

    def _restart(self, server: Service) -> str:
        """The whole server, everybody's sessions with it."""
        assert self.town.stack.faults is not None
        self.town.stack.faults.kill(server)
        self.town.stack.faults.start(server)
        return str(server)

    def _at_proxy(self, what: str) -> str | None:
        """Counts only when a reply came that could be lost."""
        name = self._way()
        proxy = self.town.proxies[name]
        before, count = proxy.faults, self.rng.randint(1, 4)
        (proxy.drop_replies if what == "drop" else proxy.cut_replies)(count)
        with contextlib.suppress(Exception):
            wait_until(lambda: proxy.faults > before, deadline=2, what="a reply to be lost")
        proxy.heal()
        return f"{what} {name}" if proxy.faults > before else None

    def _way(self) -> str:
        """Calls pass before every service; events do not, so only clients call then."""
        return "course" if self.town.events else self.rng.choice(HTTP)

    def _service(self) -> str:
        names: tuple[str, ...] = (*HTTP, *(EVENTS if self.town.events else ()))
        return self.rng.choice(names)
