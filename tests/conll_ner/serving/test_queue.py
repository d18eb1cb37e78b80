"""What waits is bounded, also for texts without characters, and leaves with its client."""

import httpx
import pytest
from spacy.language import Language

from conll_ner.serving.batcher import TEXT_COST
from conll_ner.serving.schema import Limits
from tests.serve_helpers import Slow, busy, metric, wait_for


def test_full_queue_returns_503_with_retry_after(slow: Slow, nlp: Language) -> None:
    with busy(nlp, slow, Limits(max_waiting=10)) as service:
        second = service.send("x" * 10)  # more than the limit, but alone in the queue
        wait_for(lambda: service.count_waiting() == 10 + TEXT_COST)
        refused = service.send("x").result()
        slow.go.set()
        assert second.result().status_code == 200
    assert refused.status_code == 503
    assert refused.headers["retry-after"] == "1"
    assert "the queue is full" in refused.json()["detail"]


def test_empty_texts_fill_the_queue(slow: Slow, nlp: Language) -> None:
    """Texts without characters take time and memory too: 60 requests of 100 are too many here."""
    limits = Limits(max_texts=100, max_waiting=200_000)
    with busy(nlp, slow, limits) as service:
        sent = [service.send([""] * 100) for _ in range(60)]
        wait_for(lambda: sum(future.done() for future in sent) >= 30)
        assert {future.result().status_code for future in sent if future.done()} == {503}
        assert 0 < service.count_waiting() <= limits.max_waiting
        slow.go.set()
        assert {future.result().status_code for future in sent} == {200, 503}
        assert service.count_waiting() == 0


def test_a_batch_has_a_maximum_of_texts(slow: Slow, nlp: Language) -> None:
    with busy(nlp, slow) as service:
        sent = [service.send([""] * 300) for _ in range(20)]
        wait_for(lambda: service.count_waiting() == 20 * 300 * TEXT_COST)
        slow.go.set()
        assert {future.result().status_code for future in sent} == {200}
    assert slow.batches == [["slow"], *[[""] * 600] * 10]


def test_a_request_larger_than_a_batch_is_a_batch_of_its_own(slow: Slow, nlp: Language) -> None:
    with busy(nlp, slow) as service:
        large, small = service.send([""] * 1000), service.send("Ada")
        wait_for(lambda: service.count_waiting() == 3 + 1001 * TEXT_COST)
        slow.go.set()
        assert large.result().status_code == small.result().status_code == 200
    assert sorted(map(len, slow.batches)) == [1, 1, 1000]


def test_a_request_that_timed_out_leaves_the_queue(slow: Slow, nlp: Language) -> None:
    with busy(nlp, slow, Limits(timeout=1)) as service:
        assert service.send("late").result().status_code == 504
        assert service.count_waiting() == 0
        slow.go.set()
        assert service.send("next").result().status_code == 200
    assert slow.batches == [["slow"], ["next"]]


def test_a_request_whose_client_has_gone_leaves_the_queue(slow: Slow, nlp: Language) -> None:
    with busy(nlp, slow) as service:
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{service.url}/predict", json={"text": "gone"}, timeout=0.3)
        wait_for(lambda: service.count_waiting() == 0)
        assert metric(service.url, 'ner_requests_total{path="/predict",status="499"}') == 1
        slow.go.set()
        assert service.send("next").result().status_code == 200
    assert slow.batches == [["slow"], ["next"]]
