"""The shared limiter: never more calls than allowed, by the other system's own count, however calls interleave."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from blocks.audit.database import Audit
from blocks.audit.tables import API_CALLS
from blocks.failures import LimitReached
from blocks.limiter import DAY_FIGURE_LASTS, Limiter, slot_lasts
from tests.stage import Stage
from tests.worlds import Clock


def limiter(audit: Audit, clock: Callable[[], datetime], sleep: Callable[[float], None], **settings: Any) -> Limiter:
    """A limiter of the app "xero:app-1" unless told otherwise."""
    given: dict[str, Any] = {"app": "xero:app-1", "per_minute": 0, "concurrent": 0}
    return Limiter(audit, "Xero", clock=clock, sleep=sleep, **given | settings)


EXAMPLES = itertools.count()
CALL = st.tuples(*(st.integers(0, most).map(lambda count: count / 1000) for most in (4000, 500, 300)))
"""One call: seconds before it, on its way to the other system, and until its answer is back."""


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    per_minute=st.integers(1, 5),
    concurrent=st.integers(1, 3),
    workers=st.lists(st.lists(CALL, min_size=1, max_size=4), min_size=1, max_size=4),
)
def test_no_window_ever_sees_more_arrivals_than_allowed_nor_more_calls_at_once(
    any_audit: Audit, per_minute: int, concurrent: int, workers: list[list[tuple[float, float, float]]]
) -> None:
    """Random latencies before and after a call arrives, several processes: the other side's own count holds.

    A call counts from its start until a window after its end, so it does not matter when in between it arrived.
    """
    stage = Stage()
    app = f"xero:{next(EXAMPLES)}"
    window = timedelta(seconds=2)
    arrivals: list[datetime] = []
    in_flight: list[int] = [0]
    peaks: list[int] = []

    def process(calls: list[tuple[float, float, float]]) -> Callable[[], None]:
        own = limiter(
            any_audit, stage, stage.sleep, app=app, per_minute=per_minute, concurrent=concurrent, window=window
        )

        def work() -> None:
            for idle, there, back in calls:
                stage.sleep(idle)
                with own.call("tenant"):
                    in_flight[0] += 1
                    peaks.append(in_flight[0])
                    stage.sleep(there)
                    arrivals.append(stage())
                    stage.sleep(back)
                    in_flight[0] -= 1

        return work

    stage.play([process(calls) for calls in workers])
    assert len(arrivals) == sum(len(calls) for calls in workers)
    assert max(peaks) <= concurrent
    arrivals.sort()
    for first, later in zip(arrivals, arrivals[per_minute:], strict=False):
        assert later - first >= window


def test_calls_of_real_threads_and_two_limiters_are_never_too_many_at_once(any_audit: Audit) -> None:
    """The database decides, not the process: counting and taking a place are one step."""
    lock = threading.Lock()
    start = threading.Barrier(6, timeout=20)
    at_once: list[int] = []
    busy = 0

    def work(own: Limiter) -> None:
        nonlocal busy
        start.wait()
        for _ in range(5):
            with own.call("tenant"):
                with lock:
                    busy += 1
                    at_once.append(busy)
                with lock:
                    busy -= 1

    clock = Clock()
    owns = [limiter(any_audit, clock, lambda _seconds: None, concurrent=2) for _ in range(2)]
    threads = [threading.Thread(target=work, args=(owns[number % 2],)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert len(at_once) == 30
    assert max(at_once) <= 2


def test_a_window_is_counted_from_the_end_of_calls(audit: Audit, clock: Clock) -> None:
    """A call that took 50 seconds may have arrived at its very end: the next one waits a full minute from there."""
    own = limiter(audit, clock, clock.sleep, per_minute=1)
    with own.call("tenant"):
        clock.advance(seconds=50)
    ended = clock()
    with own.call("tenant"):
        pass
    assert clock() - ended >= timedelta(seconds=60)
    assert clock() - ended < timedelta(seconds=61)


def test_calls_that_fail_count_too(audit: Audit, clock: Clock) -> None:
    """An error inside gives the place back and still counts for a minute."""
    own = limiter(audit, clock, clock.sleep, per_minute=1, concurrent=1)
    began = clock()
    with pytest.raises(ZeroDivisionError), own.call("tenant"):
        _ = 1 // 0
    with own.call("tenant"):
        pass
    assert clock() - began >= timedelta(seconds=60)


def test_apps_and_organisations_have_limits_of_their_own(audit: Audit, clock: Clock) -> None:
    """Xero counts per app and organisation: one that is busy does not stop another."""
    began = clock()
    own = limiter(audit, clock, clock.sleep, per_minute=1, concurrent=1)
    other = limiter(audit, clock, clock.sleep, per_minute=1, concurrent=1, app="xero:app-2")
    with own.call("one"), own.call("two"), other.call("one"):
        assert clock() == began


def test_the_place_of_a_dead_process_is_free_again_after_its_time(audit: Audit, clock: Clock) -> None:
    """A call whose process was killed never ends: its slot expires, not before any call could have ended."""
    killed = limiter(audit, clock, clock.sleep, concurrent=1, slot_lasts=timedelta(seconds=20)).call("tenant")
    killed.__enter__()
    began = clock()
    with limiter(audit, clock, clock.sleep, concurrent=1, slot_lasts=timedelta(seconds=20)).call("tenant"):
        pass
    assert timedelta(seconds=20) <= clock() - began < timedelta(seconds=21)
    killed.__exit__(None, None, None)


@pytest.mark.parametrize(("timeout", "lasts"), [(1, 120), (30, 120), (100, 400)])
def test_a_slot_lasts_longer_than_any_call_may_take(timeout: float, lasts: float) -> None:
    """Connecting, sending and receiving may each take a time-out."""
    assert slot_lasts(timeout) == timedelta(seconds=lasts)


def test_old_calls_are_forgotten(audit: Audit, clock: Clock) -> None:
    """The table holds the calls of a minute, however many were made."""
    own = limiter(audit, clock, clock.sleep, per_minute=5)
    for _ in range(20):
        with own.call("tenant"):
            pass
    with audit.reading() as connection:
        assert connection.execute(select(func.count()).select_from(API_CALLS)).scalar_one() <= 5


def test_nothing_is_limited_where_the_figures_are_zero(audit: Audit, clock: Clock) -> None:
    """0 = none: no waiting, nothing stored; but what a header said is obeyed all the same."""
    own = limiter(audit, clock, clock.sleep)
    began = clock()
    for _ in range(200):
        with own.call("tenant"):
            pass
    assert clock() == began
    with audit.reading() as connection:
        assert connection.execute(select(func.count()).select_from(API_CALLS)).scalar_one() == 0
    own.pause("tenant", 30, "limit of calls")
    with own.call("tenant"):
        assert clock() - began == timedelta(seconds=30)


@pytest.mark.parametrize("settings", [{"per_minute": 2}, {"concurrent": 2}])
def test_either_figure_limits_without_the_other(audit: Audit, clock: Clock, settings: dict[str, int]) -> None:
    """Only the one that is set counts."""
    own = limiter(audit, clock, clock.sleep, **settings)
    began = clock()
    for _ in range(2):
        with own.call("tenant"):
            pass
    assert clock() == began


# What headers said


def test_a_pause_holds_for_every_limiter_of_the_app_and_organisation(any_audit: Audit, clock: Clock) -> None:
    """Retry-After told to one process is waited out by another; other organisations and apps go on."""
    limiter(any_audit, clock, clock.sleep).pause("tenant", 26, "limit of calls")
    began = clock()
    with (
        limiter(any_audit, clock, clock.sleep).call("other"),
        limiter(any_audit, clock, clock.sleep, app="xero:app-2").call("tenant"),
    ):
        assert clock() == began
    with limiter(any_audit, clock, clock.sleep, per_minute=58, concurrent=5).call("tenant"):
        assert clock() - began == timedelta(seconds=26)


def test_a_long_pause_is_a_limit_reached_and_nobody_sleeps(any_audit: Audit, clock: Clock) -> None:
    """Longer than a cycle waits: defer, with the time in the sentence."""
    own = limiter(any_audit, clock, clock.sleep, max_wait_seconds=60)
    own.pause("tenant", 7200, "day limit")
    began = clock()
    with pytest.raises(LimitReached, match="Xero's day limit is used up until about 2026-03-02 11:00 UTC"):
        own.call("tenant").__enter__()
    assert clock() == began
    clock.advance(hours=2)
    with own.call("tenant"):
        pass


def test_a_shorter_pause_does_not_shorten_a_longer_one(any_audit: Audit, clock: Clock) -> None:
    """Five calls in flight: one hears of the day's limit, the next one of the minute's. The day's stays."""
    own = limiter(any_audit, clock, clock.sleep)
    own.pause("tenant", 7200, "day limit")
    own.pause("tenant", 5, "limit of calls")
    with pytest.raises(LimitReached, match="day limit"):
        own.call("tenant").__enter__()
    own.pause("tenant", 9000, "limit of calls")
    with pytest.raises(LimitReached, match="limit of calls is used up until about 2026-03-02 11:30"):
        own.call("tenant").__enter__()


def test_a_pause_that_begins_while_others_wait_is_seen_by_them(audit: Audit, clock: Clock) -> None:
    """Whoever waits for a place looks again before taking it."""
    own = limiter(audit, clock, clock.sleep, per_minute=1)
    with own.call("tenant"):
        pass
    naps: list[float] = []

    def sleep(seconds: float) -> None:
        naps.append(seconds)
        clock.advance(seconds=seconds)
        if len(naps) == 3:
            own.pause("tenant", 3600, "day limit")

    with pytest.raises(LimitReached):
        limiter(audit, clock, sleep, per_minute=1).call("tenant").__enter__()


@pytest.mark.parametrize(("left", "stopped"), [(51, False), (50, True), (0, True)])
def test_the_days_reserve_stops_cycles_but_not_a_forced_one(
    any_audit: Audit, clock: Clock, left: int, stopped: bool
) -> None:
    """At or below the reserve only a limiter without one (force) goes on."""
    limiter(any_audit, clock, clock.sleep, day_reserve=50).note_day("tenant", left)
    own = limiter(any_audit, clock, clock.sleep, day_reserve=50)
    if stopped:
        with pytest.raises(LimitReached, match="day limit, but for the calls kept for force-sync, is used up"):
            own.call("tenant").__enter__()
    else:
        with own.call("tenant"):
            pass
    with limiter(any_audit, clock, clock.sleep, day_reserve=0).call("tenant"):
        pass


def test_a_days_figure_is_believed_for_an_hour(audit: Audit, clock: Clock) -> None:
    """Then one call is let through to learn the new one."""
    own = limiter(audit, clock, clock.sleep, day_reserve=50)
    own.note_day("tenant", 7)
    clock.advance(seconds=DAY_FIGURE_LASTS.total_seconds() - 1)
    with pytest.raises(LimitReached):
        own.call("tenant").__enter__()
    clock.advance(seconds=1)
    with own.call("tenant"):
        pass


def test_a_pause_does_not_make_an_old_figure_of_the_day_new(audit: Audit, clock: Clock) -> None:
    """Yesterday's remaining seven calls say nothing today, whatever else is noted meanwhile."""
    own = limiter(audit, clock, clock.sleep, day_reserve=50)
    own.note_day("tenant", 7)
    clock.advance(hours=2)
    own.pause("tenant", 1, "limit of calls")
    with own.call("tenant"):
        pass


def test_a_figure_of_the_day_leaves_a_pause_as_it_is(audit: Audit, clock: Clock) -> None:
    """Two things are remembered side by side."""
    own = limiter(audit, clock, clock.sleep, day_reserve=50)
    own.pause("tenant", 7200, "day limit")
    own.note_day("tenant", 3)
    with pytest.raises(LimitReached, match="until about 2026-03-02 11:00"):
        own.call("tenant").__enter__()
