"""The watermark: how far a family has been read, a versioned row that only a compare-and-set can move."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError

from blocks.audit.database import Audit, Held
from blocks.audit.tables import WATERMARKS


class WatermarkMoved(Exception):
    """Somebody else moved the watermark in between: read it again, never overwrite it."""


@dataclass(frozen=True, slots=True)
class Watermark:
    """A position (UTC) and its version; version 0 with no position: nothing was read yet."""

    family: str
    position: datetime | None
    version: int


def read(audit: Audit, family: str) -> Watermark:
    """Where the family stands."""
    with audit.reading() as connection:
        row = connection.execute(
            select(WATERMARKS.c.position, WATERMARKS.c.version).where(WATERMARKS.c.family == family)
        ).first()
    return Watermark(family, row.position, row.version) if row else Watermark(family, None, 0)


def move(audit: Audit, seen: Watermark, position: datetime, now: datetime, lease: Held | None = None) -> Watermark:
    """Move the watermark from what was `seen` to `position`. Raises WatermarkMoved."""
    try:
        with audit.transaction(lease) as connection:
            if seen.version == 0:
                connection.execute(
                    insert(WATERMARKS).values(family=seen.family, position=position, version=1, moved_at=now)
                )
            else:
                moved = connection.execute(
                    update(WATERMARKS)
                    .where(WATERMARKS.c.family == seen.family, WATERMARKS.c.version == seen.version)
                    .values(position=position, version=seen.version + 1, moved_at=now)
                )
                if moved.rowcount != 1:
                    raise WatermarkMoved(seen.family)
    except IntegrityError as error:
        raise WatermarkMoved(seen.family) from error
    return Watermark(seen.family, position, seen.version + 1)
