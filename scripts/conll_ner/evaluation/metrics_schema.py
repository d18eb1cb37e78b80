"""What the files of train and evaluate hold, as far as other commands read it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError

from conll_ner.common.console import InputError, shorten

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]


class Backbone(BaseModel):
    name: str = ""


class Record(BaseModel):
    """run.json of train or hf-train. A checkpoint that was imported has none: it is empty."""

    config: str = ""
    seed: int | None = None
    overrides: dict[str, Any] = {}
    backbone: Backbone = Backbone()
    epochs: float = 0
    steps: Count = 0
    seconds: float = 0
    hardware: str = ""
    versions: dict[str, str | None] = {}


class Row(BaseModel):
    precision: Share
    recall: Share
    f1: Share


class Protocol(BaseModel):
    overall: Row
    types: dict[str, Row]


class Scores(BaseModel):
    """The scores of a split. by_document: correct, predicted and gold mentions."""

    conlleval: Protocol
    token_accuracy: Share
    by_document: list[tuple[Count, Count, Count]] = []
    f1_interval: tuple[Share, Share] | None = None
    sha256: str = ""


class Metrics(BaseModel):
    name: str
    training: Record
    corpus: dict[str, str] = {}
    splits: Annotated[dict[str, Scores], Field(min_length=1)]


def check_shape(
    content: Mapping[str, Any], model: type[BaseModel], path: Path, remedy: str
) -> None:
    """RAISES (InputError): If the content of a file isn't what the model says. Names the first
    field that is wrong."""
    try:
        model.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        field = shorten(".".join(map(str, first["loc"])))
        raise InputError(f"{path}: {field}: {first['msg'].lower()}; {remedy}") from None
