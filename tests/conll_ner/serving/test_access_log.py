"""One line of JSON per request, without texts."""

import json
import logging
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from spacy.language import Language

from conll_ner.serving.app import create_app
from tests.serve_helpers import serving


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "ner.access")
    return caplog


def entries(log: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    messages = [r.getMessage() for r in log.records if r.name == "ner.access"]
    assert not any("\n" in message for message in messages)
    return [json.loads(message) for message in messages]


def test_a_line_per_request(nlp: Language, log: pytest.LogCaptureFixture) -> None:
    with serving(create_app(nlp)) as url:
        headers = {"X-Request-ID": "abc-1"}
        response = httpx.post(f"{url}/predict", json={"text": "Varnholm"}, headers=headers)
        httpx.get(f"{url}/nowhere?text=Varnholm")
    predict, nowhere = entries(log)
    assert list(predict) == [
        *("time", "method", "path", "status", "seconds", "bytes", "request_id")
    ]
    assert (predict["method"], predict["path"], predict["status"]) == ("POST", "/predict", 200)
    assert predict["bytes"] == len(response.content)
    assert predict["request_id"] == "abc-1"
    assert 0 < predict["seconds"] < 20
    age = datetime.now(UTC) - datetime.fromisoformat(predict["time"])
    assert 0 <= age.total_seconds() < 20
    assert (nowhere["path"], nowhere["status"]) == ("/nowhere", 404)
    assert "request_id" not in nowhere
    assert "Varnholm" not in log.text


def test_errors_are_logged_too(
    nlp: Language, log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("conll_ner.serving.batcher.annotate_texts", lambda *_: 1 / 0)
    with serving(create_app(nlp)) as url:
        broken = httpx.post(f"{url}/predict", json={"text": "Varnholm"})
        httpx.get(f"{url}/health", headers={"Host": "other.example"})
        httpx.post(f"{url}/predict", content=b"{")
    assert [entry["status"] for entry in entries(log)] == [500, 400, 422]
    assert entries(log)[0]["bytes"] == len(broken.content)


def test_what_a_client_chooses_stays_in_its_field(
    nlp: Language, log: pytest.LogCaptureFixture
) -> None:
    forged = '/x%0A{"status": 200}'
    with serving(create_app(nlp)) as url:
        httpx.get(url + forged)
        httpx.get(f"{url}/{'x' * 10_000}", headers={"X-Request-ID": "y" * 10_000})
    first, second = entries(log)
    assert (first["path"], first["status"]) == ('/x\n{"status": 200}', 404)
    assert second["path"] == "/" + "x" * 199
    assert second["request_id"] == "y" * 200
