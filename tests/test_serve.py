"""The service: responses, limits, shutdown, and its page in a real browser."""

import json
import re
import signal
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import spacy
from hypothesis import HealthCheck, given, settings
from spacy.language import Language

from benchmarking import service_load
from serving.app import create_app
from serving.schema import Limits
from tests.serve_helpers import TEXT, nlp, serving, wait_for  # noqa: F401  the fixture
from tests.test_report_page import browser  # noqa: F401  the fixture
from texts.outputs import list_mentions


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


def test_offsets_count_code_points(client: httpx.Client) -> None:
    text = f"\U0001f600 {TEXT}"
    for mention in post(client, text=text).json()["documents"][0]["mentions"]:
        assert text[mention["start"] : mention["end"]] == mention["text"]


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b'{"text": "half', 422, "JSON decode error"),
        (b"[]", 422, "valid dictionary"),
        (b"{}", 422, "Field required"),
        (b'{"text": null}', 422, "valid string"),
        (b'{"text": ["a", 5]}', 422, "valid string"),
        (b'{"text": "a", "threshold": 2}', 422, "less than or equal to 1"),
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
    assert set(schema["paths"]) == {"/predict", "/health", "/info"}
    assert set(schema["paths"]["/predict"]["post"]["responses"]) == {
        *("200", "408", "413", "422", "503", "504")
    }
    assert client.get("/nowhere").status_code == 404
    assert client.get("/predict").status_code == 405


def test_page_has_a_policy_against_other_origins(client: httpx.Client) -> None:
    response = client.get("/")
    assert response.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert not re.search(r"https?://", response.text)


# --- In its own process, and in a browser ---


@pytest.fixture(scope="module")
def saved(nlp: Language, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: F811
    folder = tmp_path_factory.mktemp("saved") / "model"
    nlp.to_disk(folder)
    return folder


@pytest.mark.slow
def test_serve_finishes_accepted_requests_on_shutdown(saved: Path) -> None:
    with service_load.serving(str(saved), "cpu") as (server, url), ThreadPoolExecutor(1) as pool:
        long = {"text": ["Ada Lindqvist left Varnholm. " * 60] * 100}
        waiting = pool.submit(httpx.post, f"{url}/predict", json=long, timeout=60)
        wait_for(lambda: "ner_waiting_characters" in httpx.get(f"{url}/metrics").text)
        time.sleep(0.3)
        assert not waiting.done()
        server.send_signal(signal.SIGTERM)
        assert len(waiting.result().json()["documents"]) == 100
        server.wait(20)


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


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 400])
def test_page_in_a_browser(nlp: Language, browser: Any, width: int) -> None:  # noqa: F811
    hostile = "<img src=x onerror=alert(1)>"
    rules = spacy.blank("en")
    ruler: Any = rules.add_pipe("entity_ruler")
    patterns = {"PER": "Sylvain", "X<b>": "\U0001f600", "MISC": hostile}
    ruler.add_patterns([{"label": label, "pattern": text} for label, text in patterns.items()])
    with serving(create_app(nlp)) as scored, serving(create_app(rules)) as plain:
        page = browser.new_page(viewport={"width": width, "height": 800})
        messages: list[str] = []
        page.on("console", lambda message: messages.append(message.text))
        page.on("pageerror", lambda error: messages.append(str(error)))
        page.on("dialog", lambda dialog: messages.append(dialog.message))
        requests: list[str] = []
        page.on("request", lambda request: requests.append(request.url))

        # With the keyboard only: the text has the focus; Ctrl+Enter submits.
        page.goto(plain)
        page.keyboard.press("Control+A")
        page.keyboard.type(f"{hostile} \U0001f600 Sylvain")
        page.keyboard.press("Control+Enter")
        page.wait_for_selector("mark")
        marks = page.query_selector_all("mark")
        assert [mark.inner_text() for mark in marks] == [
            f"{hostile}MISC",
            "\U0001f600X<b>",
            "SylvainPER",
        ]
        assert page.query_selector("#result img") is None
        assert page.evaluate("document.documentElement.scrollWidth") <= width

        page.goto(scored)
        page.select_option("#examples", index=1)
        page.wait_for_selector("mark")
        every = len(page.query_selector_all("mark"))
        page.fill("#threshold", "1")
        assert len(page.query_selector_all("mark")) == 0
        assert page.locator("#status").inner_text() == f"Showing 0 of {every} entities"
        page.fill("#threshold", "0")
        assert len(page.query_selector_all("mark")) == every
        assert len(page.query_selector_all("tbody tr")) == every
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        page.click("#copy")
        page.get_by_text("Copied", exact=True).wait_for()
        copied = json.loads(page.evaluate("navigator.clipboard.readText()"))
        assert len(copied) == every
        assert copied[0].keys() == {"text", "label", "score", "start", "end"}

        page.fill("#text", "x" * 200_001)
        page.click("#ask button")
        page.wait_for_selector("#status.bad")
        assert "200,001 characters; at most 200,000" in page.locator("#status").inner_text()
        messages = [line for line in messages if "413" not in line]  # the browser logs the response
        assert messages == []
        assert all(url.startswith((scored, plain, "data:")) for url in requests)
