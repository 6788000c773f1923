"""What can end a family's cycle, each with a sentence for the person who reads it. Held records are not among them."""

from __future__ import annotations

from datetime import datetime


class CannotGoOn(Exception):
    """This cycle cannot go on. The message says what happened and what to do; `exit_code` is the command's."""

    exit_code = 1


class NotConfigured(CannotGoOn):
    """Credentials, addresses, tables or blocks are wrong: nothing was done, and trying again does not help."""

    exit_code = 2


class Unreachable(CannotGoOn):
    """A system does not answer, or not as itself; the next cycle tries again."""


class LimitReached(Exception):
    """A limit of calls is used up for longer than a cycle waits: what is left is deferred, nobody sleeps for hours."""

    def __init__(self, system: str, until: datetime | None, why: str) -> None:
        self.system = system
        self.until = until
        self.why = why
        when = f" until about {until:%Y-%m-%d %H:%M} UTC" if until else ""
        super().__init__(f"{system}'s {why or 'limit'} is used up{when}")
