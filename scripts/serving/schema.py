"""Requests, responses and limits of the service."""

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field, field_validator


@dataclass(frozen=True)
class Limits:
    """Limits of requests and of the queue.

    max_texts (int): Texts in a request.
    max_characters (int): Characters in a request, of all its texts.
    max_waiting (int): Characters in the queue, over all requests; beyond, 503.
    timeout (float): Seconds until a request is answered; beyond, 504.
    """

    max_texts: int = 1000
    max_characters: int = 200_000
    max_waiting: int = 2_000_000
    timeout: float = 60.0


DEFAULT_LIMITS = Limits()


class PredictRequest(BaseModel):
    """One text, or several."""

    model_config = ConfigDict(extra="forbid")

    text: str | list[str]
    threshold: float | None = Field(
        default=None, ge=0, le=1, description="Mentions with a lower score are left out"
    )

    @field_validator("text")
    @classmethod
    def check_unicode(cls, value: str | list[str]) -> str | list[str]:
        """RAISES (ValueError): If there is half of a surrogate pair, as JSON can have."""
        try:
            "".join(value).encode("utf-8")
        except UnicodeEncodeError:
            raise ValueError("it has half of a surrogate pair, which is no character") from None
        return value


class MentionResponse(BaseModel):
    text: str
    label: str
    score: float | None = Field(
        description="Probability of exactly this span with this label; null if none is given"
    )
    start: int = Field(description="First character, counted in Unicode code points")
    end: int = Field(description="Character after the last")


class DocumentResponse(BaseModel):
    mentions: list[MentionResponse]


class PredictResponse(BaseModel):
    """A document for each text, in order."""

    documents: list[DocumentResponse]


class ErrorResponse(BaseModel):
    detail: str
