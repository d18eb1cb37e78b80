"""Requests, responses and limits of the service."""

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field, field_validator


@dataclass(frozen=True)
class Limits:
    """Limits of requests and of the queue.

    max_texts (int): Texts per request; 413 if exceeded.
    max_characters (int): Characters per request, in all its texts; 413 if exceeded.
    max_waiting (int): Characters in the queue, in all requests; 503 if exceeded.
    timeout (float): Seconds until the response; 504 if exceeded.
    """

    max_texts: int = 1000
    max_characters: int = 200_000
    max_waiting: int = 2_000_000
    timeout: float = 60.0


DEFAULT_LIMITS = Limits()


class PredictRequest(BaseModel):
    """One text, or a list of texts."""

    model_config = ConfigDict(extra="forbid")

    text: str | list[str]
    threshold: float | None = Field(
        default=None, ge=0, le=1, description="Minimum confidence score of a mention"
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


class PredictResponse(BaseModel):
    """One document per text, in the order of the texts."""

    documents: list[DocumentResponse]


class ErrorResponse(BaseModel):
    detail: str
