"""One attempt at one call, and how often there is another."""

from __future__ import annotations

import math
import socket
import weakref
from typing import NoReturn

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.audit import exchanges as kept
from blocks.audit.database import Audit
from blocks.audit.exchanges import Exchanges
from blocks.failures import NotConfigured, Unreachable
from blocks.wire import LONGEST_PAUSE, NoAnswer, Retries, TryAgain, Wire, http_date, redirected_to, retry_after
from tests.blocks.support import CANARIES, Server, answer, assert_no_secret, failing, http, kept_text, told, utc


def always(error: Exception) -> NoReturn:
    raise error


# Retries


@pytest.mark.parametrize("attempts", [1, 2, 4])
def test_a_call_is_tried_as_often_as_configured_and_then_ends_in_its_own_sentence(attempts: int) -> None:
    """No more attempts than [http] attempts, one of them included, and the last one's words come out."""
    tried: list[int] = []
    naps: list[float] = []

    def attempt() -> None:
        tried.append(1)
        raise TryAgain(f"No luck {len(tried)}.")

    with pytest.raises(Unreachable, match=rf"^No luck {attempts}\.$"):
        Retries(attempts, sleep=naps.append).run(attempt)
    assert len(tried) == attempts
    assert len(naps) == attempts - 1


def test_what_another_attempt_cannot_cure_is_not_tried_again() -> None:
    """Only TryAgain asks for another attempt; everything else goes straight through."""
    naps: list[float] = []
    with pytest.raises(NotConfigured, match="Wrong key"):
        Retries(sleep=naps.append).run(lambda: always(NotConfigured("Wrong key.")))
    assert naps == []


@given(first=st.floats(0.01, 5), longest=st.floats(0, 120), attempts=st.integers(2, 12))
def test_waits_double_with_jitter_and_never_exceed_the_longest(first: float, longest: float, attempts: int) -> None:
    """Each wait lies between half of the doubled one and the doubled one, capped."""
    naps: list[float] = []
    with pytest.raises(Unreachable):
        Retries(attempts, longest, first, naps.append).run(lambda: always(TryAgain("Again.")))
    for number, nap in enumerate(naps):
        full = min(first * 2**number, longest)
        assert full / 2 <= nap <= full


@given(asked=st.floats(0, 60))
def test_a_wait_that_the_server_asked_for_is_kept_to_the_second(asked: float) -> None:
    """Retry-After wins over our own doubling, as long as a cycle may wait that long."""
    naps: list[float] = []
    with pytest.raises(Unreachable):
        Retries(3, 60, sleep=naps.append).run(lambda: always(TryAgain("Wait.", asked)))
    assert naps == [asked, asked]


def test_nothing_is_sent_again_when_the_server_asks_for_more_than_a_cycle_waits() -> None:
    """Sending earlier than asked would be a 429 of our own making; sleeping longer would block a worker."""
    tried: list[int] = []
    naps: list[float] = []

    def attempt() -> None:
        tried.append(1)
        raise TryAgain("Come back tomorrow.", 61)

    with pytest.raises(Unreachable, match="tomorrow"):
        Retries(4, 60, sleep=naps.append).run(attempt)
    assert (len(tried), naps) == (1, [])


# Retry-After


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0),
        (" 1.5 ", 1.5),
        ("0", 0.0),
        ("-30", 0.0),
        ("99999999999999999999", LONGEST_PAUSE),
        ("1e400", LONGEST_PAUSE),
        ("nan", None),
        ("soon", None),
        ("", None),
        ("Mon, 02 Mar 2026 09:00:42 GMT", 42.0),
        ("Mon, 02 Mar 2026 08:59:00 GMT", 0.0),
        ("Mon, 02 Mar 2026 09:00:42 -0000", 42.0),
        ("Fri, 31 Dec 9999 23:59:59 -2359", None),
        ("Mon, 99 Mar 2026 09:00:42 GMT", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date_by_the_servers_clock(text: str, seconds: float | None) -> None:
    """Negative, endless and senseless values become something that can be waited for, or nothing."""
    headers = {"Retry-After": text, "Date": "Mon, 02 Mar 2026 09:00:00 GMT"}
    assert retry_after(httpx.Response(429, headers=headers)) == seconds


def test_a_date_in_retry_after_counts_from_now_where_the_server_tells_no_time() -> None:
    """Without a Date header our own clock has to do."""
    past = httpx.Response(429, headers={"Retry-After": "Mon, 02 Mar 2020 09:00:00 GMT"})
    assert retry_after(past) == 0.0
    assert retry_after(httpx.Response(429)) is None


@given(st.text(max_size=60))
def test_no_header_text_can_break_the_reading_of_dates_and_waits(text: str) -> None:
    """Whatever a gateway writes there: a number of seconds that can be slept, or nothing."""
    found = http_date(text)
    assert found is None or found.utcoffset() is not None
    response = httpx.Response(429, headers=[(b"Retry-After", text.encode("utf-8", "replace"))])
    seconds = retry_after(response)
    assert seconds is None or (math.isfinite(seconds) and 0 <= seconds <= LONGEST_PAUSE)


def test_the_time_of_an_answer_is_aware_and_in_utc() -> None:
    """A Date header of another zone is turned into UTC."""
    assert http_date("Mon, 02 Mar 2026 19:00:00 +1000") == utc("2026-03-02T09:00:00")


# The wire


@pytest.mark.parametrize(
    ("error", "words", "shown"),
    [
        (httpx.ConnectError, "[Errno -2] Name or service not known", "Name or service not known"),
        (httpx.ConnectError, "[Errno 111] Connection refused", "Connection refused"),
        (httpx.ConnectTimeout, "", "timed out"),
        (httpx.ReadTimeout, "The read operation timed out", "timed out"),
        (httpx.RemoteProtocolError, "Server disconnected without sending a response.", "Server disconnected"),
        (httpx.ReadError, "", "ReadError"),
        (httpx.DecodingError, "Error -3 while decompressing data", "decompressing"),
    ],
)
def test_a_call_without_an_answer_says_what_happened_and_is_kept(
    exchanges: Exchanges, error: type[httpx.RequestError], words: str, shown: str
) -> None:
    """Every error of the network becomes NoAnswer in plain words, and an exchange without a status."""
    wire = Wire("xero", http(Server(failing(error, words))), None, exchanges)
    with pytest.raises(NoAnswer, match=shown) as caught:
        wire.send("PUT", "https://api.example.com/x", headers={}, body=b"{}", references=["40001"])
    assert "Errno" not in str(caught.value)
    (row,) = kept.read(exchanges.audit)
    assert (row["status"], row["references"], row["request"]) == (None, ["40001"], "{}")
    assert shown in row["error"]
    assert wire.calls == 1


def test_a_header_that_cannot_be_sent_is_quoted_nowhere(exchanges: Exchanges, audit: Audit) -> None:
    """httpx quotes an illegal header in its error; ours has no part of it, nor has its traceback."""
    wire = Wire("xero", httpx.Client(), None, exchanges)
    headers = {"Authorization": f"Bearer {CANARIES[3]}\nX: y"}
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"http://127.0.0.1:{listening.getsockname()[1]}/x"
        with pytest.raises(NoAnswer, match="line break in a key") as caught:
            wire.send("GET", address, headers=headers)
    assert_no_secret(told(caught.value), kept_text(audit))


def test_a_refused_connection_is_told_in_the_words_of_the_system() -> None:
    """A real closed port on this machine: no answer, and a reason that people can read."""
    with pytest.raises(NoAnswer, match="refused"):
        Wire("xero", httpx.Client(), None, None).send("GET", "http://127.0.0.1:1/x", headers={})


def test_a_redirect_is_not_followed() -> None:
    """Credentials go to the address that was configured and nowhere else."""
    server = Server(answer(302, Location="https://login.example.com/sso?state=abc"), answer(200, {}))
    response = Wire("xero", http(server), None, None).send("GET", "https://api.example.com/x", headers={})
    assert (response.status_code, len(server.requests)) == (302, 1)
    assert redirected_to(response) == "https://login.example.com"
    assert redirected_to(httpx.Response(307, headers={"Location": "/login"})) == "/login"
    assert redirected_to(httpx.Response(200)) == ""


def test_the_last_check_can_stop_a_call_before_anything_is_sent(exchanges: Exchanges, audit: Audit) -> None:
    """What `last_check` raises comes out, and neither the wire nor the audit has seen a call."""
    server = Server(answer(200, {}))
    wire = Wire("xero", http(server), None, exchanges)
    with pytest.raises(TimeoutError):
        wire.send("PUT", "https://api.example.com/x", headers={}, last_check=lambda: always(TimeoutError()))
    assert (server.requests, wire.calls, kept.read(audit)) == ([], 0, [])


def test_an_answer_is_kept_with_its_bodies_references_and_time(exchanges: Exchanges) -> None:
    """What went over the wire can be read again from the audit."""
    wire = Wire("xero", http(Server(answer(200, {"Id": 1}))), None, exchanges)
    wire.send("PUT", "https://api.example.com/x?unitdp=4", headers={}, body=b'{"a":1}', references=["1", "2"])
    (row,) = kept.read(exchanges.audit, run_id="run-1")
    assert (row["method"], row["url"], row["status"]) == ("PUT", "https://api.example.com/x?unitdp=4", 200)
    assert (row["request"], row["response"], row["references"]) == ('{"a":1}', '{"Id": 1}', ["1", "2"])


def test_an_answer_that_nobody_holds_is_gone_at_once(exchanges: Exchanges) -> None:
    """A page of records is large, and garbage is looked for seldom (docs/decisions/0008)."""
    wire = Wire("xero", http(Server(answer(200, {"Id": 1}))), None, exchanges)
    held = weakref.ref(wire.send("GET", "https://api.example.com/x", headers={}))
    assert held() is None
