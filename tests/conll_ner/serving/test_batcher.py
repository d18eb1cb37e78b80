"""Requests that wait are answered in one batch, on the pipeline's device."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from spacy.language import Language
from thinc.api import get_current_ops, set_current_ops

from conll_ner.benchmarking import service_load
from conll_ner.prediction.annotating import annotate_texts
from conll_ner.serving import batcher
from conll_ner.serving.app import create_app
from conll_ner.serving.batcher import STOPPED, TEXT_COST, Batcher
from conll_ner.serving.schema import Limits
from conll_ner.serving.serve import run_server
from tests.conll_ner.common.test_device import OtherOps
from tests.serve_helpers import TEXT, Slow, busy, metric, serving, wait_for


def test_waiting_requests_are_batched(slow: Slow, nlp: Language) -> None:
    texts = [f"text {i}" for i in range(6)]
    with busy(nlp, slow) as service:
        others = [service.send(text) for text in texts]
        wait_for(lambda: service.count_waiting() == 6 * (6 + TEXT_COST))
        slow.go.set()
        assert [other.result().status_code for other in others] == [200] * 6
    assert slow.batches[0] == ["slow"]
    assert sorted(slow.batches[1]) == texts
    assert len(slow.batches) == 2


def test_batches_run_on_the_device_of_the_thread_that_made_the_app(
    nlp: Language, monkeypatch: pytest.MonkeyPatch
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


def test_an_error_does_not_affect_other_requests_in_the_batch(slow: Slow, nlp: Language) -> None:
    with busy(nlp, slow) as service:
        others = [service.send(text) for text in ("fine", "broken", "good")]
        wait_for(lambda: service.count_waiting() == 14 + 3 * TEXT_COST)
        slow.go.set()
        assert [other.result().status_code for other in others] == [200, 500, 200]
        assert others[1].result().json() == {"detail": "internal error; see the service's log"}
        assert metric(service.url, 'ner_requests_total{path="/predict",status="500"}') == 1


def test_a_service_whose_batches_stopped_is_not_ready(
    nlp: Language, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(create_app(nlp)) as url:
        assert httpx.get(f"{url}/ready").json() == {"status": "ready"}

    async def fail(_: Batcher) -> None:
        raise RuntimeError("the queue is broken")

    monkeypatch.setattr(Batcher, "next_batch", fail)
    with serving(create_app(nlp)) as url:
        response = httpx.get(f"{url}/ready")
        assert response.status_code == httpx.head(f"{url}/ready").status_code == 503
        assert response.json() == {"detail": "texts aren't annotated any more; restart the service"}
        assert httpx.get(f"{url}/health").status_code == 200  # the process itself is up
    assert "the queue is broken" in capsys.readouterr().err


def test_a_service_whose_first_text_fails_never_listens(
    nlp: Language, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_: Any) -> None:
        raise ValueError("the weights are broken")

    monkeypatch.setattr(nlp.get_pipe("token_ner"), "predict", fail)
    port = service_load.free_port()
    with pytest.raises(SystemExit) as exit_:
        run_server(create_app(nlp), port=port)
    assert exit_.value.code == 3  # of uvicorn, for a failed start
    error = capsys.readouterr().err
    assert "the weights are broken" in error
    assert "Uvicorn running" not in error


def test_a_panic_does_not_stop_the_service(slow: Slow, nlp: Language) -> None:
    """Rust code, such as the tokenizer, panics with an exception that isn't an Exception."""
    with busy(nlp, slow) as service:
        others = [service.send(text) for text in ("fine", "panic")]
        wait_for(lambda: service.count_waiting() == 9 + 2 * TEXT_COST)
        slow.go.set()
        assert [other.result().status_code for other in others] == [200, 500]
        assert service.send("next").result().status_code == 200
        assert httpx.get(f"{service.url}/ready").status_code == 200


def test_a_service_whose_thread_ended_says_so(nlp: Language) -> None:
    app = create_app(nlp)
    with serving(app) as url:
        app.state.batcher.jobs.put("no job")  # an error outside of any request ends the thread
        wait_for(lambda: not is_ready(url))
        response = httpx.post(f"{url}/predict", json={"text": TEXT}, timeout=5)
        assert response.status_code == 503
        assert response.json() == {"detail": STOPPED}


def test_a_service_whose_thread_ended_ends_with_an_error(
    nlp: Language, capfd: pytest.CaptureFixture[str]
) -> None:
    port = service_load.free_port()
    url = f"http://127.0.0.1:{port}"
    with ThreadPoolExecutor(1, thread_name_prefix="server") as pool:
        app = create_app(nlp)
        server = pool.submit(run_server, app, port=port)
        wait_for(lambda: is_ready(url))
        assert httpx.post(f"{url}/predict", json={"text": TEXT}).status_code == 200
        app.state.batcher.jobs.put("no job")
        with pytest.raises(SystemExit) as exit_:
            server.result(timeout=20)
        assert exit_.value.code == 1
    assert "Texts aren't annotated any more" in capfd.readouterr().err


def is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/ready").status_code == 200
    except httpx.TransportError:
        return False


def test_slow_request_returns_504(slow: Slow, nlp: Language) -> None:
    with serving(create_app(nlp, Limits(timeout=0.2))) as url:
        response = httpx.post(f"{url}/predict", json={"text": "slow"}, timeout=30)
        assert response.status_code == 504
        assert response.json() == {"detail": "timed out after 0.2 seconds"}
        slow.go.set()
        wait_for(lambda: httpx.post(f"{url}/predict", json={"text": "x"}).status_code == 200)
