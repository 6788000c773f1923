"""A simulated Xero: identity, the Accounting API and plain pages behind one handler.

It knows nothing of its clients. Endpoints live in files of their own; `ENDPOINTS` says which one answers what.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from datetime import date
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from deployments.sandbox import (
    xero_contacts,
    xero_document_calls,
    xero_linked_transactions,
    xero_payment_calls,
    xero_purchase_orders,
    xero_settings,
)
from deployments.sandbox.wire import Clock, Request, Response, utc_now
from deployments.sandbox.xero_call import Call, query_refused
from deployments.sandbox.xero_idempotency import KeyStore
from deployments.sandbox.xero_identity import Identity, scopes_for
from deployments.sandbox.xero_json import BadBody, api_exception, json_answer, not_found, problem, xml_of
from deployments.sandbox.xero_limits import Gate, Limits, Statistics, Ticket
from deployments.sandbox.xero_organisation import Organisation
from deployments.sandbox.xero_pages import page
from deployments.sandbox.xero_query import QueryError
from deployments.sandbox.xero_switches import XeroSwitches

API = "/api.xro/2.0"
LARGEST_BODY = 10 * 1024 * 1024

ENDPOINTS: dict[str, Callable[[Call], Response]] = {
    "organisation": xero_settings.organisation,
    "organisations": xero_settings.organisation,
    "accounts": xero_settings.accounts,
    "taxrates": xero_settings.tax_rates,
    "trackingcategories": xero_settings.tracking_categories,
    "currencies": xero_settings.currencies,
    "items": xero_settings.items,
    "contacts": xero_contacts.answer,
    "invoices": xero_document_calls.invoices,
    "creditnotes": xero_document_calls.credit_notes,
    "prepayments": xero_document_calls.prepayments,
    "overpayments": xero_document_calls.overpayments,
    "payments": xero_payment_calls.payments,
    "batchpayments": xero_payment_calls.batch_payments,
    "purchaseorders": xero_purchase_orders.answer,
    "linkedtransactions": xero_linked_transactions.answer,
}

_held: ContextVar[Request | None] = ContextVar("_held", default=None)


class SimulatedXero:
    """Xero as one app sees it. Call it with a request; every method may be used from any thread."""

    def __init__(
        self,
        clock: Clock = utc_now,
        switches: XeroSwitches = XeroSwitches(),  # noqa: B008  (frozen)
        client_id: str = "sandbox-client",
        client_secret: str = "sandbox-secret",
        refresh_token: str = "sandbox-refresh-0",
        custom_connection: bool = False,
    ) -> None:
        self.clock = clock
        self._switches = switches
        self.custom_connection = custom_connection
        self.organisations: dict[str, Organisation] = {}
        self.identity = Identity(clock, switches, client_id, client_secret, refresh_token, custom_connection)
        self._lock = threading.RLock()
        self._gate = Gate()
        self._keys = KeyStore(switches)
        self._tickets: dict[int, tuple[Request, Ticket]] = {}

    # --- what a test or a demo sets up and reads --------------------------------------------------------------

    @property
    def switches(self) -> XeroSwitches:
        """The switches in force; assign others at any time (`broad_scopes` counts at the start only)."""
        return self._switches

    @switches.setter
    def switches(self, switches: XeroSwitches) -> None:
        with self._lock:
            self._switches = self._keys.switches = switches
            for organisation in self.organisations.values():
                organisation.switches = switches

    def add_organisation(
        self,
        name: str,
        *,
        tenant_id: str | None = None,
        country: str = "AU",
        base_currency: str = "AUD",
        currencies: Iterable[str] = ("AUD",),
        short_code: str | None = None,
        lock_date: date | None = None,
        year_end_lock: date | None = None,
    ) -> Organisation:
        """Add an organisation that the app is connected to, with its chart of accounts and tax rates."""
        with self._lock:
            tenant = (tenant_id or str(uuid5(NAMESPACE_URL, f"tenant/{len(self.organisations)}/{name}"))).lower()
            organisation = Organisation(
                name,
                tenant,
                self.clock,
                self.switches,
                self._lock,
                country=country,
                base_currency=base_currency,
                currencies=currencies if base_currency in currencies else (base_currency,),
                short_code=short_code,
                lock_date=lock_date,
                year_end_lock=year_end_lock,
            )
            self.organisations[tenant] = organisation
            return organisation

    def issue_code(
        self, redirect_uri: str, scopes: Iterable[str] | None = None, code_challenge: str | None = None
    ) -> str:
        """The code that a consent would hand to the app."""
        with self._lock:
            return self.identity.issue_code(redirect_uri, scopes, code_challenge)

    def forget_idempotency_keys(self) -> None:
        """Lose every idempotency key at once."""
        with self._lock:
            self._keys.forget()

    @property
    def limits(self) -> Limits:
        """The rate limits in force; assign others at any time."""
        return self._gate.limits

    @limits.setter
    def limits(self, limits: Limits) -> None:
        with self._lock:
            self._gate.limits = limits

    @property
    def statistics(self) -> Statistics:
        """How hard the client pushed: peaks of the worst tenant, sums over all."""
        with self._lock:
            return self._gate.total()

    def statistics_of(self, tenant_id: str) -> Statistics:
        """How hard the client pushed one tenant."""
        with self._lock:
            return self._gate.meter(tenant_id.lower()).statistics

    @property
    def idempotent_replays(self) -> int:
        """How many calls were answered from the key store."""
        return self._keys.replayed

    # --- the handler ------------------------------------------------------------------------------------------

    def __call__(self, request: Request) -> Response:
        """Answer a request: enter, work, leave. Between `enter` and `leave` from outside, only the work."""
        with self._lock:
            entered = self._tickets.get(id(request))
        if entered is not None and entered[0] is request:
            return self._work(request, entered[1])
        ticket = self._enter(request)
        try:
            return self._work(request, ticket)
        finally:
            with self._lock:
                self._gate.leave(ticket)

    def enter(self, request: Request) -> None:
        """Take a request in as in flight, until `leave`; for a server that lets time pass around the call."""
        ticket = self._enter(request)
        with self._lock:
            self._tickets[id(request)] = (request, ticket)
        _held.set(request)

    def leave(self, request: Request | None = None) -> None:
        """End what `enter` began: of this request, or of the one that this task or thread entered last."""
        one = request if request is not None else _held.get()
        if one is None:
            return
        with self._lock:
            entered = self._tickets.pop(id(one), None)
            if entered is not None:
                self._gate.leave(entered[1])
        _held.set(None)

    def _enter(self, request: Request) -> Ticket:
        with self._lock:
            organisation = self._organisation(request) if _is_api(request.path) else None
            if organisation is None or self._unauthorised(request, None) is not None:
                return Ticket(None)  # limits are counted for an app and a tenant; here one of them is not known
            return self._gate.enter(organisation.tenant_id, self.clock())

    def _work(self, request: Request, ticket: Ticket) -> Response:
        if ticket.refusal is not None:
            return ticket.refusal
        with self._lock:
            answer = self._route(request)
        if not ticket.headers:
            return answer
        return Response(answer.status, {**answer.headers, **ticket.headers}, answer.body)

    def _route(self, request: Request) -> Response:
        path = request.path.rstrip("/") or "/"
        lowered = path.lower()
        if lowered == "/connect/token":
            return self.identity.token(request) if request.method == "POST" else not_found()
        if lowered == "/connect/revocation" and request.method == "POST":
            if self.identity.revoke(request):
                for organisation in self.organisations.values():
                    organisation.connected = False
            return Response(200)
        if lowered == "/identity/connect/authorize" and request.method == "GET":
            return self.identity.authorize(request)
        if lowered == "/connections" or lowered.startswith("/connections/"):
            return self._connections(request, path)
        if _is_api(path):
            return self._accounting(request, path)
        return page(request, self.organisations) or not_found()

    # --- connections ------------------------------------------------------------------------------------------

    def _connections(self, request: Request, path: str) -> Response:
        refusal = self._unauthorised(request, None)
        if refusal is not None:
            return refusal
        parts = path.strip("/").split("/")
        connected = [one for one in self.organisations.values() if one.connected]
        if len(parts) == 1 and request.method == "GET":
            wanted = request.param("authEventId")
            shown = [self._connection(one) for one in connected]
            return json_answer(200, [one for one in shown if wanted in (None, one["authEventId"])])
        if len(parts) == 2 and request.method == "DELETE":
            for one in connected:
                if self._connection(one)["id"] == parts[1].lower():
                    one.connected = False
                    return Response(204)
        return not_found()

    def _connection(self, organisation: Organisation) -> dict[str, Any]:
        moment = f"{organisation.connected_at:%Y-%m-%dT%H:%M:%S.%f}0"
        return {
            "id": str(uuid5(NAMESPACE_URL, f"connection/{organisation.tenant_id}")),
            "authEventId": self.identity.auth_event,
            "tenantId": organisation.tenant_id,
            "tenantType": "ORGANISATION",
            "tenantName": organisation.name,
            "createdDateUtc": moment,
            "updatedDateUtc": moment,
        }

    # --- the Accounting API -----------------------------------------------------------------------------------

    def _organisation(self, request: Request) -> Organisation | None:
        tenant = request.headers.get("xero-tenant-id", "").strip().lower()
        if not tenant and self.custom_connection:
            return next(iter(self.organisations.values()), None)
        found = self.organisations.get(tenant)
        return found if found is not None and found.connected else None

    def _unauthorised(self, request: Request, scopes: frozenset[str] | None) -> Response | None:
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        grant = self.identity.grant_of(token.strip()) if kind.lower() == "bearer" else None
        if grant is None:
            return problem(401, "Unauthorized", "AuthenticationUnsuccessful")
        if grant.expires <= self.clock():
            detail = f"TokenExpired: token expired at {grant.expires:%m/%d/%Y %H:%M:%S}"
            return problem(401, "Unauthorized", detail)
        if scopes is not None and self.switches.enforce_scopes and not scopes & grant.scopes:
            wanted = {"WWW-Authenticate": 'Bearer error="insufficient_scope"'}
            return problem(401, "Unauthorized", "AuthorizationUnsuccessful", wanted)
        return None

    def _accounting(self, request: Request, path: str) -> Response:
        resource, *parts = [part for part in path[len(API) :].split("/") if part] or [""]
        resource = resource.lower()
        writing = request.method not in ("GET", "HEAD")
        refusal = self._unauthorised(request, scopes_for(resource, writing) if resource in ENDPOINTS else None)
        if refusal is not None:
            return refusal
        organisation = self._organisation(request)
        if organisation is None:
            return problem(403, "Forbidden", "AuthenticationUnsuccessful")
        endpoint = ENDPOINTS.get(resource)
        if endpoint is None:
            return not_found()
        if len(request.body) > LARGEST_BODY:
            return problem(413, "Payload Too Large", "The request is larger than 10 MB.")
        now = self.clock()
        known = self._keys.recall(request, now)
        if known is not None:
            return known
        answer = self._answered(endpoint, Call(request, tuple(parts), organisation, self.identity.client_id))
        if answer.body and "json" not in request.headers.get("accept", "").lower():
            root = "Response" if answer.status == 200 else "ApiException"
            answer = Response(
                answer.status, {**answer.headers, "Content-Type": "text/xml; charset=utf-8"}, xml_of(answer.body, root)
            )
        self._keys.keep(request, answer, now)
        return answer

    @staticmethod
    def _answered(endpoint: Callable[[Call], Response], call: Call) -> Response:
        try:
            return endpoint(call)
        except QueryError as error:
            return query_refused(str(error))
        except BadBody as error:
            return api_exception(14, "PostDataInvalidException", str(error))


def _is_api(path: str) -> bool:
    return path.lower() == API or path.lower().startswith(f"{API}/")


__all__ = ["Limits", "Organisation", "SimulatedXero", "Statistics", "XeroSwitches"]
