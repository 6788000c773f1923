"""tieout.toml: what is read, and one sentence for each way to get it wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from blocks.failures import NotConfigured
from deployments.config import read_config

GOOD = """
[connectwise]
url = "https://api-au.myconnectwise.net/v4_6_release/apis/3.0/"
company = "acme"
public_key = "pub"
private_key = "env:TIEOUT_TEST_KEY"
client_id = "guid"
[xero]
client_id = "id"
client_secret = "secret"
[[organisation]]
name = "Sydney"
tenant_id = "t-1"
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "tieout.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIEOUT_TEST_KEY", "canary-private")


def test_a_file_with_the_least_in_it_has_a_default_for_everything_else(tmp_path: Path) -> None:
    """The limits, addresses and the audit's place are what the contract says."""
    config = read_config(write(tmp_path, GOOD))
    assert config.connectwise is not None and config.xero is not None
    assert config.connectwise.url == "https://api-au.myconnectwise.net/v4_6_release/apis/3.0"
    assert config.connectwise.private_key.get_secret_value() == "canary-private"
    assert config.xero.api_url == "https://api.xero.com"
    assert (config.limits.xero_per_minute, config.limits.xero_concurrent, config.limits.xero_day_reserve) == (58, 5, 50)
    assert (config.limits.connectwise_per_minute, config.limits.connectwise_concurrent) == (600, 5)
    assert (config.http.timeout_seconds, config.http.attempts, config.http.max_wait_seconds) == (30, 4, 60)
    assert config.prefect.name == "default"


def test_secrets_are_in_no_picture_of_the_configuration(tmp_path: Path) -> None:
    """Neither repr nor str of the configuration shows a key."""
    config = read_config(write(tmp_path, GOOD))
    assert "canary" not in repr(config) and "canary" not in str(config)


def test_a_relative_path_is_meant_from_the_files_own_folder(tmp_path: Path) -> None:
    """Tables and a SQLite audit are found whatever folder a command or worker runs in."""
    config = read_config(write(tmp_path, GOOD + '[audit]\nurl = "sqlite:///audit.db"\n[mappings]\ndirectory = "t"\n'))
    assert config.tables_directory() == tmp_path / "t"
    assert config.audit_url().get_secret_value() == f"sqlite:///{tmp_path}/audit.db"


def test_a_home_folder_is_spelled_out(tmp_path: Path) -> None:
    """`~` is this user's home, for every process."""
    config = read_config(write(tmp_path, GOOD))
    assert config.audit_url().get_secret_value() == f"sqlite:///{Path.home()}/.tieout/audit.db"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("[xero]", "[xero]\ncolour = 1"), "unknown key xero.colour; allowed here: api_url"),
        (("[xero]", "[xerox]\n[xero]"), "unknown key xerox; allowed here: connectwise"),
        (('company = "acme"\n', ""), "connectwise.company is missing"),
        (("https://api-au", "http://api-au"), "would send credentials in clear"),
        (("https://api-au", "ftp://api-au"), "is no address"),
        (
            ('"env:TIEOUT_TEST_KEY"', '"env:NOT_SET_ANYWHERE"'),
            "environment variable NOT_SET_ANYWHERE, which is not set",
        ),
        (('tenant_id = "t-1"', ""), "every [[organisation]] needs its tenant_id"),
        (
            ("[[organisation]]", '[[organisation]]\nname = "Sydney"\ntenant_id = "t-2"\n[[organisation]]'),
            "the same name",
        ),
        (("[xero]", '[xero]\ngrant = "password"'), "xero.grant"),
        (("[xero]", '[prefect]\nname = "Two Words"\n[xero]'), "prefect.name"),
        (("[xero]", "[limits]\nxero_per_minute = -1\n[xero]"), "limits.xero_per_minute"),
        (("[xero]", "[xero"), "not readable as TOML"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence_with_its_place(
    tmp_path: Path, change: tuple[str, str], words: str
) -> None:
    """Each mistake names the key, what is allowed, and never shows a secret."""
    assert change[0] in GOOD
    with pytest.raises(NotConfigured) as caught:
        read_config(write(tmp_path, GOOD.replace(*change)))
    assert words in str(caught.value)
    assert "canary" not in str(caught.value)
    assert caught.value.exit_code == 2


MAIL = """
[mail]
host = "smtp.example.com"
sender = "tieout <tieout@example.com>"
recipients = ["accounts@example.com"]
"""


def test_the_least_of_a_mail_section_is_a_server_a_sender_and_whom_to_tell(tmp_path: Path) -> None:
    mail = read_config(write(tmp_path, GOOD + MAIL)).mail
    assert mail is not None
    assert (mail.port, mail.smtp_type, mail.repeat_days, mail.username, mail.password) == (25, "INSECURE", 7, "", None)
    assert read_config(write(tmp_path, GOOD)).mail is None


@pytest.mark.parametrize(
    ("lines", "kind"),
    [
        ("port = 465", "SSL"),
        ("port = 587", "STARTTLS"),
        ("port = 2525", "INSECURE"),
        ('port = 2525\nsecurity = "starttls"', "STARTTLS"),
        ('port = 587\nsecurity = "none"', "INSECURE"),
        ('security = "ssl"', "SSL"),
    ],
)
def test_a_mail_server_is_spoken_to_as_is_usual_on_its_port_unless_it_is_said(
    tmp_path: Path, lines: str, kind: str
) -> None:
    mail = read_config(write(tmp_path, f"{GOOD}{MAIL}{lines}\n")).mail
    assert mail is not None and mail.smtp_type == kind


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ('recipients = ["accounts@example.com\\nBcc: thief@example.com"]', "mail.recipients.0: "),
        ('recipients = ["one@example.com, two@example.com"]', "is no mail address"),
        ("recipients = []", "mail.recipients"),
        ('recipients = ["a@b.example"]\nsender = "tieout\\r\\nBcc: thief@example.com"', "mail.sender: "),
        ('recipients = ["a@b.example"]\nrepeat_days = 0', "mail.repeat_days"),
        ('recipients = ["a@b.example"]\nport = 0', "mail.port"),
        ('recipients = ["a@b.example"]\nsecurity = "tls"', "mail.security"),
        ('recipients = ["a@b.example"]\nusername = "tieout"', "go together"),
        ('recipients = ["a@b.example"]\npassword = "canary"', "go together"),
        ('recipients = ["a@b.example"]\nusername = "t"\npassword = "canary"', "would be sent in clear"),
        ('recipients = ["a@b.example"]\nsmtp = 1', "unknown key mail.smtp; allowed here: host"),
    ],
)
def test_a_mail_section_that_makes_no_sense_is_said(tmp_path: Path, lines: str, words: str) -> None:
    """No line break gets into an address, and no password onto the way in clear."""
    keys = [line.split(" = ")[0] for line in lines.splitlines()]
    rest = [line for line in MAIL.splitlines() if line.split(" = ")[0] not in keys]
    with pytest.raises(NotConfigured) as caught:
        read_config(write(tmp_path, GOOD + "\n".join([*rest, lines])))
    assert words in str(caught.value)
    assert "canary" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_password_may_go_in_clear_to_this_very_machine(tmp_path: Path) -> None:
    """A relay on the same host is spoken to on no wire."""
    text = MAIL.replace("smtp.example.com", "localhost") + 'username = "t"\npassword = "canary"\n'
    config = read_config(write(tmp_path, GOOD + text))
    assert config.mail is not None and "canary" not in repr(config)


def test_a_custom_connection_has_exactly_one_organisation(tmp_path: Path) -> None:
    """Two are refused; the one needs no tenant id."""
    custom = GOOD.replace("[xero]", '[xero]\ngrant = "client_credentials"')
    assert read_config(write(tmp_path, custom.replace('tenant_id = "t-1"', ""))).organisation[0].tenant_id == ""
    with pytest.raises(NotConfigured, match="exactly one"):
        read_config(write(tmp_path, custom + '[[organisation]]\nname = "B"\ntenant_id = "t-2"\n'))


def test_a_file_that_was_named_must_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By option or by TIEOUT_CONFIG: a missing file is said, never replaced by a default."""
    with pytest.raises(NotConfigured, match="There is no configuration file"):
        read_config(tmp_path / "nowhere.toml")
    monkeypatch.setenv("TIEOUT_CONFIG", str(tmp_path / "elsewhere.toml"))
    with pytest.raises(NotConfigured, match=r"elsewhere\.toml"):
        read_config(None)


def test_a_file_in_another_encoding_is_said(tmp_path: Path) -> None:
    """UTF-16 from an editor ends in a sentence."""
    path = tmp_path / "tieout.toml"
    path.write_bytes(GOOD.encode("utf-16"))
    with pytest.raises(NotConfigured, match="not readable as TOML"):
        read_config(path)
