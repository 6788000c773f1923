"""Leases: who is at work under a name, with a heartbeat and a fencing number.

The lease saves work; the unique indexes are the guard. A holder whose lease ran out (or whose process is gone) is
replaced, and whatever it still tries to commit is refused, because its fencing number is no longer the current one.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError

from blocks.audit.database import Audit, AuditUnusable
from blocks.audit.tables import LEASES

LASTS = timedelta(seconds=60)
HEARTBEAT_SECONDS = 10.0


class LeaseTaken(Exception):
    """Somebody else is at work; `holder` says who and since when."""


@dataclass(frozen=True, slots=True)
class HeldLease:
    """A lease that is ours for as long as its fencing number is the current one."""

    name: str
    fence: int


def this_process() -> str:
    """Names this process: host, process namespace (two containers may share a host name), number."""
    try:
        space = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        space = "-"
    return f"{socket.gethostname()}|{space}|{os.getpid()}"


def _is_gone(holder: str) -> bool:
    """True when the holder was a process of this very machine that is no longer there."""
    ours = this_process().rsplit("|", 1)
    theirs = holder.rsplit("|", 1)
    if len(theirs) != 2 or theirs[0] != ours[0] or not theirs[1].isdigit():
        return False
    number = int(theirs[1])
    if number == os.getpid():
        return False
    stat = Path(f"/proc/{number}/stat")
    try:
        os.kill(number, 0)
        # A killed process whose parent has not collected it yet still has a number, but does nothing any more.
        return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] in ("Z", "X")
    except ProcessLookupError:
        return True
    except (OSError, IndexError):
        return False


def take(audit: Audit, name: str, what: str, now: datetime, lasts: timedelta = LASTS) -> HeldLease:
    """Take the lease now, or raise LeaseTaken with a sentence that says who has it."""
    try:
        with audit.transaction() as connection:
            row = connection.execute(select(LEASES).where(LEASES.c.name == name).with_for_update()).first()
            values = {"holder": this_process(), "what": what, "taken_at": now, "expires_at": now + lasts}
            if row is None:
                connection.execute(insert(LEASES).values(name=name, fence=1, **values))
                return HeldLease(name, 1)
            if row.holder and row.expires_at > now and not _is_gone(row.holder):
                raise LeaseTaken(
                    f"{name} is being worked on by {row.what or 'another cycle'} on {row.holder.split('|')[0]} since "
                    f"{row.taken_at:%H:%M:%S} UTC"
                )
            connection.execute(update(LEASES).where(LEASES.c.name == name).values(fence=row.fence + 1, **values))
            return HeldLease(name, row.fence + 1)
    except IntegrityError as error:
        raise LeaseTaken(f"{name} was taken by another cycle at this very moment") from error


def release(audit: Audit, lease: HeldLease) -> None:
    """Give the lease back; a lease that is somebody else's by now is left alone."""
    with audit.transaction() as connection:
        connection.execute(
            update(LEASES).where(LEASES.c.name == lease.name, LEASES.c.fence == lease.fence).values(holder="", what="")
        )


@contextmanager
def hold(
    audit: Audit,
    name: str,
    what: str,
    clock: Callable[[], datetime],
    *,
    wait_seconds: float = 300,
    sleep: Callable[[float], None] = time.sleep,
    say: Callable[[str], None] = lambda _sentence: None,
    lasts: timedelta = LASTS,
) -> Iterator[HeldLease]:
    """Hold a lease for the body of a `with`, renewed by a heartbeat; waits up to `wait_seconds` and says for whom."""
    began = clock()
    told = ""
    while True:
        try:
            lease = take(audit, name, what, clock(), lasts)
            break
        except LeaseTaken as taken:
            if (clock() - began).total_seconds() >= wait_seconds:
                raise
            if str(taken) != told:
                told = str(taken)
                say(f"{told}; waiting up to {wait_seconds:.0f} s")
            sleep(min(1.0, wait_seconds))
    stop = threading.Event()
    beating = threading.Thread(target=_beat, args=(audit, lease, clock, lasts, stop), daemon=True)
    beating.start()
    try:
        yield lease
    finally:
        stop.set()
        beating.join()
        release(audit, lease)


def _beat(
    audit: Audit, lease: HeldLease, clock: Callable[[], datetime], lasts: timedelta, stop: threading.Event
) -> None:
    while not stop.wait(min(HEARTBEAT_SECONDS, lasts.total_seconds() / 6)):
        try:
            with audit.transaction() as connection:
                connection.execute(
                    update(LEASES)
                    .where(LEASES.c.name == lease.name, LEASES.c.fence == lease.fence)
                    .values(expires_at=clock() + lasts)
                )
        except AuditUnusable:
            # A missed beat is no failure: the fence decides, and the cycle's own next commit reports the database.
            continue
