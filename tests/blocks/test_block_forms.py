"""The blocks as ops meet them: readable forms, no secret shown, and only what makes sense accepted."""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from prefect.blocks.core import Block
from prefect.testing.standard_test_suites.blocks import BlockStandardTestSuite
from pydantic import SecretStr, ValidationError

from blocks.audit.block import AuditDatabase
from blocks.audit.database import Audit
from blocks.connectwise.credentials import ConnectWiseCredentials
from blocks.failures import NotConfigured
from blocks.mail import ExceptionMail
from blocks.tables import MappingTables
from blocks.watermarks import Watermark
from blocks.xero.credentials import MemoryTokenStore, XeroCredentials
from tests.blocks.support import assert_no_secret, is_a_sentence
from tests.worlds import Clock

CONNECTWISE: dict[str, Any] = {
    "url": "https://api-au.myconnectwise.net/v4_6_release/apis/3.0", "company": "acme", "public_key": "canary-public",
    "private_key": "canary-private", "client_id": "0a1b2c3d-0000-4000-8000-000000000001",
}  # fmt: skip
XERO: dict[str, Any] = {
    "client_id": "app-1", "client_secret": "canary-secret", "organisations": {"Sydney": "t-1", "Auckland": "t-2"},
    "configured_refresh_token": "canary-configured", "refresh_token": "canary-refresh",
    "access_token": "canary-access",
}  # fmt: skip
BLOCKS: dict[type[Block], dict[str, Any]] = {
    ConnectWiseCredentials: CONNECTWISE,
    XeroCredentials: XERO,
    AuditDatabase: {"url": "postgresql+psycopg://tieout:canary-secret@db/audit"},
    MappingTables: {"directory": "/srv/tieout/tables"},
    Watermark: {"family": "invoices"},
    ExceptionMail: {
        "server": {"smtp_server": "smtp.example.com", "username": "tieout", "password": "canary-secret"},
        "sender": "tieout@example.com",
        "recipients": ["accounts@example.com"],
    },
}


@pytest.mark.parametrize("block", BLOCKS)
class TestStandard(BlockStandardTestSuite):
    """Prefect's own standard for blocks: description, described fields, an example that can be copied."""

    @pytest.fixture
    def block(self) -> type[Block]:
        """Given by the parameters above."""
        raise AssertionError

    def test_has_a_documentation_url(self, block: type[Block]) -> None:
        """tieout has no published pages; a block that names one would lead nowhere."""
        assert block._documentation_url is None

    def test_has_a_valid_image(self, block: type[Block]) -> None:
        """A logo would be fetched from the internet by everybody's browser; there is none."""
        assert block._logo_url is None


@pytest.mark.parametrize("kind", BLOCKS)
def test_every_field_has_a_title_and_a_sentence_and_every_block_a_name_of_its_own(kind: type[Block]) -> None:
    """The form in the UI is made of these."""
    for name, field in kind.model_fields.items():
        assert field.title, name
        assert field.title[0].isupper() or field.title == "clientId", name
        assert field.description, name
    assert kind._block_type_name
    assert kind.get_block_type_slug().startswith("tieout-")
    assert len({other.get_block_type_slug() for other in BLOCKS}) == len(BLOCKS)


@pytest.mark.parametrize("kind", BLOCKS)
def test_no_secret_is_shown_by_a_block_whichever_way_it_is_printed(kind: type[Block]) -> None:
    """repr, str, model_dump, JSON; and Prefect knows which fields to hide in the UI."""
    block = kind(**BLOCKS[kind])
    assert_no_secret(repr(block), str(block), f"{block!r}", repr(block.model_dump()), block.model_dump_json())
    secrets = {
        f"{name}.{inner}" if inner else name
        for name, value in BLOCKS[kind].items()
        for inner, secret in (value.items() if isinstance(value, dict) else [("", value)])
        if "canary" in str(secret)
    }
    assert set(kind.model_json_schema()["secret_fields"]) == secrets
    assert all(
        SecretStr.__name__ in str(kind.model_fields[name].annotation) for name in secrets if name in kind.model_fields
    )


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (ConnectWiseCredentials, {"url": "http://api.example.net"}),
        (ConnectWiseCredentials, {"url": "https://acme:canary-private@api.example.net"}),
        (ConnectWiseCredentials, {"private_key": ["canary-private"]}),
        (ConnectWiseCredentials, {"attempts": 0}),
        (ConnectWiseCredentials, {"timeout_seconds": 0}),
        (ConnectWiseCredentials, {"per_minute": -1}),
        (ConnectWiseCredentials, {"company": None}),
        (XeroCredentials, {"identity_url": "http://identity.example.com"}),
        (XeroCredentials, {"api_url": "api.xero.com"}),
        (XeroCredentials, {"login_url": "ftp://login.xero.com"}),
        (XeroCredentials, {"client_secret": {"canary-secret": 1}}),
        (XeroCredentials, {"grant": "password"}),
        (XeroCredentials, {"grant": "client_credentials"}),
        (XeroCredentials, {"grant": "client_credentials", "organisations": {}}),
        (XeroCredentials, {"organisations": {"Sydney": ""}}),
        (XeroCredentials, {"organisations": {"Sydney": "t-1", "Auckland": "t-1"}}),
        (XeroCredentials, {"attempts": 0}),
        (AuditDatabase, {"url": ["postgresql://tieout:canary-secret@db/audit"]}),
    ],
)
def test_what_makes_no_sense_is_refused_and_no_secret_quoted(kind: type[Block], wrong: dict[str, Any]) -> None:
    """pydantic would quote the whole input of a failed validation, keys included."""
    with pytest.raises(ValidationError) as caught:
        kind(**BLOCKS[kind] | wrong)
    assert_no_secret(str(caught.value), repr(caught.value))
    assert set(wrong) & {str(error["loc"][0]) for error in caught.value.errors() if error["loc"]} or "organisation" in (
        str(caught.value)
    )


@pytest.mark.parametrize(
    ("organisations", "words"),
    [
        ({"One": "t-1", "Two": "t-2"}, "has exactly one organisation"),
        ({}, "has exactly one organisation"),
    ],
)
def test_a_custom_connection_has_exactly_one_organisation(organisations: dict[str, str], words: str) -> None:
    """More are refused, none as well; its tenant id may be left open."""
    with pytest.raises(ValidationError, match=words):
        XeroCredentials(**XERO | {"grant": "client_credentials", "organisations": organisations})
    XeroCredentials(**XERO | {"grant": "client_credentials", "organisations": {"One": ""}})


def test_blanks_and_line_breaks_that_were_pasted_along_are_not_part_of_a_key() -> None:
    """A key from a file or a web page often ends with one, and would be refused without a word of why."""
    pasted = {name: f" {value}\r\n" if isinstance(value, str) else value for name, value in CONNECTWISE.items()}
    block = ConnectWiseCredentials(**pasted)
    assert block == ConnectWiseCredentials(**CONNECTWISE)
    assert block.private_key.get_secret_value() == "canary-private"
    xero = XeroCredentials(**XERO | {"client_secret": "canary-secret\n", "organisations": {"Sydney ": " t-1\n"}})
    assert xero.client_secret.get_secret_value() == "canary-secret"
    assert xero.organisations == {"Sydney": "t-1"}
    assert AuditDatabase(url=SecretStr("sqlite:////x.db")).url.get_secret_value() == "sqlite:////x.db"


def test_the_address_of_an_api_loses_the_slash_at_its_end() -> None:
    """It is put before paths that begin with one."""
    assert ConnectWiseCredentials(**CONNECTWISE | {"url": "https://api-na.myconnectwise.net/"}).url.endswith(".net")


def test_the_credentials_hand_out_clients_that_call_nobody_before_they_are_asked(audit: Audit, clock: Clock) -> None:
    """No call, no wait; the figures of the block go along."""
    connectwise = ConnectWiseCredentials(**CONNECTWISE).get_client(audit, "run-1", clock)
    xero = XeroCredentials(**XERO).get_client(MemoryTokenStore(), audit, "run-1", clock)
    assert (connectwise.calls, xero.calls) == (0, 0)
    assert_no_secret(repr(connectwise), repr(xero), repr(vars(xero)), repr(xero._tokens))


def test_the_audit_block_opens_its_database(tmp_path: Path) -> None:
    """Made and migrated at the first use."""
    database = AuditDatabase(url=SecretStr(f"sqlite:///{tmp_path}/audit.db")).open()
    assert database.id
    database.close()


def test_a_watermark_begins_with_its_family_alone() -> None:
    """The position is shown for information, `Reset to` is what ops fill in."""
    block = Watermark(family="invoices")
    assert (block.position, block.reset_to) == (None, None)
    filled = Watermark(family="invoices", reset_to=datetime(2026, 3, 1, tzinfo=UTC))
    assert json.loads(filled.model_dump_json())["reset_to"] == "2026-03-01T00:00:00Z"


# The mapping tables


def test_a_folder_of_tables_is_read_with_its_policy(tmp_path: Path) -> None:
    """As spreadsheets save them, with a byte order mark; other files in the folder do no harm."""
    for name, text in {
        "organisations.csv": "location,department,company,staff,tag,organisation\nSydney,,,,,Sydney\n",
        "accounts.csv": "organisation,side,kind,category,item,account_code,item_code\n,sales,service,,,200,\n",
        "taxes.csv": "organisation,side,tax_code,taxable,tax_type\n,sales,,yes,OUTPUT\n",
        "policy.toml": "start_date = 2026-01-01\n",
        "notes.txt": "x",
    }.items():
        (tmp_path / name).write_text(text, encoding="utf-8" if name == "policy.toml" else "utf-8-sig")
    tables = MappingTables(directory=str(tmp_path)).read()
    assert tables.policy.starts("invoices", date(2026, 3, 2)) == date(2026, 1, 1)


@pytest.mark.parametrize("name", ["accounts.csv", "policy.toml"])
def test_a_table_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    """A folder in its place, for one."""
    (tmp_path / name).mkdir()
    with pytest.raises(NotConfigured, match=f"{re.escape(name)} cannot be read: Is a directory"):
        MappingTables(directory=str(tmp_path)).read()


@pytest.mark.parametrize("directory", ["/nowhere/tables", "~nobody-of-that-name/tables"])
def test_a_folder_that_is_not_there_is_named(directory: str) -> None:
    """Not three tables that are missing, but the folder: the path is wrong, or another worker's."""
    with pytest.raises(NotConfigured, match=r"no folder .*tables .*check \[mappings\] directory") as caught:
        MappingTables(directory=directory).read()
    assert is_a_sentence(str(caught.value))


def test_every_problem_of_the_tables_is_told_at_once_with_file_row_and_column(tmp_path: Path) -> None:
    """One round of correction, not one per mistake."""
    (tmp_path / "organisations.csv").write_text("location,organisation\nSydney,\n")
    (tmp_path / "policy.toml").write_text("start_date = soon\n")
    with pytest.raises(NotConfigured) as caught:
        MappingTables(directory=str(tmp_path)).read()
    assert "organisations.csv" in str(caught.value)
    assert "policy.toml" in str(caught.value)
    assert caught.value.exit_code == 2
