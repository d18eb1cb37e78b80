"""The service's page, in a real browser."""

import json
from typing import Any

import pytest
import spacy
from spacy.language import Language
from starlette.types import Receive, Scope, Send

from conll_ner.serving.app import create_app
from tests.conll_ner.evaluation.test_report import browser  # noqa: F401  the fixture
from tests.serve_helpers import TEXT, nlp, serving  # noqa: F401  the fixture


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
        page.fill("#threshold", "-1")
        assert len(page.query_selector_all("mark.candidate")) > 0
        assert len(page.query_selector_all("tbody tr")) > every
        assert "0.01, with candidates" in page.locator("label:has(#threshold)").inner_text()
        shown = page.locator("#status").inner_text()
        assert shown.startswith(f"Showing {every} of {every} entities and ")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        text = page.eval_on_selector(
            "#result", "e => [...e.childNodes].map(n => n.firstChild?.data ?? n.data).join('')"
        )
        assert text == page.input_value("#text")
        page.fill("#threshold", "0")
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


@pytest.mark.slow
def test_page_asks_for_the_token(nlp: Language, browser: Any) -> None:  # noqa: F811
    with serving(create_app(nlp, token="secret")) as url:
        page = browser.new_page()
        page.goto(url)
        assert not page.is_visible("#token")
        page.click("#ask button")
        page.wait_for_selector("#status.bad")
        assert "a token is required" in page.locator("#status").inner_text()
        page.keyboard.type("wrong")  # the field has the focus
        page.keyboard.press("Enter")
        page.get_by_text("wrong token", exact=True).wait_for()
        page.fill("#token", "secret")
        page.keyboard.press("Enter")
        page.wait_for_selector("mark")
        assert page.input_value("#text") == TEXT
        assert "secret" not in page.url


@pytest.mark.slow
@pytest.mark.parametrize("address", ["/ner", "/ner/"])
def test_page_under_a_path(nlp: Language, browser: Any, address: str) -> None:  # noqa: F811
    """As behind a proxy that removes /ner, with `--root-path /ner`."""

    app = create_app(nlp)

    async def proxied(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path = scope["path"].removeprefix("/ner") or "/"
            scope.update(root_path="/ner", path=f"/ner{path}")  # as uvicorn does
        await app(scope, receive, send)

    with serving(proxied) as url:
        page = browser.new_page()
        requests: list[str] = []
        page.on("request", lambda request: requests.append(request.url))
        page.goto(url + address)
        page.click("#ask button")
        page.wait_for_selector("mark")
        assert f"{url}/ner/predict" in requests
