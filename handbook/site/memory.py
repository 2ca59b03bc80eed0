"""What the last build of this process made: while the site is served, one page changes at a time.

Pages are made of their own text and of what is around it: labs, snippets, recordings, terms, the
names of all pages. When anything around changes, everything is forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

Made = TypeVar("Made")


class Memory:
    """One result a name, valid as long as what it was made of."""

    def __init__(self) -> None:
        self._around = ""
        self._known: dict[str, tuple[Hashable, Any]] = {}
        self._new: dict[str, tuple[Hashable, Any]] = {}

    def enter(self, around: str) -> None:
        """A new build begins, with these surroundings."""
        self._known = {**self._known, **self._new} if around == self._around else {}
        self._around, self._new = around, {}

    def forget(self) -> None:
        """The build has failed: what it warned of must be warned of again."""
        self._new = {}

    def find(self, name: str, made_of: Hashable) -> Any | None:
        """What the last build kept, when it was made of the same."""
        key, value = self._known.get(name, (None, None))
        return value if key == made_of else None

    def keep(self, name: str, made_of: Hashable, value: Made) -> Made:
        """Keep the value for the next build; returns it."""
        self._new[name] = (made_of, value)
        return value

    def get(self, name: str, made_of: Hashable, make: Callable[[], Made]) -> Made:
        """What the last build kept, or what `make` makes now."""
        found = self.find(name, made_of)
        return found if found is not None else self.keep(name, made_of, make())
