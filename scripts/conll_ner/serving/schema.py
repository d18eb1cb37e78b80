"""Requests, responses and limits of the service."""

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field, field_validator

BYTES_PER_CHARACTER = 12  # maximum in JSON: a surrogate pair such as \uD83D\uDE00


@dataclass(frozen=True)
class Limits:
    """Limits of requests and of the queue.

    max_texts (int): Texts per request; 413 if exceeded.
    max_characters (int): Characters per request, in all its texts; 413 if exceeded.
    max_waiting (int): Characters in the queue, in all requests; 503 if exceeded. A text counts
        `batcher.TEXT_COST` in addition to its characters.
    timeout (float): Seconds until the body has arrived (408 if exceeded), and then until the
        response (504).
    """

    max_texts: int = 1000
    max_characters: int = 200_000
    max_waiting: int = 2_000_000
    timeout: float = 60.0

    @property
    def max_body(self) -> int:
        """Bytes of a request's body; 413 if exceeded."""
        return BYTES_PER_CHARACTER * self.max_characters + 10_000

    @property
    def max_bodies(self) -> int:
        """Bytes of all bodies in memory; 503 if exceeded. Enough for a full queue."""
        return BYTES_PER_CHARACTER * self.max_waiting + self.max_body


DEFAULT_LIMITS = Limits()


class PredictRequest(BaseModel):
    """One text, or a list of texts."""

    model_config = ConfigDict(extra="forbid")

    text: str | list[str]
    threshold: float | None = Field(
        default=None, ge=0, le=1, description="Minimum confidence score of a mention"
    )

    candidates: float | None = Field(
        default=None,
        ge=0.001,
        le=1,
        description="Also give all spans with at least this score, overlapping ones too",
    )

    @field_validator("text")
    @classmethod
    def check_unicode(cls, value: str | list[str]) -> str | list[str]:
        """RAISES (ValueError): If there is an unpaired surrogate, which JSON allows."""
        try:
            "".join(value).encode("utf-8")
        except UnicodeEncodeError:
            raise ValueError("unpaired surrogate: the text is not valid Unicode") from None
        return value


class MentionResponse(BaseModel):
    text: str
    label: str
    score: float | None = Field(
        description="Confidence: the probability of exactly this span with this label; "
        "null if the pipeline has no scores"
    )
    start: int = Field(description="Offset of the first character, in Unicode code points")
    end: int = Field(description="Offset after the last character, in Unicode code points")


class DocumentResponse(BaseModel):
    mentions: list[MentionResponse]
    candidates: list[MentionResponse] | None = Field(
        default=None, description="If the request asks for them"
    )


class PredictResponse(BaseModel):
    """One document per text, in the order of the texts."""

    documents: list[DocumentResponse]


class ErrorResponse(BaseModel):
    detail: str
