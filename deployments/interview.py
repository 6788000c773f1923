"""`tieout setup` without a configuration file: asks for what it needs and writes tieout.toml."""

from __future__ import annotations

from pathlib import Path

import typer

from blocks.failures import NotConfigured
from deployments.config import FILE


def interview() -> Path:
    """Ask, write tieout.toml here, and give its path. Secrets are written with rights for this user alone."""
    if not typer.get_text_stream("stdin").isatty():
        raise NotConfigured(f"There is no {FILE} here, and nobody to ask; write one (docs/set-up.md) or give --config.")
    print(f"No {FILE} was found; these questions write one here. Every answer can be changed later.\n")
    ask = typer.prompt
    values = {
        "url": ask("ConnectWise API address", default="https://api-na.myconnectwise.net/v4_6_release/apis/3.0"),
        "company": ask("ConnectWise company (as typed at the login)"),
        "public_key": ask("Public key of the API member"),
        "private_key": ask("Private key of the API member", hide_input=True),
        "cw_client": ask("clientId of the integration"),
        "xero_client": ask("Client id of the Xero app"),
        "xero_secret": ask("Client secret of the Xero app", hide_input=True),
        "grant": "client_credentials"
        if typer.confirm("Is it a custom connection?", default=False)
        else "authorization_code",
    }
    custom = values["grant"] == "client_credentials"
    values["refresh"] = "" if custom else ask("Refresh token (empty: get one later)", default="", hide_input=True)
    organisations = []
    while True:
        name = ask("Name of a Xero organisation, as the tables will call it (empty: done)", default="")
        if not name:
            break
        tenant_id = "" if custom else ask("Its tenant id (empty: not known yet)", default="")
        if custom or tenant_id:
            organisations.append((name, tenant_id))
        if custom:
            break
    path = Path.cwd() / FILE
    path.touch(mode=0o600)
    path.write_text(_toml(values, organisations), encoding="utf-8")
    print(f"\nWrote {path}.")
    if not custom and not (values["refresh"] and organisations):
        print("`tieout connect xero` connects the organisations, and prints their lines for this file.")
    return path


def _toml(values: dict[str, str], organisations: list[tuple[str, str]]) -> str:
    def text(value: str) -> str:
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'

    lines = [
        "[connectwise]",
        f"url = {text(values['url'])}",
        f"company = {text(values['company'])}",
        f"public_key = {text(values['public_key'])}",
        f"private_key = {text(values['private_key'])}",
        f"client_id = {text(values['cw_client'])}",
        "",
        "[xero]",
        f"client_id = {text(values['xero_client'])}",
        f"client_secret = {text(values['xero_secret'])}",
        f"grant = {text(values['grant'])}",
    ]
    if values["refresh"]:
        lines.append(f"refresh_token = {text(values['refresh'])}")
    for name, tenant_id in organisations:
        lines += ["", "[[organisation]]", f"name = {text(name)}", f"tenant_id = {text(tenant_id)}"]
    return "\n".join(lines) + "\n"
