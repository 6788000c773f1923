"""The socket around a simulated system: a real client, real connections, real cuts."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import httpx
import pytest

from deployments.sandbox.server import serve
from deployments.sandbox.wire import ConnectionCut, Request, Response


class Echo:
    """Answers with what arrived; some paths end badly."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.in_flight = 0
        self.most_in_flight = 0
        self._lock = threading.Lock()

    def enter(self, request: Request) -> None:
        with self._lock:
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)

    def leave(self) -> None:
        with self._lock:
            self.in_flight -= 1

    def __call__(self, request: Request) -> Response:
        self.requests.append(request)
        if request.path == "/cut":
            raise ConnectionCut
        if request.path == "/hold":
            raise ConnectionCut(timed_out=True)
        if request.path == "/defect":
            raise ZeroDivisionError
        if request.path == "/nothing":
            return Response(204)
        return Response(200, {"X-Seen": request.method}, request.path.encode() + b"|" + request.body)


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest.fixture
def url(echo: Echo) -> Iterator[str]:
    with serve(echo) as base:
        yield base


def test_a_request_arrives_whole(echo: Echo, url: str) -> None:
    """Method, decoded path, query in its order, lower-case headers, host and body reach the handler."""
    answer = httpx.post(f"{url}/a%20b?x=1%2C2&y=&x=3", content=b"bytes \x00", headers={"X-Thing": "x"})
    request = echo.requests[0]
    assert (answer.status_code, answer.content, answer.headers["x-seen"]) == (200, b"/a b|bytes \x00", "POST")
    assert (request.method, request.path) == ("POST", "/a b")
    assert request.query == (("x", "1,2"), ("y", ""), ("x", "3"))
    assert request.host == urlsplit(url).netloc
    assert request.headers["x-thing"] == "x"


def test_an_answer_carries_only_the_handlers_headers_and_its_length(url: str) -> None:
    """No header of the server's own is mixed in; an empty answer has none at all."""
    assert set(httpx.get(f"{url}/x").headers) == {"x-seen", "content-length"}
    assert not httpx.get(f"{url}/nothing").headers


def test_one_connection_serves_many_requests(url: str) -> None:
    """The connection is kept alive."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=5)
    connection.connect()
    assert connection.sock is not None
    port = connection.sock.getsockname()[1]
    for number in range(5):
        connection.request("GET", f"/{number}")
        assert connection.getresponse().read() == f"/{number}|".encode()
    assert connection.sock.getsockname()[1] == port
    connection.close()


def test_a_cut_connection_gives_no_answer(url: str) -> None:
    """The client sees a lost connection, not a status."""
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(f"{url}/cut")
    assert httpx.get(f"{url}/next").status_code == 200


def test_a_timed_out_connection_is_held_until_the_client_gives_up(url: str) -> None:
    """The client's own time limit ends it."""
    with pytest.raises(httpx.ReadTimeout):
        httpx.get(f"{url}/hold", timeout=0.2)


def test_the_server_stops_at_once_with_a_held_connection(echo: Echo) -> None:
    """Nobody waits for a connection that was to time out."""
    failures: list[Exception] = []

    def hold(base: str) -> None:
        try:
            httpx.get(f"{base}/hold", timeout=30)
        except httpx.HTTPError as error:
            failures.append(error)

    with serve(echo) as base:
        client = threading.Thread(target=hold, args=(base,))
        client.start()
        while not echo.requests:
            time.sleep(0.01)
    client.join(timeout=10)
    assert not client.is_alive() and len(failures) == 1


def test_a_defect_of_the_simulator_is_a_500_and_is_logged(url: str, caplog: pytest.LogCaptureFixture) -> None:
    """The defect is neither swallowed nor does it end the server."""
    assert httpx.get(f"{url}/defect").status_code == 500
    assert "ZeroDivisionError" in caplog.text
    assert httpx.get(f"{url}/next").status_code == 200


def test_latency_is_waited_out_side_by_side_and_counts_as_in_flight(echo: Echo) -> None:
    """Twenty slow requests take about as long as one, and the handler is told that all are under way."""
    with serve(echo, latency=lambda: 0.2) as base, httpx.Client(base_url=base) as client:
        client.get("/warm")
        with ThreadPoolExecutor(20) as threads:
            assert all(answer.status_code == 200 for answer in threads.map(client.get, ["/x"] * 20))
    assert echo.most_in_flight > 10
    assert echo.in_flight == 0


def test_the_port_is_free_again_afterwards(echo: Echo) -> None:
    """A given port can be taken twice in a row, and is taken once only."""
    with serve(echo) as base:
        port = urlsplit(base).port
        assert port is not None
        with pytest.raises(OSError), serve(echo, port):
            pass
    with serve(echo, port) as again:
        assert httpx.get(again).status_code == 200


def test_serve_forever_serves_all_ports_until_it_is_told_to_stop() -> None:
    """SIGTERM ends it cleanly."""
    ports = []
    for _ in range(2):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            ports.append(free.getsockname()[1])
    program = (
        "from deployments.sandbox.server import serve_forever\n"
        "from deployments.sandbox.wire import Response\n"
        f"serve_forever({{port: (lambda r, port=port: Response(200, {{}}, str(port).encode())) for port in {ports}}})"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, env=os.environ)
    try:
        for port in ports:
            assert _when_up(f"http://127.0.0.1:{port}/") == str(port)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0
        assert process.stderr is not None and process.stderr.read() == b""
    finally:
        process.kill()
        process.communicate()


def _when_up(address: str) -> str:
    for _ in range(200):
        try:
            return httpx.get(address).text
        except httpx.ConnectError:
            time.sleep(0.05)
    raise AssertionError(f"nothing answers at {address}")
