"""The one table from an HTTP answer of Xero to what we do (fact sheet, sections 1.2, 3.2 and 3.5)."""

from __future__ import annotations

import json
from decimal import Decimal

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.xero.failures import Answer, Verdict, validation_messages

ENVELOPE = {"Id": "1", "Status": "OK", "ProviderName": "tieout", "Invoices": []}
VALIDATION = {
    "ErrorNumber": 10,
    "Type": "ValidationException",
    "Message": "A validation exception occurred",
    "Elements": [
        {"ValidationErrors": [{"Message": "Account code '999' is not valid."}]},
        {"ValidationErrors": [{"Message": "Account code '999' is not valid."}, {"Message": "Contact is archived."}]},
    ],
}
PROBLEM = {"Type": None, "Title": "Forbidden", "Status": 403, "Detail": "AuthenticationUnsuccessful", "Instance": "x"}
MISMATCH = {"Type": None, "Title": "Bad", "Detail": "Idempotency Key: k is used with a different request."}
PAGE = b"<!doctype html><html><body>Sign in</body></html>"


def made(status: int, body: object = b"", **headers: str) -> Answer:
    """An answer of Xero, read."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(httpx.Response(status, headers=named, content=content))


TABLE = {
    "200 with the envelope": (made(200, ENVELOPE), Verdict.GOOD),
    "200 behind a byte order mark": (made(200, b"\xef\xbb\xbf" + json.dumps(ENVELOPE).encode()), Verdict.GOOD),
    "200, a web page": (made(200, PAGE, Content_Type="text/html"), Verdict.REPEAT),
    "200, cut short": (made(200, b'{"Invoices": [{"Inv'), Verdict.REPEAT),
    "200, empty": (made(200), Verdict.REPEAT),
    "200, null": (made(200, b"null"), Verdict.REPEAT),
    "200, a list": (made(200, []), Verdict.REPEAT),
    "200, JSON without a bottom": (made(200, b'{"a":' * 100_000), Verdict.REPEAT),
    "201 with the envelope": (made(201, ENVELOPE), Verdict.GOOD),
    "204": (made(204), Verdict.REPEAT),
    "302 to a login page": (made(302, PAGE, Location="https://sso.example.com/x?a=b"), Verdict.REPEAT),
    "304": (made(304), Verdict.REPEAT),
    "400, validation": (made(400, VALIDATION), Verdict.REFUSED),
    "400, nothing processed": (
        made(400, {"ErrorNumber": 17, "Type": "NoDataProcessedException", "Message": "No data has been processed"}),
        Verdict.REFUSED,
    ),
    "400, the key was used with other bytes": (made(400, MISMATCH), Verdict.UNKNOWN),
    "401, the token ran out": (
        made(401, {"Title": "Unauthorized", "Status": 401, "Detail": "TokenExpired: token expired"}),
        Verdict.REFRESH,
    ),
    "401 without a body": (made(401), Verdict.REFRESH),
    "401, a scope is missing": (
        made(401, PROBLEM, WWW_Authenticate='Bearer error="insufficient_scope"'),
        Verdict.DISCONNECTED,
    ),
    "401, a scope is missing, in Xero's spelling": (
        made(401, PROBLEM, WWW_Authenticate="Bearer error=insufficent_scope"),
        Verdict.DISCONNECTED,
    ),
    "403, not connected": (made(403, PROBLEM), Verdict.DISCONNECTED),
    "404 with an empty page": (made(404, b"", Content_Type="text/html"), Verdict.NOT_FOUND),
    "408": (made(408), Verdict.REPEAT),
    "409": (made(409), Verdict.REPEAT),
    "412": (made(412), Verdict.REFUSED),
    "413": (made(413, {"Title": "Payload Too Large"}), Verdict.REFUSED),
    "425": (made(425), Verdict.REPEAT),
    "429, minute": (made(429, X_Rate_Limit_Problem="minute", Retry_After="26"), Verdict.WAIT),
    "429, concurrent": (made(429, X_Rate_Limit_Problem="concurrent"), Verdict.WAIT),
    "429, app minute": (made(429, X_Rate_Limit_Problem="appminute"), Verdict.WAIT),
    "429 without a problem": (made(429), Verdict.WAIT),
    "429, day": (made(429, X_Rate_Limit_Problem="day", Retry_After="66975"), Verdict.DEFER),
    "429, day in another spelling": (made(429, X_Rate_Limit_Problem="DayLimit"), Verdict.DEFER),
    "500": (made(500, {"Title": "An error occurred", "Detail": "An error occurred in Xero."}), Verdict.UNKNOWN),
    "501": (made(501), Verdict.UNKNOWN),
    "502 with a page": (made(502, PAGE), Verdict.UNKNOWN),
    "503, offline": (made(503, b"The Xero API is currently offline for maintenance"), Verdict.UNKNOWN),
}


@pytest.mark.parametrize("name", TABLE)
def test_every_answer_has_the_verdict_of_its_row(name: str) -> None:
    """Status first, then headers, the body last."""
    answer, verdict = TABLE[name]
    assert answer.verdict is verdict


@given(status=st.integers(200, 599), body=st.binary(max_size=40), problem=st.text(max_size=10))
def test_no_answer_is_without_a_verdict_and_only_a_4xx_is_a_definite_no(status: int, body: bytes, problem: str) -> None:
    """What may have been written is never taken for refused, and nothing unreadable for good."""
    headers = [(b"X-Rate-Limit-Problem", problem.encode("utf-8", "replace"))]
    answer = Answer(httpx.Response(status, headers=headers, content=body))
    if answer.verdict in (Verdict.REFUSED, Verdict.NOT_FOUND, Verdict.WAIT, Verdict.DEFER):
        assert 400 <= status < 500
    if answer.verdict is Verdict.GOOD:
        assert answer.given is not None
    if status >= 500:
        assert answer.verdict is Verdict.UNKNOWN
    assert isinstance(answer.words, str)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (made(400, VALIDATION), "Account code '999' is not valid.; Contact is archived."),
        (made(403, PROBLEM), "AuthenticationUnsuccessful"),
        (made(413, {"Title": "Payload Too Large"}), "Payload Too Large"),
        (made(400, {"Message": "No data", "Elements": []}), "No data"),
        (made(400, {"Message": None, "Elements": ["odd", {"ValidationErrors": "odd"}, None]}), ""),
        (made(503, b"The Xero API is\r\n  currently offline"), "The Xero API is currently offline"),
        (made(503, PAGE), ""),
        (made(429), ""),
        (made(302, PAGE, Location="https://sso.example.com/x?a=b"), "sent on to https://sso.example.com"),
    ],
)
def test_xeros_own_words_are_found_wherever_they_stand(answer: Answer, words: str) -> None:
    """Validation messages once each, else Message, Detail or Title, else plain text; never a web page."""
    assert answer.words == words


def test_validation_messages_of_lines_count_too_and_odd_ones_do_no_harm() -> None:
    """A refusal may stand at a line; what is no message is passed over."""
    element = {
        "ValidationErrors": [{"Message": "Header."}, {"Message": None}, "odd"],
        "LineItems": [{"ValidationErrors": [{"Message": "Line 1."}]}, {"Description": "fine"}, None],
    }
    assert validation_messages(element) == ["Header.", "Line 1."]
    assert validation_messages({"ValidationErrors": None, "LineItems": None}) == []


def test_numbers_are_decimals_digit_for_digit() -> None:
    """Fractions come from the JSON text; no float is between it and us."""
    given = made(200, b'{"Total": 1234567890.10, "Count": 3}').given
    assert given == {"Total": Decimal("1234567890.10"), "Count": 3}
    assert str(given["Total"]) == "1234567890.10"
