"""A client that never sends a whole head doesn't hold its connection."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from http.client import HTTPResponse
from urllib.parse import urlsplit

import httpx
import pytest
from spacy.language import Language

from conll_ner.serving import heads
from conll_ner.serving.app import create_app
from conll_ner.serving.heads import TimedHeads
from tests.serve_helpers import serving

HEAD = b"GET /health HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture
def url(nlp: Language, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(heads, "HEAD_TIMEOUT", 0.5)
    with serving(create_app(nlp), http=TimedHeads) as url:
        yield url


def connect(url: str) -> socket.socket:
    address = urlsplit(url)
    return socket.create_connection((address.hostname, address.port), 20)


def read_status(connection: socket.socket) -> int:
    """RETURNS (int): The status of a response, which is read to its end."""
    response = HTTPResponse(connection)
    response.begin()
    response.read()
    return response.status


def is_closed(connection: socket.socket) -> bool:
    try:
        return connection.recv(1000) == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("start", [b"", b"G", HEAD])
def test_unfinished_heads_are_closed(start: bytes, url: str) -> None:
    """150 connections, of which some go on sending bytes, one by one."""
    with ExitStack() as stack:
        clients = [stack.enter_context(connect(url)) for _ in range(150)]
        begin = time.monotonic()
        for client in clients:
            client.sendall(start)
        time.sleep(0.3)
        for client in clients[:50]:
            client.sendall(b"a" if start else b"G")
        assert httpx.get(f"{url}/health").status_code == 200  # others are served
        assert all(map(is_closed, clients))
        assert time.monotonic() - begin < 10


def test_an_unfinished_head_after_a_response_is_closed(url: str) -> None:
    with connect(url) as client:
        client.sendall(HEAD + b"\r\n")
        assert read_status(client) == 200
        client.sendall(HEAD)
        assert is_closed(client)


def test_a_slow_head_in_time_and_a_slow_body_are_answered(url: str) -> None:
    with connect(url) as client:
        client.sendall(HEAD)
        time.sleep(0.2)
        client.sendall(b"\r\n")
        assert read_status(client) == 200
        body = b'{"text": "Ada"}'
        head = HEAD.replace(b"GET /health", b"POST /predict")
        head += b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        client.sendall(head + body[:3])
        time.sleep(1)  # longer than a head may take
        client.sendall(body[3:])
        assert read_status(client) == 200
