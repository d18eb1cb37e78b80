"""A real server in a thread, its metrics, and a pipeline that waits, for the service's tests."""

import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NamedTuple

import httpx
import pytest
import uvicorn
from spacy.language import Language
from starlette.types import ASGIApp

from conll_ner.benchmarking import service_load
from conll_ner.huggingface.importing import import_checkpoint
from conll_ner.prediction.annotating import annotate_texts
from conll_ner.serving import batcher
from conll_ner.serving.app import create_app
from conll_ner.serving.schema import DEFAULT_LIMITS, Limits
from tests.hf_helpers import make_checkpoint

TEXT = "My name is Sylvain and I work at Hugging Face in Brooklyn."


@contextmanager
def serving(app: ASGIApp, **options: Any) -> Iterator[str]:
    """A real server in a thread. YIELDS (str): Its URL."""
    port = service_load.free_port()
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning", **options))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


def wait_for(condition: Any, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def metric(url: str, name: str) -> float:
    """RETURNS (float): The value of a metric with its labels; 0 if there is none yet."""
    text = httpx.get(f"{url}/metrics").text
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


class Panic(BaseException):
    """As pyo3's PanicException, which can't be imported."""


class Slow:
    """Replaces annotate_texts: waits for `go` on the text "slow", fails on "broken", and on "panic"
    as Rust code does."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.batches: list[list[str]] = []

    def __call__(self, nlp: Any, texts: list[str], labels: Any) -> Any:
        self.batches.append(list(texts))
        if "broken" in texts:
            raise ValueError("broken")
        if "panic" in texts:
            raise Panic("broken")
        if "slow" in texts:
            assert self.go.wait(20)
        return annotate_texts(nlp, texts, labels)


class Busy(NamedTuple):
    """A service at work, and threads for its clients."""

    url: str
    pool: ThreadPoolExecutor

    def send(self, text: str | list[str]) -> "Future[httpx.Response]":
        return self.pool.submit(httpx.post, f"{self.url}/predict", json={"text": text}, timeout=30)

    def count_waiting(self) -> float:
        return metric(self.url, "ner_waiting_characters")


@contextmanager
def busy(nlp: Language, slow: Slow, limits: Limits = DEFAULT_LIMITS) -> Iterator[Busy]:
    """A service whose pipeline works on one text until `slow.go`."""
    with serving(create_app(nlp, limits)) as url, ThreadPoolExecutor(64) as pool:
        service = Busy(url, pool)
        service.send("slow")
        wait_for(lambda: slow.batches)
        try:
            yield service
        finally:
            slow.go.set()


@pytest.fixture(scope="module")
def nlp(tmp_path_factory: pytest.TempPathFactory) -> Language:
    folder = tmp_path_factory.mktemp("pipeline")
    return import_checkpoint(str(make_checkpoint(folder / "checkpoint")))


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Slow:
    slow = Slow()
    monkeypatch.setattr(batcher, "annotate_texts", slow)
    return slow
