"""A machine-learning backend of Label Studio: predictions for its tasks, and its annotations in a
file, in the protocol of Label Studio 1.23 (https://labelstud.io/guide/ml_create)."""

import hashlib
import json
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

from fastapi import APIRouter, HTTPException, Request
from pydantic import BaseModel, ConfigDict, Field
from spacy.language import Language

from conll_ner.common.exact_json import dump_json
from conll_ner.common.files import append_lines
from conll_ner.common.pipelines import mention_labels
from conll_ner.data.formats.writing import labelstudio_result
from conll_ner.serving.batcher import Found, Rows
from conll_ner.serving.exact_requests import ExactRoute

PREFIX = "/label-studio"
Annotate = Callable[[list[str], Request], Awaitable[Rows]]
log = logging.getLogger("uvicorn.error")


class Setup(BaseModel):
    label_config: str = Field(alias="schema")


class Task(BaseModel):
    """Of the annotations' file: what a reader of Label Studio's exports needs."""

    id: int
    data: dict[str, Any]


class Tasks(BaseModel):
    tasks: list[Task]
    label_config: str


class Annotation(BaseModel):
    model_config = ConfigDict(extra="allow")

    id: int
    task: int
    result: list[dict[str, Any]]


class Event(BaseModel):
    """An event of the webhook. Only those of new and changed annotations have these fields; several
    annotations come with a task for each."""

    annotation: Annotation | list[Annotation] = []
    task: Task | list[Task] = []


class Control(NamedTuple):
    """A tag Labels in the labelling interface.

    name (str): Its name.
    text (str): The name of its tag Text.
    field (str): The field of a task's data that the Text shows.
    labels (set[str]): The names of its labels.
    """

    name: str
    text: str
    field: str
    labels: set[str]


def read_interface(config: str) -> list[Control]:
    """Find the tags Labels that mark mentions in a tag Text.

    config (str): The labelling interface, in XML.
    RAISES (HTTPException): 422 if it isn't XML, has a document type, which can define entities
        that expand to gigabytes, or has no such tag.
    """
    try:
        if "<!DOCTYPE" in config:
            raise ValueError("a document type is not allowed")
        root = ElementTree.fromstring(config)
    except (ElementTree.ParseError, ValueError) as error:
        raise HTTPException(422, f"the labelling interface can't be read: {error}") from None
    texts = {
        tag.get("name"): tag.get("value", "").removeprefix("$")
        for tag in root.iter("Text")
        if tag.get("valueType", "text") == "text"  # not "url": the text would be in another place
    }
    controls = [
        Control(
            tag.get("name", ""),
            tag.get("toName", ""),
            texts[tag.get("toName")],
            {str(label.get("alias", label.get("value"))) for label in tag.iter("Label")},
        )
        for tag in root.iter("Labels")
        if tag.get("toName") in texts
    ]
    if not controls:
        raise HTTPException(422, "the labelling interface has no Labels for a Text with a text")
    return controls


def model_version(nlp: Language) -> str:
    """RETURNS (str): Name and version, and a hash of `meta`, which has the scores of the training:
    Label Studio asks for predictions again only if a task has none of this version."""
    meta = nlp.meta
    digest = hashlib.sha256(json.dumps(meta, sort_keys=True, default=str).encode()).hexdigest()
    return f"{meta['lang']}_{meta['name']}-{meta['version']}-{digest[:8]}"


def find_texts(tasks: Sequence[Task], controls: Sequence[Control]) -> Iterator[str]:
    """YIELDS (str): The text of each control in each task. What is no text, such as a number, has
    no mentions; neither has an unpaired surrogate, which isn't valid Unicode."""
    for task in tasks:
        for control in controls:
            text = task.data.get(control.field)
            text = text if isinstance(text, str) else ""
            yield text.encode(errors="replace").decode()


def predict_task(
    controls: Sequence[Control], found: Iterable[Found], version: str
) -> dict[str, Any]:
    """RETURNS (dict[str, Any]): A task's prediction, with the lowest score of its mentions.

    found (Iterable[Found]): What is found in the text of each control.
    """
    parts = [
        labelstudio_result([m for m in each.mentions if m["label"] in c.labels], c.name, c.text)
        for c, each in zip(controls, found, strict=True)
    ]
    result = [region for part in parts for region in part["result"]]
    for number, region in enumerate(result, start=1):
        region["id"] = f"m{number}"
    scores = [part["score"] for part in parts if "score" in part]
    return {
        "result": result,
        "model_version": version,
        **({"score": min(scores)} if scores else {}),
    }


def make_router(nlp: Language, annotate: Annotate, annotations: Path | None) -> APIRouter:
    """RETURNS (APIRouter): The backend's routes.

    annotate (Callable): Annotates the texts of a request.
    annotations (Path | None): The file that annotations are appended to; None for none.
    """
    router = APIRouter(prefix=PREFIX, route_class=ExactRoute, include_in_schema=False)
    labels = mention_labels(nlp)
    version = model_version(nlp)

    @router.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "UP"}

    @router.post("/setup")
    async def setup(body: Setup) -> dict[str, Any]:
        controls = read_interface(body.label_config)
        missing = [each for each in labels if not any(each in c.labels for c in controls)]
        if missing:
            log.warning("Label Studio: left out, as no Label has the name: %s", ", ".join(missing))
        return {"model_version": version, "left_out": missing}

    @router.post("/predict")
    async def predict(body: Tasks, request: Request) -> dict[str, Any]:
        controls = read_interface(body.label_config)
        found = iter(await annotate(list(find_texts(body.tasks, controls)), request))
        results = [
            predict_task(controls, [next(found) for _ in controls], version) for _ in body.tasks
        ]
        return {"results": results, "model_version": version}

    @router.post("/webhook")
    def webhook(body: Event) -> dict[str, int]:
        rows = list_annotations(body)
        if annotations and rows:
            append_lines(annotations, map(dump_json, rows))
        return {"saved": len(rows) if annotations else 0}

    return router


def list_annotations(event: Event) -> list[dict[str, Any]]:
    """RETURNS (list[dict[str, Any]]): Each annotation that is new or changed as a task of Label
    Studio's export, which `convert` reads: it takes the last version of each annotation."""
    annotations = event.annotation if isinstance(event.annotation, list) else [event.annotation]
    tasks = {t.id: t for t in (event.task if isinstance(event.task, list) else [event.task])}
    return [
        tasks[each.task].model_dump() | {"annotations": [each.model_dump()]}
        for each in annotations
        if each.task in tasks
    ]
