"""tieout.toml: the connections (contract, section 2). After set-up the blocks hold them."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from blocks.addresses import checked_address, checked_mailbox, is_loopback
from blocks.failures import NotConfigured
from blocks.xero.tokens import Grant

FILE = "tieout.toml"
PROJECT = Path(__file__).resolve().parent.parent

Mailbox = Annotated[str, AfterValidator(checked_mailbox)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ConnectWise(_Section):
    """[connectwise]: where ConnectWise Manage is, and the keys of its API member."""

    url: str
    company: str = Field(min_length=1)
    public_key: SecretStr
    private_key: SecretStr
    client_id: str

    @field_validator("url")
    @classmethod
    def _https(cls, value: str) -> str:
        return checked_address(value)


class Xero(_Section):
    """[xero]: the Xero app."""

    api_url: str = "https://api.xero.com"
    identity_url: str = "https://identity.xero.com"
    login_url: str = "https://login.xero.com"
    client_id: str = Field(min_length=1)
    client_secret: SecretStr
    refresh_token: SecretStr | None = None
    grant: Grant = "authorization_code"

    @field_validator("api_url", "identity_url", "login_url")
    @classmethod
    def _https(cls, value: str) -> str:
        return checked_address(value)


class Organisation(_Section):
    """[[organisation]]: the name that the tables use, and the tenant it stands for."""

    name: str = Field(min_length=1)
    tenant_id: str = ""


class AuditSection(_Section):
    """[audit]: where our own record is."""

    url: SecretStr = SecretStr("sqlite:///~/.tieout/audit.db")


class MappingsSection(_Section):
    """[mappings]: where the tables and policy.toml are; a relative path is meant from the file's own folder."""

    directory: str = "mappings/tables"


class PrefectSection(_Section):
    """[prefect]: the name that keeps two installations on one server apart."""

    name: str = Field(default="default", pattern=r"^[a-z0-9][a-z0-9-]{0,40}$")


class Http(_Section):
    """[http]: how long and how often a call is tried."""

    timeout_seconds: float = Field(default=30, gt=0)
    attempts: int = Field(default=4, ge=1)
    max_wait_seconds: float = Field(default=60, ge=0)


class Limits(_Section):
    """[limits]: calls per minute and at once; 0 = none."""

    xero_per_minute: int = Field(default=58, ge=0)
    xero_concurrent: int = Field(default=5, ge=0)
    xero_day_reserve: int = Field(default=50, ge=0)
    connectwise_per_minute: int = Field(default=600, ge=0)
    connectwise_concurrent: int = Field(default=5, ge=0)


class Mail(_Section):
    """[mail]: where exceptions are mailed to, and runs that crashed, failed or are late. Optional.

    `security` is by the port unless it is said: 465 ssl, 587 starttls, else none.
    """

    host: str = Field(min_length=1)
    port: int = Field(default=25, ge=1, le=65535)
    security: Literal["none", "starttls", "ssl"] | None = None
    sender: Mailbox
    recipients: list[Mailbox] = Field(min_length=1)
    repeat_days: int = Field(default=7, ge=1)
    username: str = ""
    password: SecretStr | None = None

    @model_validator(mode="after")
    def _password_stays_secret(self) -> Self:
        if bool(self.username) != (self.password is not None):
            raise ValueError("username and password go together; leave both out where the server asks for neither")
        if self.password is not None and self.smtp_type == "INSECURE" and not is_loopback(self.host):
            raise ValueError('the password would be sent in clear; use security = "starttls" (port 587) or "ssl" (465)')
        return self

    @property
    def smtp_type(self) -> str:
        """The same in the words of prefect-email's block."""
        security = self.security or {465: "ssl", 587: "starttls"}.get(self.port, "none")
        return "INSECURE" if security == "none" else security.upper()


class Config(_Section):
    """The whole file. `connectwise` and `xero` may be missing where only the audit is asked."""

    connectwise: ConnectWise | None = None
    xero: Xero | None = None
    organisation: list[Organisation] = Field(default_factory=list)
    audit: AuditSection = AuditSection()
    mappings: MappingsSection = MappingsSection()
    prefect: PrefectSection = PrefectSection()
    http: Http = Http()
    limits: Limits = Limits()
    mail: Mail | None = None

    _folder: Path = PrivateAttr(default_factory=Path.cwd)

    @model_validator(mode="after")
    def _organisations_fit(self) -> Self:
        names = [each.name for each in self.organisation]
        if len(set(names)) != len(names):
            raise ValueError("two [[organisation]] sections have the same name")
        custom = self.xero is not None and self.xero.grant == "client_credentials"
        if custom and len(names) > 1:
            raise ValueError("a custom connection (grant = client_credentials) has exactly one [[organisation]]")
        if not custom and any(not each.tenant_id for each in self.organisation):
            raise ValueError("every [[organisation]] needs its tenant_id")
        return self

    def tables_directory(self) -> Path:
        """The folder of the mapping tables, absolute."""
        return (self._folder / Path(self.mappings.directory).expanduser()).resolve()

    def audit_url(self) -> SecretStr:
        """The audit database's address; a SQLite path is made absolute, so that every process means the same file."""
        url = self.audit.url.get_secret_value()
        prefix = "sqlite:///"
        if url.startswith(prefix) and not url.startswith(prefix + "/"):
            path = (self._folder / Path(url.removeprefix(prefix)).expanduser()).resolve()
            return SecretStr(f"{prefix}{path}")
        return self.audit.url


def find_config(given: Path | None) -> Path | None:
    """The configuration file: as given, TIEOUT_CONFIG, ./tieout.toml, or the one beside the project."""
    named = given or (Path(os.environ["TIEOUT_CONFIG"]) if os.environ.get("TIEOUT_CONFIG") else None)
    if named is not None:
        if not named.is_file():
            raise NotConfigured(f"There is no configuration file {named}.")
        return named
    return next((path for path in (Path.cwd() / FILE, PROJECT / FILE) if path.is_file()), None)


def read_config(given: Path | None) -> Config:
    """Read and check the file; with none at all, the defaults. Raises NotConfigured, one sentence per problem."""
    path = find_config(given)
    if path is None:
        return Config()
    try:
        content = tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise NotConfigured(f"The configuration file {path} cannot be read: {error.strerror}.") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise NotConfigured(f"The configuration file {path} is not readable as TOML: {error}.") from error
    try:
        config = Config.model_validate(_with_environment(content))
    except ValidationError as error:
        problems = [_problem(details) for details in error.errors(include_url=False, include_input=False)]
        raise NotConfigured(f"The configuration file {path} cannot be used:\n" + "\n".join(problems)) from error
    config._folder = path.resolve().parent  # noqa: SLF001  (set once, right after validation)
    return config


def _with_environment(value: Any) -> Any:
    """Put the environment's values in place of `env:NAME`."""
    if isinstance(value, dict):
        return {name: _with_environment(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_with_environment(each) for each in value]
    if isinstance(value, str) and value.startswith("env:"):
        name = value.removeprefix("env:").strip()
        if name not in os.environ:
            raise NotConfigured(f"The configuration asks for the environment variable {name}, which is not set.")
        return os.environ[name]
    return value


def _problem(details: Any) -> str:
    where = ".".join(str(part) for part in details["loc"]) or "the file"
    if details["type"] == "extra_forbidden":
        section: Any = Config
        for part in details["loc"][:-1]:
            if isinstance(part, str):
                annotation = section.model_fields[part].annotation
                section = next(
                    (
                        each
                        for each in (annotation, *getattr(annotation, "__args__", ()))
                        if hasattr(each, "model_fields")
                    ),
                    Config,
                )
        return f"  unknown key {where}; allowed here: {', '.join(section.model_fields)}"
    if details["type"] == "missing":
        return f"  {where} is missing"
    return f"  {where}: {str(details['msg']).removeprefix('Value error, ')}"
