"""The service as a backend of Label Studio.

`tests/data/label_studio_1.23.2.jsonl` has the requests that Label Studio 1.23.2 sent to a backend
with the address http://ner:tok@127.0.0.1:8098/label-studio, as it was connected, asked for
predictions, and as a task was annotated, corrected, skipped, annotated from its prediction, and the
first annotation deleted. Of each project, three fields are left.
"""

import base64
import json
import logging
from pathlib import Path
from typing import Any

import httpx
import pytest
import spacy
from spacy.language import Language

from conll_ner.serving.app import create_app
from conll_ner.serving.label_studio import model_version
from conll_ner.serving.schema import Limits
from tests.conftest import ROOT
from tests.conll_ner.data.formats.support import mentions, read
from tests.serve_helpers import serving

RECORDED = [
    json.loads(line)
    for line in (ROOT / "tests" / "data" / "label_studio_1.23.2.jsonl").read_text().splitlines()
]
CONFIG: str = RECORDED[1]["body"]["schema"]
TEXTS = ("Ada Lindqvist left Varnholm.", "😀 Zoë met Bo in Oslo.")
TWO_TEXTS = """
<View>
  <Header value="$title"/><Text name="head" value="$title"/><Text name="body" value="$text"/>
  <Text name="far" value="$url" valueType="url"/><HyperText name="page" value="$page"/>
  <Labels name="people" toName="head"><View><Label value="Person" alias="PER"/></View></Labels>
  <Labels name="places" toName="body"><Label value="LOC"/><Label value="OTHER"/></Labels>
  <Labels name="links" toName="far"><Label value="LOC"/></Labels>
  <HyperTextLabels name="tags" toName="page"><Label value="LOC"/></HyperTextLabels>
  <Choices name="topic" toName="body"><Choice value="LOC"/></Choices>
</View>"""


@pytest.fixture(scope="module")
def rules() -> Language:
    """A pipeline whose mentions have no scores."""
    nlp = spacy.blank("en")
    ruler: Any = nlp.add_pipe("entity_ruler")
    names = {"PER": ["Ada Lindqvist", "Zoë", "Bo"], "LOC": ["Varnholm", "Oslo"], "DATE": ["today"]}
    ruler.add_patterns([{"label": a, "pattern": b} for a, texts in names.items() for b in texts])
    return nlp


def send(url: str, request: dict[str, Any]) -> httpx.Response:
    return httpx.request(
        request["method"], url + request["path"], headers=request["headers"], json=request["body"]
    )


def predict(url: str, config: str, *data: dict[str, Any]) -> httpx.Response:
    tasks = [{"id": i, "data": each, "project": 1} for i, each in enumerate(data)]
    body = {"tasks": tasks, "project": "1.1", "label_config": config, "params": {}}
    return httpx.post(f"{url}/label-studio/predict", json=body)


def regions(prediction: dict[str, Any]) -> list[tuple[Any, ...]]:
    return [
        (r["from_name"], r["to_name"], r["value"]["text"], *r["value"]["labels"])
        for r in prediction["result"]
    ]


def test_label_studio_requests_are_answered(rules: Language, tmp_path: Path) -> None:
    """All that it sends, with the token as the password; annotations end up as gold documents."""
    file = tmp_path / "annotations.jsonl"
    with serving(create_app(rules, token="tok", annotations=file)) as url:
        responses = [send(url, request) for request in RECORDED]
    for request, response in zip(RECORDED, responses, strict=True):
        # Of a backend without versions, it shows the one of the setup.
        status = 404 if request["path"].endswith("/versions") else 200
        assert response.status_code == status, request["path"]
    version = model_version(rules)
    assert responses[1].json() == {"model_version": version, "left_out": ["DATE"]}
    predictions = responses[2].json()["results"]
    assert [regions(prediction) for prediction in predictions] == [
        [("label", "text", "Ada Lindqvist", "PER"), ("label", "text", "Varnholm", "LOC")],
        [("label", "text", a, b) for a, b in [("Zoë", "PER"), ("Bo", "PER"), ("Oslo", "LOC")]],
    ]
    assert [prediction["model_version"] for prediction in predictions] == [version] * 2
    assert "score" not in predictions[0]
    # The correction has replaced the first version, and what was skipped is no gold.
    _, docs, issues = read(file)
    reasons = [issue.reason for issue in issues]
    assert [doc.text for doc in docs] == list(TEXTS)
    assert mentions(docs[0]) == [("Ada Lindqvist", "PER"), ("Varnholm", "LOC")]
    assert reasons == [  # of the annotations that were made from the recorded predictions
        "another annotation of the text, which differs, is used",
        "its edges are within words",
    ]


def test_label_studio_scores_are_those_of_the_service(nlp: Language) -> None:
    with serving(create_app(nlp)) as url:
        labels = nlp.pipe_labels["token_ner"]
        config = CONFIG.replace('value="ORG"', f'value="{labels[0]}"')
        (found,) = predict(url, config, {"text": TEXTS[1]}).json()["results"]
        expected = httpx.post(f"{url}/predict", json={"text": TEXTS[1]}).json()["documents"][0]
    known = [m for m in expected["mentions"] if m["label"] in {"PER", "LOC", labels[0]}]
    assert known
    for region, mention in zip(found["result"], known, strict=True):
        assert region["score"] == mention["score"]
        assert region["value"] == {
            "start": mention["start"],
            "end": mention["end"],
            "text": mention["text"],
            "labels": [mention["label"]],
        }
    assert found["score"] == min(m["score"] for m in known)
    assert len({region["id"] for region in found["result"]}) == len(known)


def test_label_studio_several_texts_have_the_labels_of_their_own_tags(rules: Language) -> None:
    data = {"title": "Ada Lindqvist, Oslo", "text": "Ada Lindqvist, Oslo today", "url": "Oslo"}
    with serving(create_app(rules)) as url:
        (found,) = predict(url, TWO_TEXTS, data).json()["results"]
        setup = {"schema": TWO_TEXTS, "project": "1.1"}
        answer = httpx.post(f"{url}/label-studio/setup", json=setup).json()
    assert regions(found) == [
        ("people", "head", "Ada Lindqvist", "PER"),
        ("places", "body", "Oslo", "LOC"),
    ]
    assert [region["id"] for region in found["result"]] == ["m1", "m2"]
    assert answer["left_out"] == ["DATE"]


def test_label_studio_labels_that_are_left_out_are_logged(
    rules: Language, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(create_app(rules)) as url, caplog.at_level(logging.WARNING, "uvicorn.error"):
        caplog.clear()
        logging.getLogger("uvicorn.error").addHandler(caplog.handler)
        httpx.post(f"{url}/label-studio/setup", json={"schema": CONFIG})
    assert "left out, as no Label has the name: DATE" in caplog.text


@pytest.mark.parametrize("value", [5, None, ["Oslo"], "", "\ud83d"])
def test_label_studio_a_task_without_text_has_no_mentions(rules: Language, value: Any) -> None:
    """The predictions of all other tasks of the request would be lost."""
    with serving(create_app(rules)) as url:
        content = json.dumps(
            {"tasks": [{"id": 1, "data": {"text": each}} for each in (value, TEXTS[0])]}
            | {"label_config": CONFIG}
        )
        response = httpx.post(f"{url}/label-studio/predict", content=content, headers=JSON)
    first, second = response.json()["results"]
    assert (len(first["result"]), len(second["result"])) == (0, 2)


JSON = {"Content-Type": "application/json"}
BOMB = """<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>
<View><Labels name="label" toName="text"><Label value="&b;"/></Labels></View>"""


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (BOMB, "a document type is not allowed"),
        (CONFIG.replace("</View>", ""), "can't be read: no element found"),
        ("", "can't be read: no element found"),
        ("<View/>", "has no Labels for a Text"),
        (CONFIG.replace("Labels", "HyperTextLabels"), "has no Labels for a Text"),
        (CONFIG.replace('value="$text"', 'value="$text" valueType="url"'), "has no Labels for a"),
    ],
)
def test_label_studio_an_interface_that_does_not_fit_is_refused(
    rules: Language, config: str, reason: str
) -> None:
    with serving(create_app(rules)) as url:
        for response in (
            predict(url, config, {"text": TEXTS[0]}),
            httpx.post(f"{url}/label-studio/setup", json={"schema": config}),
        ):
            assert response.status_code == 422
            assert reason in response.json()["detail"]


def test_label_studio_has_the_limits_of_the_service(rules: Language) -> None:
    with serving(create_app(rules, Limits(max_characters=30))) as url:
        assert predict(url, CONFIG, {"text": TEXTS[0]}).status_code == 200
        assert predict(url, CONFIG, {"text": TEXTS[0]}, {"text": TEXTS[0]}).status_code == 413
        assert predict(url, CONFIG).json()["results"] == []


@pytest.mark.parametrize(
    ("path", "sent", "status"),
    [
        ("/label-studio/health", "Basic " + base64.b64encode(b"any:tok").decode(), 200),
        ("/label-studio/health", "basic " + base64.b64encode(b":tok").decode(), 200),
        ("/label-studio/health", "Bearer tok", 200),
        ("/label-studio/health", "Basic " + base64.b64encode(b"tok:no").decode(), 401),
        ("/label-studio/health", "Basic " + base64.b64encode(b"tok").decode(), 401),
        ("/label-studio/health", "Basic t*k", 401),
        ("/label-studio/health", "Other " + base64.b64encode(b"any:tok").decode(), 401),
        ("/label-studio/health", "", 401),
        # Elsewhere not: browsers add it by themselves.
        ("/info", "Basic " + base64.b64encode(b"any:tok").decode(), 401),
    ],
)
def test_label_studio_token_is_the_password(
    rules: Language, path: str, sent: str, status: int
) -> None:
    with serving(create_app(rules, token="tok")) as url:
        assert httpx.get(url + path, headers={"Authorization": sent}).status_code == status


def test_label_studio_under_a_path_takes_the_password_too(rules: Language) -> None:
    with serving(create_app(rules, token="tok"), root_path="/ner") as url:
        response = httpx.get(f"{url}/label-studio/health", auth=("any", "tok"))
        assert response.status_code == 200


def test_label_studio_annotations_are_kept_only_on_request(
    rules: Language, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with serving(create_app(rules)) as url:
        events = [request for request in RECORDED if request["path"].endswith("webhook")]
        assert {send(url, event).json()["saved"] for event in events} == {0}
    assert list(tmp_path.iterdir()) == []


def test_label_studio_annotation_of_a_text_that_is_not_unicode_is_kept(
    rules: Language, tmp_path: Path
) -> None:
    event = {
        "annotation": {"id": 1, "task": 2, "result": []},
        "task": {"id": 2, "data": {"text": "a \ud83d b"}},
    }
    with serving(create_app(rules, annotations=tmp_path / "a.jsonl")) as url:
        response = httpx.post(
            f"{url}/label-studio/webhook", content=json.dumps(event), headers=JSON
        )
    assert response.json() == {"saved": 1}
    assert json.loads((tmp_path / "a.jsonl").read_text())["data"] == {"text": "a ? b"}


def test_label_studio_version_changes_with_the_training() -> None:
    """Otherwise it asks for no predictions of a pipeline that was trained again."""
    other = spacy.blank("en", meta={"performance": {"ents_f": 0.9}})
    better = spacy.blank("en", meta={"performance": {"ents_f": 0.91}})
    assert model_version(other) == model_version(other)
    assert model_version(other) != model_version(better)
    assert model_version(other).startswith("en_pipeline-0.0.0-")
