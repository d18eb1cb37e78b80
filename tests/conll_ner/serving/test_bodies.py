"""Bodies are bounded, each and together, in bytes and in time."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import httpx
import pytest
from spacy.language import Language

from conll_ner.serving.app import create_app
from conll_ner.serving.schema import Limits
from tests.serve_helpers import Slow, busy, metric, serving, wait_for

LIMITS = Limits(max_characters=1000, max_waiting=1000)  # 22,000 bytes each, 34,000 together


@contextmanager
def uploading(url: str, length: int, sent: int) -> Iterator[socket.socket]:
    """A client that announces a body and sends a part of it."""
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port), 20) as connection:
        head = f"POST /predict HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Length: {length}\r\n"
        connection.sendall(f"{head}Content-Type: application/json\r\n\r\n".encode())
        connection.sendall(b" " * sent)
        yield connection


def held(url: str) -> float:
    return metric(url, "ner_body_bytes")


def test_bodies_together_are_bounded(nlp: Language) -> None:
    """White space fills memory without a single text. Announced bytes don't count, sent ones do."""
    with serving(create_app(nlp, LIMITS)) as url:
        with uploading(url, 20_000, 15_000), uploading(url, 20_000, 15_000):
            wait_for(lambda: held(url) == 30_000)
            body = b'{"text": "Ada"}' + b" " * 10_000
            headers = {"Content-Type": "application/json"}
            refused = httpx.post(f"{url}/predict", content=body, headers=headers)
            assert refused.status_code == 503
            assert refused.headers["retry-after"] == "1"
            assert httpx.post(f"{url}/predict", json={"text": "Ada"}).status_code == 200
            assert held(url) == 30_000
        wait_for(lambda: held(url) == 0)  # the clients have gone
        assert httpx.post(f"{url}/predict", content=body, headers=headers).status_code == 200


def test_a_body_counts_until_its_response(slow: Slow, nlp: Language) -> None:
    with busy(nlp, slow) as service:
        before = held(service.url)
        waits = service.send("x" * 100)
        wait_for(lambda: held(service.url) > before + 100)
        slow.go.set()
        assert waits.result().status_code == 200
        wait_for(lambda: held(service.url) == 0)


def test_a_body_that_does_not_arrive_returns_408(nlp: Language) -> None:
    with serving(create_app(nlp, Limits(timeout=0.3))) as url:
        start = time.monotonic()
        with uploading(url, 100, 10) as connection:
            answer = b"".join(iter(lambda: connection.recv(1000), b""))  # until it is closed
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"the body did not arrive within 0.3 seconds" in answer
        assert time.monotonic() - start < 10
        assert held(url) == 0


def test_a_client_that_goes_during_its_upload_is_counted(nlp: Language) -> None:
    with serving(create_app(nlp)) as url:
        with uploading(url, 100, 10):
            wait_for(lambda: held(url) == 10)
        counter = 'ner_requests_total{path="/predict",status="499"}'
        wait_for(lambda: metric(url, counter) == 1)


@pytest.mark.parametrize("declared", [True, False])
def test_a_body_that_is_too_large_returns_413(nlp: Language, declared: bool) -> None:
    with serving(create_app(nlp, LIMITS)) as url:
        body = b" " * 22_001
        response = httpx.post(f"{url}/predict", content=body if declared else iter([body]))
        assert response.status_code == 413
        assert response.json() == {"detail": "the body exceeds 22,000 bytes"}
        assert metric(url, 'ner_requests_total{path="/predict",status="413"}') == 1
