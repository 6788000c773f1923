"""Which addresses credentials may be sent to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.addresses import checked_address


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://api-au.myconnectwise.net/v4_6_release/apis/3.0", None),
        ("https://api.xero.com", None),
        (" https://api.xero.com/// \n", "https://api.xero.com"),
        ("HTTPS://api.xero.com:8443/x", None),
        ("http://localhost:8080", None),
        ("http://LOCALHOST/x/", "http://LOCALHOST/x"),
        ("http://127.0.0.1:8080/v4_6_release/apis/3.0", None),
        ("http://127.9.9.9", None),
        ("http://[::1]:8080", None),
    ],
)
def test_https_everywhere_and_http_on_this_machine_are_good(url: str, address: str | None) -> None:
    """The address comes back without blanks around it and slashes at its end."""
    assert checked_address(url) == (address or url)


@pytest.mark.parametrize(
    "url",
    [
        "http://api.xero.com",
        "http://10.0.0.1",
        "http://0.0.0.0",
        "http://127.0.0.1.evil.example",
        "http://localhost.evil.example",
        "http://[fe80::1]",
        "http://2130706433",
    ],
)
def test_http_to_any_other_machine_is_refused(url: str) -> None:
    """Credentials would travel in clear."""
    with pytest.raises(ValueError, match="would send credentials in clear; use https://"):
        checked_address(url)


@pytest.mark.parametrize(
    "url",
    [
        "", "api.xero.com", "//api.xero.com", "ftp://api.xero.com", "file:///etc/passwd", "https://", "https:///x",
        "https://[::1", "https://host:port", "https://host:99999", "https://host:0", "https://a b/c",
        "https://host/x?key=1", "https://host/#top",
    ],
)  # fmt: skip
def test_what_is_no_address_of_an_api_is_refused(url: str) -> None:
    """Nor can anything be added behind a question mark."""
    with pytest.raises(ValueError, match="is no address; it should look like https://host/path"):
        checked_address(url)


@pytest.mark.parametrize("url", ["https://user:canary-secret@host/x", "http://canary-secret@localhost"])
def test_an_address_with_a_password_in_it_is_refused_and_not_quoted(url: str) -> None:
    """It would be shown in the UI and in every error."""
    with pytest.raises(ValueError, match="must not hold a user or password") as caught:
        checked_address(url)
    assert "canary" not in str(caught.value)


@given(st.text(max_size=40))
def test_no_text_can_do_more_than_be_refused(url: str) -> None:
    """Either an address that begins like one, or ValueError."""
    try:
        found = checked_address(url)
    except ValueError:
        return
    assert found.lower().startswith(("https://", "http://"))
