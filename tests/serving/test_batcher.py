"""Requests that wait are answered in one batch, on the pipeline's device."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from spacy.language import Language
from thinc.api import get_current_ops, set_current_ops

from serving import batcher
from serving.app import create_app
from serving.schema import Limits
from tests.common.test_device import OtherOps
from tests.test_serve import TEXT, nlp, serving, wait_for  # noqa: F401  the fixture
from texts.annotating import annotate_texts


class Slow:
    """Replaces annotate_texts: waits for `go` on the text "slow", fails on "broken"."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.batches: list[list[str]] = []

    def __call__(self, nlp: Any, texts: list[str], labels: Any) -> Any:  # noqa: F811
        self.batches.append(list(texts))
        if "broken" in texts:
            raise ValueError("broken")
        if "slow" in texts:
            assert self.go.wait(20)
        return annotate_texts(nlp, texts, labels)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Slow:
    slow = Slow()
    monkeypatch.setattr(batcher, "annotate_texts", slow)
    return slow


def test_waiting_requests_are_batched(slow: Slow, nlp: Language) -> None:  # noqa: F811
    with serving(create_app(nlp)) as url, ThreadPoolExecutor(8) as pool:
        first = pool.submit(httpx.post, f"{url}/predict", json={"text": "slow"}, timeout=30)
        wait_for(lambda: slow.batches)
        texts = [f"text {i}" for i in range(6)]
        others = [
            pool.submit(httpx.post, f"{url}/predict", json={"text": text}, timeout=30)
            for text in texts
        ]
        wait_for(lambda: "ner_waiting_characters 36.0" in httpx.get(f"{url}/metrics").text)
        slow.go.set()
        assert first.result().status_code == 200
        assert [other.result().status_code for other in others] == [200] * 6
    assert slow.batches[0] == ["slow"]
    assert sorted(slow.batches[1]) == texts
    assert len(slow.batches) == 2


def test_batches_run_on_the_device_of_the_thread_that_made_the_app(
    nlp: Language,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """thinc's backend belongs to a thread: without this, a GPU's pipeline would get numpy's."""
    names: list[str] = []

    def annotate(nlp: Any, texts: list[str], labels: tuple[str, ...]) -> Any:
        names.append(get_current_ops().name)
        return annotate_texts(nlp, texts, labels)

    monkeypatch.setattr(batcher, "annotate_texts", annotate)
    before = get_current_ops()
    set_current_ops(OtherOps())
    try:
        app = create_app(nlp)
    finally:
        set_current_ops(before)
    with serving(app) as url:
        assert httpx.post(f"{url}/predict", json={"text": TEXT}).status_code == 200
    assert names == ["other"]


def test_full_queue_returns_503_with_retry_after(slow: Slow, nlp: Language) -> None:  # noqa: F811
    limits = Limits(max_waiting=10)
    with serving(create_app(nlp, limits)) as url, ThreadPoolExecutor(8) as pool:
        first = pool.submit(httpx.post, f"{url}/predict", json={"text": "slow"}, timeout=30)
        wait_for(lambda: slow.batches)
        second = pool.submit(httpx.post, f"{url}/predict", json={"text": "x" * 10}, timeout=30)
        wait_for(lambda: "ner_waiting_characters 10.0" in httpx.get(f"{url}/metrics").text)
        refused = httpx.post(f"{url}/predict", json={"text": "x"}, timeout=30)
        slow.go.set()
        assert (first.result().status_code, second.result().status_code) == (200, 200)
    assert refused.status_code == 503
    assert refused.headers["retry-after"] == "1"
    assert "the queue is full" in refused.json()["detail"]


def test_slow_request_returns_504(slow: Slow, nlp: Language) -> None:  # noqa: F811
    with serving(create_app(nlp, Limits(timeout=0.2))) as url:
        response = httpx.post(f"{url}/predict", json={"text": "slow"}, timeout=30)
        assert response.status_code == 504
        assert response.json() == {"detail": "timed out after 0.2 seconds"}
        slow.go.set()
        wait_for(lambda: httpx.post(f"{url}/predict", json={"text": "x"}).status_code == 200)


def test_an_error_does_not_affect_other_requests_in_the_batch(slow: Slow, nlp: Language) -> None:  # noqa: F811
    with serving(create_app(nlp)) as url, ThreadPoolExecutor(8) as pool:
        first = pool.submit(httpx.post, f"{url}/predict", json={"text": "slow"}, timeout=30)
        wait_for(lambda: slow.batches)
        others = [
            pool.submit(httpx.post, f"{url}/predict", json={"text": text}, timeout=30)
            for text in ("fine", "broken", "good")
        ]
        wait_for(lambda: "ner_waiting_characters 14.0" in httpx.get(f"{url}/metrics").text)
        slow.go.set()
        assert [other.result().status_code for other in others] == [200, 500, 200]
        assert first.result().status_code == 200
        assert 'path="/predict",status="500"} 1.0' in httpx.get(f"{url}/metrics").text
