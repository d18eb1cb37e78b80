"""The service: responses, limits, headers."""

import asyncio
import json
import re
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from spacy.language import Language

from conll_ner.common.machine import peak_memory_mb
from conll_ner.data.mentions import list_mentions
from conll_ner.serving.app import create_app, select
from conll_ner.serving.batcher import Batcher, Found
from conll_ner.serving.metrics import Metrics
from conll_ner.serving.schema import Limits
from tests.conll_ner.evaluation.test_report import browser  # noqa: F401  the fixture
from tests.serve_helpers import TEXT, nlp, serving, wait_for  # noqa: F401  the fixture


@pytest.fixture(scope="module")
def client(nlp: Language) -> Iterator[httpx.Client]:  # noqa: F811
    limits = Limits(max_texts=3, max_characters=200, timeout=30)
    with serving(create_app(nlp, limits)) as url, httpx.Client(base_url=url, timeout=30) as client:
        yield client


def post(client: httpx.Client, **body: Any) -> httpx.Response:
    return client.post("/predict", json=body)


def test_predict_gives_the_pipelines_mentions(client: httpx.Client, nlp: Language) -> None:  # noqa: F811
    response = post(client, text=TEXT)
    assert response.status_code == 200
    (document,) = response.json()["documents"]
    expected = list_mentions(nlp(TEXT))
    assert expected
    assert [m["start"] for m in document["mentions"]] == [m["start"] for m in expected]
    for mention in document["mentions"]:
        assert mention.keys() == {"text", "label", "score", "start", "end"}
        assert TEXT[mention["start"] : mention["end"]] == mention["text"]


def test_predict_takes_lists_in_order(client: httpx.Client) -> None:
    texts = ["", TEXT, "Ada"]
    documents = post(client, text=texts).json()["documents"]
    assert len(documents) == 3
    assert documents[0]["mentions"] == []
    (alone,) = post(client, text=TEXT).json()["documents"]
    assert [m["start"] for m in documents[1]["mentions"]] == [m["start"] for m in alone["mentions"]]
    assert post(client, text=[]).json() == {"documents": []}


def test_predict_threshold(client: httpx.Client) -> None:
    everything = post(client, text=TEXT).json()["documents"][0]["mentions"]
    middle = statistics.median(m["score"] for m in everything)
    kept = post(client, text=TEXT, threshold=middle).json()["documents"][0]["mentions"]
    assert kept == [m for m in everything if m["score"] >= middle]
    assert post(client, text=TEXT, threshold=1).json()["documents"][0]["mentions"] == []


def test_predict_gives_candidates_on_request(client: httpx.Client, nlp: Language) -> None:  # noqa: F811
    assert "candidates" not in post(client, text=TEXT).json()["documents"][0]
    low, high = (
        post(client, text=TEXT, candidates=least).json()["documents"][0] for least in (0.01, 0.2)
    )
    assert low["mentions"] == high["mentions"]
    assert high["candidates"] == [c for c in low["candidates"] if c["score"] >= 0.2]
    assert 0 < len(high["candidates"]) < len(low["candidates"])
    for candidate in low["candidates"]:
        assert TEXT[candidate["start"] : candidate["end"]] == candidate["text"]
    nlp.get_pipe("token_ner").candidates = 0.01  # type: ignore[attr-defined]
    assert "candidates" not in post(client, text=TEXT).json()["documents"][0]


def test_requests_of_one_batch_get_the_candidates_that_they_asked_for(nlp: Language) -> None:  # noqa: F811
    batcher = Batcher(nlp, Limits(), Metrics())
    floors = (None, 0.3, 0.05)

    async def ask() -> list[list[Found]]:
        gone = asyncio.get_running_loop().create_future()
        await batcher.start()
        try:
            return list(await asyncio.gather(*(batcher.submit([TEXT], gone, x) for x in floors)))
        finally:
            batcher.stop()

    found = [document for (document,) in asyncio.run(ask())]
    nothing, few, many = (select(*row) for row in zip(found, (0.0, 0.0, 0.0), floors, strict=True))
    assert "candidates" not in nothing
    assert 0 < len(few["candidates"]) < len(many["candidates"])
    assert min(c["score"] for c in few["candidates"]) >= 0.3
    assert min(c["score"] for c in many["candidates"]) < 0.3


def test_offsets_count_code_points(client: httpx.Client) -> None:
    text = f"\U0001f600 {TEXT}"
    for mention in post(client, text=text).json()["documents"][0]["mentions"]:
        assert text[mention["start"] : mention["end"]] == mention["text"]


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b'{"text": "half', 422, "JSON decode error"),
        (b'{"text": "a", "text": "b"}', 422, 'the key \\"text\\" occurs more than once'),
        (b'{"text": "a", "threshold": 0, "threshold": 1}', 422, "occurs more than once"),
        (b'{"text": "a", "threshold": NaN}', 422, "NaN is not a number"),
        (b'{"text": "a", "threshold": 1e999}', 422, "less than or equal to 1"),
        (b'{"text": "a", "threshold": 1e99999999999999999999}', 422, "the exponent of"),
        (b"[" * 100_000, 413, "exceeds"),
        (b"[" * 5000, 422, "nested more than 100 levels deep"),
        (b"[]", 422, "valid dictionary"),
        (b"{}", 422, "Field required"),
        (b'{"text": null}', 422, "valid string"),
        (b'{"text": ["a", 5]}', 422, "valid string"),
        (b'{"text": "a", "threshold": 2}', 422, "less than or equal to 1"),
        (b'{"text": "a", "candidates": 0}', 422, "greater than or equal to 0.001"),
        (b'{"text": "a", "other": 1}', 422, "Extra inputs are not permitted"),
        (rb'{"text": "\ud800"}', 422, "unpaired surrogate"),
        (rb'{"text": ["\ud800", 5]}', 422, "valid string"),
        (json.dumps({"text": "x" * 201}).encode(), 413, "201 characters; at most 200 per request"),
        (json.dumps({"text": ["x"] * 4}).encode(), 413, "4 texts; at most 3 per request"),
        (json.dumps({"text": "x" * 20_000}).encode(), 413, "the body exceeds 12,400 bytes"),
    ],
)
def test_invalid_requests_are_reported(
    client: httpx.Client, body: bytes, status: int, words: str
) -> None:
    headers = {"Content-Type": "application/json"}
    response = client.post("/predict", content=body, headers=headers)
    assert response.status_code == status
    assert words in json.dumps(response.json()["detail"])
    # In chunks, without a declared length:
    response = client.post("/predict", content=iter([body[:5], body[5:]]), headers=headers)
    assert response.status_code == status


@pytest.mark.parametrize("headers", [{}, {"Content-Type": "text/plain"}])
def test_texts_that_another_origins_page_may_send_are_refused(
    client: httpx.Client, headers: dict[str, str]
) -> None:
    """Browsers ask first only for JSON, and there is no permission for them."""
    body = b'{"text": "Ada"}'
    assert client.post("/predict", content=body, headers=headers).status_code == 422
    asked = {"Origin": "http://other.example", "Access-Control-Request-Method": "POST"}
    answer = client.options("/predict", headers=asked)
    assert answer.status_code == 405
    assert "access-control-allow-origin" not in answer.headers


def test_health_info_metrics_openapi(client: httpx.Client, nlp: Language) -> None:  # noqa: F811
    assert client.get("/health").json() == {"status": "ok"}
    info = client.get("/info").json()
    assert info["labels"] == ["LOC", "MISC", "ORG", "PER"]
    assert info["limits"]["max_characters"] == 200
    assert (info["lang"], info["version"]) == (nlp.meta["lang"], nlp.meta["version"])
    post(client, text=[TEXT, TEXT])
    metrics = client.get("/metrics").text
    assert re.search(r'ner_requests_total\{path="/predict",status="200"\} [1-9]', metrics)
    assert re.search(r"ner_words_total \d\d", metrics)
    assert "ner_request_seconds_bucket" in metrics
    schema = client.get("/openapi.json").json()
    assert set(schema["paths"]) == {"/predict", "/health", "/ready", "/info"}
    assert set(schema["paths"]["/predict"]["post"]["responses"]) == {
        *("200", "408", "413", "422", "503", "504")
    }
    assert client.get("/nowhere").status_code == 404
    assert client.get("/predict").status_code == 405


@pytest.mark.parametrize("path", ["/health", "/ready"])
def test_probes_may_ask_for_the_head_only(client: httpx.Client, path: str) -> None:
    whole, head = client.get(path), client.head(path)
    assert whole.status_code == head.status_code == 200
    assert head.content == b""
    assert head.headers["content-length"] == whole.headers["content-length"]


@pytest.mark.skipif(not Path("/proc/self/stat").is_file(), reason="needs /proc")
def test_metrics_have_the_memory_of_the_process(client: httpx.Client) -> None:
    found = re.search(r"^process_resident_memory_bytes (\S+)$", client.get("/metrics").text, re.M)
    assert found
    assert 20 < float(found[1]) / 1024**2 <= peak_memory_mb() + 1


def test_page_has_a_policy_against_other_origins(client: httpx.Client) -> None:
    response = client.get("/")
    assert response.headers["content-type"].startswith("text/html")
    policy = response.headers["content-security-policy"]
    for directive in ("default-src", "base-uri", "form-action", "frame-ancestors"):
        assert f"{directive} 'none'" in policy
    assert not re.search(r"https?://", response.text)


def test_every_response_has_the_security_headers(
    nlp: Language,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("conll_ner.serving.batcher.annotate_texts", lambda *_: 1 / 0)
    open_app, app = create_app(nlp, Limits(max_texts=1)), create_app(nlp, token="secret")
    with serving(open_app) as url, serving(app) as secured:
        responses = [
            *(httpx.get(url + path) for path in ("/", "/metrics", "/openapi.json", "/nowhere")),
            httpx.get(f"{url}/predict"),
            httpx.get(url, headers={"Host": "other.example"}),
            *(httpx.post(f"{url}/predict", json={"text": text}) for text in (["", ""], 1, "Ada")),
            httpx.get(f"{secured}/info"),
        ]
    statuses = [response.status_code for response in responses]
    assert statuses == [200, 200, 200, 404, 405, 400, 413, 422, 500, 401]
    for response in responses:
        assert response.headers["x-content-type-options"] == "nosniff", response
        assert "frame-ancestors 'none'" in response.headers["content-security-policy"], response


def test_service_behind_a_proxy_that_removes_a_path(nlp: Language) -> None:  # noqa: F811
    with serving(create_app(nlp, token="secret"), root_path="/ner") as url:
        headers = {"Authorization": "Bearer secret"}
        schema = httpx.get(f"{url}/openapi.json", headers=headers).json()
        assert schema["servers"] == [{"url": "/ner"}]
        assert httpx.get(f"{url}/").status_code == httpx.get(f"{url}/ready").status_code == 200
        assert httpx.get(f"{url}/info").status_code == 401
        httpx.post(f"{url}/predict", json={"text": TEXT}, headers=headers).raise_for_status()
        metrics = httpx.get(f"{url}/metrics", headers=headers).text
        assert 'ner_requests_total{path="/predict",status="200"} 1.0' in metrics


@pytest.mark.slow
def test_responses_match_the_openapi_schema(nlp: Language) -> None:  # noqa: F811
    """schemathesis generates valid and invalid requests, and checks the responses by the schema."""
    schemathesis = pytest.importorskip("schemathesis")
    with serving(create_app(nlp, Limits(max_characters=2000))) as url:
        schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
        for operation in schema.get_all_operations():

            @settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
            @given(case=operation.ok().as_strategy())
            def check(case: Any) -> None:
                case.call_and_validate()

            check()
