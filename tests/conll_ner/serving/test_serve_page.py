"""The service's page, in a real browser."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import spacy
from spacy.language import Language
from starlette.types import Receive, Scope, Send

from conll_ner.serving.app import create_app
from conll_ner.serving.page import read_page
from tests.conll_ner.evaluation.test_report import browser  # noqa: F401  the fixture
from tests.serve_helpers import TEXT, nlp, serving  # noqa: F401  the fixture

READY = "#pipeline:not([hidden])"


@contextmanager
def open_page(browser: Any, url: str, **options: Any) -> Iterator[Any]:  # noqa: F811
    """A page of the service. Its messages must be those of responses with an error."""
    page = browser.new_page(**options)
    messages: list[str] = []
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.on("dialog", lambda dialog: messages.append(dialog.message))
    page.goto(url)
    yield page
    assert [text for text in messages if "the server responded with" not in text] == []


def rules(lang: str, patterns: dict[str, str]) -> Language:
    nlp = spacy.blank(lang)  # noqa: F811
    ruler: Any = nlp.add_pipe("entity_ruler")
    ruler.add_patterns([{"label": label, "pattern": text} for label, text in patterns.items()])
    return nlp


def test_page_has_its_parts_and_loads_nothing() -> None:
    page = read_page()
    assert page.count("loadInfo();") > 1
    assert "takeFiles" in page
    assert ":root" in page
    assert "/* page" not in page
    assert " src=" not in page


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 390])
def test_page_shows_text_as_text(browser: Any, width: int) -> None:  # noqa: F811
    """With the keyboard only: the text has the focus; Ctrl+Enter submits."""
    hostile = "<img src=x onerror=alert(1)>"
    patterns = {"PER": "Sylvain", "X<b>": "\U0001f600", "MISC": hostile}
    size = {"width": width, "height": 800}
    with (
        serving(create_app(rules("en", patterns))) as url,
        open_page(browser, url, viewport=size) as page,
    ):
        requests: list[str] = []
        page.on("request", lambda request: requests.append(request.url))
        page.wait_for_selector(READY)
        assert page.locator("#labels li").all_inner_texts() == ["MISC", "PER", "X<b>"]
        page.keyboard.press("Control+A")
        page.keyboard.type(f"{hostile} \U0001f600 Sylvain")
        page.keyboard.press("Control+Enter")
        page.wait_for_selector("mark")
        marks = [mark.inner_text() for mark in page.query_selector_all("mark")]
        assert marks == [f"{hostile}MISC", "\U0001f600X<b>", "SylvainPER"]
        assert page.query_selector("#result img") is None
        page.fill("#text", "Sylvain")
        page.keyboard.press("Meta+Enter")  # on a Mac
        page.get_by_text("Showing 1 of 1 entities", exact=True).wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        for heading in page.query_selector_all("th"):  # not broken within a word
            assert heading.bounding_box()["height"] < 40
        text, table = (page.locator(name).bounding_box() for name in ("#result", "#table"))
        assert table["y"] - (text["y"] + text["height"]) >= 16
        assert all(address.startswith((url, "data:")) for address in requests)


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 390])
def test_page_filters_by_score(nlp: Language, browser: Any, width: int) -> None:  # noqa: F811
    size = {"width": width, "height": 800}
    with serving(create_app(nlp)) as url, open_page(browser, url, viewport=size) as page:
        page.wait_for_selector(READY)
        assert not page.is_visible("#found")
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
        page.click("#find")
        page.wait_for_selector("#status.bad")
        assert "200,001 characters; at most 200,000" in page.locator("#status").inner_text()


@pytest.mark.slow
def test_page_names_the_pipeline_and_its_promises(browser: Any) -> None:  # noqa: F811
    pipeline = rules("de", {"ORT": "Oslo"})
    made = {"confidence": 0.9, "share": 1.0, "gold": "dev.spacy", "documents": 216, "date": ""}
    pipeline.meta |= {
        "name": "akten",
        "version": "1.2.0",
        "promises": {
            "precision": {"level": 0.93, "least": 0.43, **made},
            "recall": {"level": 0.9, "least": {"ORT": 0.01}, **made},
        },
    }
    with serving(create_app(pipeline)) as url, open_page(browser, url) as page:
        page.wait_for_selector(READY)
        assert page.locator("#pipeline").inner_text() == "de_akten 1.2.0 · German"
        assert page.locator("#labels li").all_inner_texts() == ["ORT"]
        assert page.locator("#promises p").all_inner_texts() == [
            "Promise: a precision of 93 %, kept by 90 % of samples of 216 documents like dev.spacy "
            "(threshold 0.43)",
            "Promise: a recall of 90 % for each type, kept by 90 % of samples of 216 documents "
            "like dev.spacy (least score of a candidate ORT 0.01)",
        ]
        assert page.input_value("#text").startswith("Ada Lindqvist verließ")  # in its language


@pytest.mark.slow
def test_page_has_no_examples_in_other_languages(browser: Any) -> None:  # noqa: F811
    with (
        serving(create_app(rules("fi", {"A": "Oslo"}))) as url,
        open_page(browser, url) as page,
    ):
        page.wait_for_selector(READY)
        assert "Finnish" in page.locator("#pipeline").inner_text()
        assert page.input_value("#text") == ""
        assert not page.is_visible("#examples")
        page.click("#find")
        page.get_by_text("No entities found", exact=True).wait_for()


@pytest.mark.slow
def test_page_asks_for_the_token_and_remembers_it(nlp: Language, browser: Any) -> None:  # noqa: F811
    with (
        serving(create_app(nlp, token="secret")) as url,
        open_page(browser, url) as page,
    ):
        requests: list[str] = []
        page.on("request", lambda request: requests.append(request.url))
        page.get_by_label("Enter your token").wait_for()
        assert not page.is_visible("#ask")
        page.keyboard.type("wrong")  # the field has the focus
        page.keyboard.press("Enter")
        page.get_by_text("wrong token").wait_for()
        page.fill("#token", "secret")
        page.keyboard.press("Enter")
        page.wait_for_selector(READY)
        assert not page.is_visible("#access")
        page.reload()
        page.wait_for_selector(READY)
        page.click("#find")
        page.wait_for_selector("mark")
        assert page.input_value("#text") == TEXT
        assert not page.is_visible("#access")
        assert not any("secret" in address for address in [page.url, *requests])


@pytest.mark.slow
def test_page_is_labelled_for_screen_readers(nlp: Language, browser: Any) -> None:  # noqa: F811
    with serving(create_app(nlp)) as url, open_page(browser, url) as page:
        page.wait_for_selector(READY)
        assert page.locator("button.primary:visible").count() == 1
        page.get_by_role("button", name="Find entities").click()
        page.wait_for_selector("mark")
        for role, name in (
            ("textbox", "Text"),
            ("combobox", "Example"),
            ("slider", "Minimum score"),
            ("button", "Annotate a file…"),
            ("region", "Text with entities"),
            ("table", "Entities"),
            ("list", "Types of entities"),
        ):
            assert page.get_by_role(role, name=name).count() == 1, name
        page.emulate_media(color_scheme="dark")
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.emulate_media(color_scheme="light")
        assert dark != page.evaluate("getComputedStyle(document.body).backgroundColor")
        order = ["text", "find", "choose", "threshold", "copy"]
        places = page.evaluate(
            f"{json.dumps(order)}.map(id => [...document.all].indexOf(document.getElementById(id)))"
        )
        assert places == sorted(places)  # in the order of use


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
        page.wait_for_selector(READY)
        page.click("#find")
        page.wait_for_selector("mark")
        assert {f"{url}/ner/info", f"{url}/ner/predict"} <= {*requests}
