"""Prefect's part, said once: cache keys by record reference, what is worth another try, names that people can read."""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

from prefect import runtime
from prefect.client.schemas.objects import State, TaskRun
from prefect.context import TaskRunContext
from prefect.filesystems import LocalFileSystem
from prefect.results import ResultStore, get_default_result_storage
from prefect.serializers import JSONSerializer

from blocks.audit.database import LeaseLost
from blocks.failures import CannotGoOn, LimitReached
from mappings.payments import Pay
from mappings.xero import Document

RETRIES = 2
RETRY_DELAYS: list[float] = [2, 10]
PACKAGE = version("tieout")
RESULTS_LAST = timedelta(days=7)
"""How long cached results are kept: they serve a retry of a run, and nobody retries a run of last week."""
MOST_KEPT = 100
"""Of so many successes a run keeps each under its own key, as each is mapped by itself up to so many."""


def worth_a_retry(_task: Any, _run: TaskRun, state: State[Any]) -> bool:
    """A task that died is run again; the clients have retried their calls already, and a clear no stays a no."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, Exception) and not isinstance(error, (CannotGoOn, LimitReached, LeaseLost))


def record_key(installation: str, stage: str, family: str, organisation: str, reference: str, digest: str) -> str:
    """A cache key: its namespace is the whole storage, so it says stage, family, organisation and reference.

    Only letters, digits, - and _ are safe in every storage (prefect.md, section 4).
    """
    return "-".join([*map(_safe, (installation, stage, family, organisation, reference)), digest])


def _safe(part: str) -> str:
    return re.sub(r"[^A-Za-z0-9_]", "_", part)[:40]


def load_key(installation: str, audit_id: str, writes: int, document: Document | Pay, body: bytes) -> str:
    """The key of one write: an edit and its reversal are two writes, and a cache never outlives its audit."""
    digest = hashlib.sha256(f"{audit_id}:{writes}:".encode() + body).hexdigest()[:32]
    return record_key(installation, "load", document.family, document.organisation, document.reference, digest)


def map_key(_context: TaskRunContext, parameters: dict[str, Any]) -> str:
    """The key of a mapping: a digest of all its arguments and of the version of this package."""
    batch = parameters["batch"]
    digest = hashlib.sha256(PACKAGE.encode())
    digest.update(batch.digest.encode())
    return record_key(batch.installation, "map", batch.family, "", batch.entries[0].reference, digest.hexdigest()[:32])


def references(names: Sequence[str]) -> str:
    """'40001', or '40001 .. 40050 (50)'."""
    if len(names) == 1:
        return names[0] or "(no number)"
    return f"{names[0]} .. {names[-1]} ({len(names)})" if names else "nothing"


def batch_name() -> str:
    """The name of a task run that works on a batch of records: a format string cannot index from the end."""
    batch = runtime.task_run.parameters["batch"]
    return f"{batch.verb} {references(batch.references)}"


class ResultCache:
    """Successes in Prefect's result storage, each under its own key."""

    def __init__(self, store: ResultStore) -> None:
        self._store = store
        self._example: Any = None
        self._kept = 0

    @property
    def full(self) -> bool:
        """True when a run is so large that no more is kept of it: each success is a file (docs/decisions/0007)."""
        return self._kept >= MOST_KEPT

    @classmethod
    def of_this_run(cls) -> ResultCache:
        """The cache in the storage where tasks of this run keep their results."""
        return cls(
            ResultStore(
                result_storage=get_default_result_storage(),
                serializer=JSONSerializer(),
                cache_result_in_memory=False,
            )
        )

    def keep(self, key: str, value: dict[str, str], /) -> None:
        """Remember a success.

        Writing through the store costs a millisecond a record, most of it spent on finding out eight times where the
        folder is. For local files it is found once, and the record that Prefect itself would write goes there.
        """
        self._kept += 1
        if not isinstance(self._store.result_storage, LocalFileSystem):
            self._store.write(value, key=key)
            return
        if self._example is None:
            self._store.write(value, key=key)
            self._example = self._store.create_result_record(value, key)
            return
        path = Path(self._example.metadata.storage_key).parent / key
        metadata = self._example.metadata.model_copy(update={"storage_key": str(path)})
        path.write_bytes(type(self._example)(result=value, metadata=metadata).serialize())

    def forget_old(self, installation: str, now: datetime) -> None:
        """Remove an installation's results that no retry will ask for any more: Prefect itself never does.

        Only where results are files of this machine; a shared storage has rules of its own for what is old.
        """
        storage = self._store.result_storage
        if not isinstance(storage, LocalFileSystem) or storage.basepath is None:
            return
        limit = (now - RESULTS_LAST).timestamp()
        for stage in ("load", "map"):
            for path in Path(storage.basepath).expanduser().glob(f"{_safe(installation)}-{stage}-*"):
                with contextlib.suppress(FileNotFoundError):
                    if path.stat().st_mtime < limit:
                        path.unlink()
