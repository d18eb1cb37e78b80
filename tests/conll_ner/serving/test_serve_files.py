"""Files that are dropped on the service's page, in a real browser."""

import json
from pathlib import Path
from typing import Any

import pytest
from spacy.language import Language

from conll_ner.prediction import predict
from conll_ner.serving.app import create_app
from conll_ner.serving.schema import Limits
from tests.conll_ner.evaluation.test_report import browser  # noqa: F401  the fixture
from tests.conll_ner.serving.test_serve_page import READY, open_page
from tests.serve_helpers import TEXT, nlp, serving  # noqa: F401  the fixture

# Drops a file on the page, as a user does: the events that the browser sends.
DROP = """([name, content]) => {
  const data = new DataTransfer();
  data.items.add(new File([Uint8Array.from(content)], name));
  for (const kind of ["dragover", "drop"]) {
    document.querySelector("#text").dispatchEvent(
      new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true }));
  }
}"""


def drop(page: Any, name: str, content: str | bytes) -> None:
    data = content.encode() if isinstance(content, str) else content
    page.evaluate(DROP, [name, list(data)])


def drop_for_download(page: Any, name: str, content: str) -> tuple[str, list[str]]:
    """RETURNS (tuple[str, list[str]]): The name and the lines of the file that is downloaded."""
    with page.expect_download() as download:
        drop(page, name, content)
    lines = download.value.path().read_text(encoding="utf-8").splitlines()
    return download.value.suggested_filename, lines


@pytest.mark.slow
def test_page_annotates_files_as_predict_does(nlp: Language, browser: Any, tmp_path: Path) -> None:  # noqa: F811
    nlp.to_disk(tmp_path / "nlp")
    contents = {
        "a.txt": f"{TEXT}\r\n\n\U0001f600 Ada\n",
        "b.jsonl": f'{{"id": 12345678901234567890.10, "text": "{TEXT}"}}\n\n{{"text": ""}}',
    }
    with serving(create_app(nlp)) as url, open_page(browser, url) as page:
        page.wait_for_selector(READY)
        for name, content in contents.items():
            source = tmp_path / name
            source.write_text(content, encoding="utf-8", newline="")
            predict.main(str(tmp_path / "nlp"), source, tmp_path / "out.jsonl", device="cpu")
            expected = (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()
            saved, lines = drop_for_download(page, name, content)
            assert saved == f"{name[0]}.entities.jsonl"
            assert page.locator("#status").inner_text() == f"{name}: 2 texts annotated"
            rows = zip(map(json.loads, lines), map(json.loads, expected), strict=True)
            for found, wanted in rows:
                assert found["text"] == wanted["text"]
                assert found.get("line") == wanted.get("line")
                keys = ("text", "label", "start", "end")
                for pair in zip(found["mentions"], wanted["mentions"], strict=True):
                    assert [pair[0][key] for key in keys] == [pair[1][key] for key in keys]
                    assert pair[0]["score"] == pytest.approx(pair[1]["score"], abs=1e-3)
        assert lines[0].startswith('{"id": 12345678901234567890.10, "text"')  # not rounded


@pytest.mark.slow
def test_page_sends_files_in_requests_of_bounded_size(nlp: Language, browser: Any) -> None:  # noqa: F811
    limits = Limits(max_texts=3, max_characters=200)
    with serving(create_app(nlp, limits)) as url, open_page(browser, url) as page:
        bodies: list[str] = []
        page.on("request", lambda request: bodies.append(request.post_data or ""))
        page.wait_for_selector(READY)
        texts = ["Ada"] * 4 + ["x" * 150, "y" * 100, "z" * 201]
        _, lines = drop_for_download(page, "a.txt", "\n".join(texts))
        assert [json.loads(line)["text"] for line in lines] == texts[:-1]
        requests = [json.loads(body)["text"] for body in bodies if body]
        sizes = [[len(text) for text in request] for request in requests]
        assert sizes == [[3, 3, 3], [3, 150], [100]]
        shown = page.locator("#status.bad").inner_text()
        assert shown == "a.txt: 6 texts annotated; left out: line 7: 201 characters; at most 200"


@pytest.mark.slow
def test_page_says_which_lines_of_a_file_failed(nlp: Language, browser: Any) -> None:  # noqa: F811
    lines = ['{"text": "Ada"}', "nope", '{"id": 3}', '{"text": "a", "mentions": []}', '["text"]']
    lines += ['{"text": "\\ud800"}', "NaN"]
    with serving(create_app(nlp)) as url, open_page(browser, url) as page:
        page.wait_for_selector(READY)
        _, saved = drop_for_download(page, "a.jsonl", "\n".join(lines))
        assert len(saved) == 1
        assert page.locator("#status.bad").inner_text() == (
            "a.jsonl: 1 text annotated; left out: line 2: not JSON; line 3: no text in the field "
            '"text"; line 4: has a field "mentions" already; rename it; line 5: no text in the '
            'field "text"; line 6: not valid Unicode; and 1 more'
        )
        for name, content, words in (
            ("a.pdf", "x", "a.pdf: the name doesn't end in .txt, .jsonl or .ndjson"),
            ("a.txt", b"\xff\xfe", "a.txt: not text in UTF-8"),
        ):
            drop(page, name, content)
            page.get_by_text(words, exact=True).wait_for()


@pytest.mark.slow
def test_page_keeps_what_was_annotated_before_a_failure(nlp: Language, browser: Any) -> None:  # noqa: F811
    """And waits while the queue is full, as the service asks it to."""
    limits = Limits(max_texts=1)
    with serving(create_app(nlp, limits)) as url, open_page(browser, url) as page:
        page.wait_for_selector(READY)
        answers: list[Any] = [
            lambda route: route.continue_(),
            lambda route: route.fulfill(status=503, headers={"Retry-After": "1"}, json={}),
            lambda route: route.continue_(),
            lambda route: route.fulfill(status=502, body="<h1>Bad gateway</h1>"),
        ]
        page.route("**/predict", lambda route: answers.pop(0)(route))
        _, lines = drop_for_download(page, "a.txt", "Ada\nBob\nEve\nMallory\n")
        assert [json.loads(line)["line"] for line in lines] == [1, 2]
        shown = page.locator("#status.bad").inner_text()
        assert shown == "a.txt: 2 texts annotated; left out: from line 3 on: 502 Bad Gateway"
        assert answers == []


@pytest.mark.slow
def test_page_takes_a_file_by_its_button(nlp: Language, browser: Any, tmp_path: Path) -> None:  # noqa: F811
    (tmp_path / "a.txt").write_text(TEXT)
    with serving(create_app(nlp)) as url, open_page(browser, url) as page:
        page.wait_for_selector(READY)
        for _ in range(2):  # also the same file again
            with page.expect_download(), page.expect_file_chooser() as chooser:
                page.click("#choose")
                chooser.value.set_files(tmp_path / "a.txt")
