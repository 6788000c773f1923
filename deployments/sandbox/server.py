"""Puts a simulated system on a loopback socket, so that a real HTTP client can talk to it.

The simulators are plain functions from `Request` to `Response`; this is the only place that knows about sockets.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from deployments.sandbox.wire import ConnectionCut, Handler, Request, Response

HOST = "127.0.0.1"
HOLD_SECONDS = 60.0
"""How long a connection that is to time out is kept open for a client that does not give up."""

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Peer = tuple[str, int]

log = logging.getLogger(__name__)


class _Application:
    """The ASGI side of one handler: reads the request, waits out the latency, answers or cuts the connection."""

    def __init__(self, handler: Handler, latency: Callable[[], float] | None) -> None:
        self._handler = handler
        self._latency = latency
        self._enter: Callable[[Request], object] | None = getattr(handler, "enter", None)
        self._leave: Callable[[], object] | None = getattr(handler, "leave", None)
        self._threads = ThreadPoolExecutor(max_workers=32, thread_name_prefix="sandbox")
        self._held: set[asyncio.Transport] = set()
        self._closing = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self.connections: dict[Peer, asyncio.Transport] = {}

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        self._loop = asyncio.get_running_loop()
        body = bytearray()
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        query = scope["query_string"].decode("latin-1")
        request = Request.build(scope["method"], scope["path"], query, headers, bytes(body))
        try:
            response = await self._answer(request)
        except ConnectionCut as cut:
            transport = self.connections.get(tuple(scope["client"]))
            if transport is not None:
                await self._drop(transport, receive, cut.timed_out)
            return
        names = {name.lower() for name in response.headers}
        raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in response.headers.items()]
        if "content-length" not in names and response.status not in (204, 304):
            raw.append((b"content-length", str(len(response.body)).encode()))
        await send({"type": "http.response.start", "status": response.status, "headers": raw})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else response.body})

    async def _answer(self, request: Request) -> Response:
        """Ask the handler in a thread, with half of the latency before it and half after it."""
        pause = self._latency() / 2 if self._latency is not None else 0.0
        if self._enter is not None:
            self._enter(request)
        try:
            if pause:
                await asyncio.sleep(pause)
            try:
                return await asyncio.get_running_loop().run_in_executor(self._threads, self._handler, request)
            except ConnectionCut:
                raise
            except Exception:  # a defect of the simulator: say it aloud, and answer as a server would
                log.exception("the simulated system failed on %s %s", request.method, request.path)
                return Response(500, {"content-type": "text/plain"}, b"the simulated system failed; see its log")
            finally:
                if pause:
                    await asyncio.sleep(pause)
        finally:
            if self._leave is not None:
                self._leave()

    async def _drop(self, transport: asyncio.Transport, receive: Receive, hold: bool) -> None:
        """End the connection without an answer; with `hold`, only after the client gave up."""
        if hold and not self._closing:
            self._held.add(transport)
            try:
                await asyncio.wait_for(self._gone(receive), HOLD_SECONDS)
            except TimeoutError:
                log.debug("no client gave up on a held connection in %s seconds", HOLD_SECONDS)
            finally:
                self._held.discard(transport)
        transport.abort()
        # The server writes a 500 of its own for an application that returns before it knows of the disconnect.
        await self._gone(receive)

    @staticmethod
    async def _gone(receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            continue

    def close(self) -> None:
        """Let held connections go, so that the server can stop at once."""

        def let_go() -> None:
            self._closing = True
            for transport in list(self._held):
                transport.abort()

        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(let_go)
        self._threads.shutdown(wait=False, cancel_futures=True)


def _protocol(application: _Application) -> type[H11Protocol]:
    """The HTTP protocol, telling the application which transport belongs to which client."""

    class Protocol(H11Protocol):
        """uvicorn's own protocol; ASGI has no word for 'cut this connection'."""

        peer: Peer | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
            """Note the transport of a new connection."""
            name = transport.get_extra_info("peername")
            if name:
                self.peer = (str(name[0]), int(name[1]))
                application.connections[self.peer] = transport
            super().connection_made(transport)

        def connection_lost(self, exc: Exception | None) -> None:
            """Forget it again."""
            if self.peer is not None:
                application.connections.pop(self.peer, None)
            super().connection_lost(exc)

    return Protocol


@contextmanager
def serve(handler: Handler, port: int = 0, latency: Callable[[], float] | None = None) -> Iterator[str]:
    """Serve `handler` on loopback from a daemon thread, and yield its base URL.

    `latency` gives the seconds that each request takes on top of the handler's own time. When the handler has
    `enter(request)` and `leave()`, they are called around the whole of it, so that what it counts as in flight
    covers the latency. Port 0 takes a free port.
    """
    # Said to be TCP in so many words: asyncio switches Nagle's delay off only then, and it costs 40 ms an answer.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    application = _Application(handler, latency)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        config = uvicorn.Config(
            application,
            http=_protocol(application),
            ws="none",
            lifespan="off",
            loop="asyncio",
            log_config=None,
            log_level="critical",
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=2,
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],), name="sandbox-server", daemon=True)
        thread.start()
        while not server.started:
            if not thread.is_alive():
                raise RuntimeError("the sandbox server did not start")
            time.sleep(0.002)
        try:
            yield f"http://{HOST}:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            application.close()
            thread.join(timeout=10)
    finally:
        listener.close()


def serve_forever(handlers: dict[int, Handler]) -> None:
    """Serve each handler on its port until the process is told to stop (Ctrl+C or SIGTERM)."""
    stop = threading.Event()
    previous: dict[signal.Signals, Any] = {}

    def ask_to_stop(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    with ExitStack() as running:
        for port, handler in handlers.items():
            running.enter_context(serve(handler, port))
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                previous[number] = signal.signal(number, ask_to_stop)
        try:
            # A wait without a limit cannot be interrupted on every platform.
            while not stop.wait(0.5):
                continue
        finally:
            for number, action in previous.items():
                signal.signal(number, action)
