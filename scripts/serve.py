"""A pipeline as a service: POST /predict, and a page at / to try it on."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
import uvicorn
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from pydantic import BaseModel, ConfigDict, Field, field_validator
from spacy.language import Language
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from console import clear_errors
from outputs import list_mentions
from predict import BATCH_CHARACTERS, annotate, load

PAGE = Path(__file__).parent / "serve.html"
BYTES_PER_CHARACTER = 12  # at most, in JSON: a character beyond the first 65,536 as \uD83D\uDE00
# Nothing is fetched from elsewhere, and a mention's text is never markup.
SECURITY = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
        "connect-src 'self'; img-src data:"
    ),
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True)
class Limits:
    """What a request may ask for.

    max_texts (int): Texts in a request.
    max_characters (int): Characters in a request, of all its texts.
    max_waiting (int): Characters that wait for their turn, of all requests; beyond, 503.
    timeout (float): Seconds that a request waits; beyond, 504.
    """

    max_texts: int = 1000
    max_characters: int = 200_000
    max_waiting: int = 2_000_000
    timeout: float = 60.0


class Ask(BaseModel):
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


class Mention(BaseModel):
    text: str
    label: str
    score: float | None = Field(
        description="Probability of exactly this span with this label; null if none is given"
    )
    start: int = Field(description="First character, counted in Unicode code points")
    end: int = Field(description="Character after the last")


class Found(BaseModel):
    mentions: list[Mention]


class Answer(BaseModel):
    """A document for each text, in order."""

    documents: list[Found]


class Problem(BaseModel):
    detail: str


class Metrics:
    """What Prometheus reads at /metrics."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        options: dict[str, Any] = {"registry": self.registry}
        self.requests = Counter("ner_requests", "Answers", ["path", "status"], **options)
        self.seconds = Histogram("ner_request_seconds", "From request to answer", **options)
        self.texts = Counter("ner_texts", "Texts annotated", **options)
        self.words = Counter("ner_words", "Words annotated", **options)
        self.mentions = Counter("ner_mentions", "Mentions found", ["label"], **options)
        self.batch = Histogram(
            "ner_batch_texts",
            "Texts annotated at once",
            buckets=[2**i for i in range(11)],
            **options,
        )
        self.waiting = Gauge("ner_waiting_characters", "Characters in the queue", **options)


@dataclass
class Waiting:
    """A request in the queue."""

    texts: list[str]
    answer: "asyncio.Future[list[list[dict[str, Any]]]]"

    @property
    def size(self) -> int:
        return sum(map(len, self.texts))


class Batcher:
    """Annotates what has come in while the last batch was at work, all together.

    One thread does it: a pipeline isn't made for two, and torch uses all cores as it is.
    """

    def __init__(self, nlp: Language, limits: Limits, metrics: Metrics) -> None:
        self.nlp = nlp
        self.limits = limits
        self.metrics = metrics
        self.queue: asyncio.Queue[Waiting] = asyncio.Queue()
        self.waiting = 0
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="pipeline")

    async def ask(self, texts: list[str]) -> list[list[dict[str, Any]]]:
        """RETURNS (list[list[dict[str, Any]]]): Each text's mentions.
        RAISES (HTTPException): 503 if too much waits already, 504 if it takes too long."""
        request = Waiting(texts, asyncio.get_running_loop().create_future())
        if self.waiting and self.waiting + request.size > self.limits.max_waiting:
            raise HTTPException(
                503, "too many requests wait already; try again soon", {"Retry-After": "1"}
            )
        self.change_waiting(request.size)
        self.queue.put_nowait(request)
        try:
            return await asyncio.wait_for(request.answer, self.limits.timeout)
        except TimeoutError:
            raise HTTPException(504, f"not done in {self.limits.timeout:g} seconds") from None

    def change_waiting(self, characters: int) -> None:
        self.waiting += characters
        self.metrics.waiting.set(self.waiting)

    async def run(self) -> None:
        """Answer requests for ever."""
        while True:
            batch = [await self.queue.get()]
            while not self.queue.empty() and sum(r.size for r in batch) < BATCH_CHARACTERS:
                batch.append(self.queue.get_nowait())
            self.change_waiting(-sum(request.size for request in batch))
            try:
                await self.answer(batch)
            except Exception:  # one's error isn't the others': each alone
                for request in batch:
                    try:
                        await self.answer([request])
                    except Exception as error:
                        if not request.answer.done():
                            request.answer.set_exception(error)

    async def answer(self, batch: Sequence[Waiting]) -> None:
        """Annotate requests together. Those that have timed out are left out."""
        batch = [request for request in batch if not request.answer.done()]
        texts = [text for request in batch for text in request.texts]
        loop = asyncio.get_running_loop()
        rows = await loop.run_in_executor(self.thread, self.annotate, texts)
        for request in batch:
            own, rows = rows[: len(request.texts)], rows[len(request.texts) :]
            if not request.answer.done():
                request.answer.set_result(own)

    def annotate(self, texts: Sequence[str]) -> list[list[dict[str, Any]]]:
        with self.nlp.memory_zone():  # else the vocabulary grows with every new word
            docs = annotate(self.nlp, texts, ())
            self.metrics.texts.inc(len(docs))
            self.metrics.batch.observe(len(docs))
            self.metrics.words.inc(sum(map(len, docs)))
            rows = [list_mentions(doc) for doc in docs]
            del docs
        for row in rows:
            for mention in row:
                self.metrics.mentions.labels(mention["label"]).inc()
        return rows


class Gate:
    """What every request goes through: refuses bodies that are too long before they are read, or
    while they come in pieces; adds headers; counts answers."""

    def __init__(self, app: ASGIApp, max_bytes: int, metrics: Metrics) -> None:
        self.app = app
        self.max_bytes = max_bytes
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start = time.perf_counter()
        status = 500
        received = 0
        too_long = f"the body is over {self.max_bytes:,} bytes"

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self.max_bytes:
                raise HTTPException(413, too_long)
            return message

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message).update(SECURITY)
            await send(message)

        length = dict(scope["headers"]).get(b"content-length", b"0")
        try:
            if int(length) > self.max_bytes:
                await JSONResponse({"detail": too_long}, 413)(scope, receive, noted)
            else:
                await self.app(scope, counted, noted)
        finally:
            route = scope.get("route")
            path = route.path if route is not None else "other"
            self.metrics.requests.labels(path, status).inc()
            if path == "/predict":
                self.metrics.seconds.observe(time.perf_counter() - start)


def check_size(texts: Sequence[str], limits: Limits) -> None:
    """RAISES (HTTPException): 413 if a request is too large."""
    if len(texts) > limits.max_texts:
        raise HTTPException(413, f"{len(texts):,} texts; at most {limits.max_texts:,} a request")
    size = sum(map(len, texts))
    if size > limits.max_characters:
        raise HTTPException(
            413, f"{size:,} characters; at most {limits.max_characters:,} a request"
        )


def describe(nlp: Language, limits: Limits) -> dict[str, Any]:
    """RETURNS (dict[str, Any]): What /info tells."""
    known = ("lang", "name", "version", "description", "license", "performance")
    labels = {label for values in nlp.pipe_labels.values() for label in values}
    return {key: nlp.meta.get(key) for key in known} | {
        "labels": sorted(labels),
        "pipeline": nlp.pipe_names,
        "limits": asdict(limits),
    }


def create_app(nlp: Language, limits: Limits = Limits()) -> FastAPI:
    """RETURNS (FastAPI): The service."""
    metrics = Metrics()
    batcher = Batcher(nlp, limits, metrics)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        task = asyncio.create_task(batcher.run())
        yield
        task.cancel()  # the server has waited for all answers
        batcher.thread.shutdown()

    app = FastAPI(
        title="Named entities",
        description=nlp.meta.get("description") or "",
        version=nlp.meta.get("version") or "0",
        lifespan=lifespan,
        docs_url=None,  # their pages are made by scripts from elsewhere
        redoc_url=None,
    )
    max_bytes = BYTES_PER_CHARACTER * limits.max_characters + 10_000
    app.add_middleware(Gate, max_bytes=max_bytes, metrics=metrics)

    @app.exception_handler(RequestValidationError)
    async def explain(_: Request, error: RequestValidationError) -> JSONResponse:
        """As FastAPI's own, without the input, which may be long, or no Unicode."""
        kept = ("type", "loc", "msg")
        return JSONResponse({"detail": [{k: e[k] for k in kept} for e in error.errors()]}, 422)

    problems: dict[int | str, dict[str, Any]] = {
        413: {"model": Problem, "description": "Too many texts or characters"},
        503: {"model": Problem, "description": "Too much waits already: see Retry-After"},
        504: {"model": Problem, "description": "Not done in time"},
    }

    @app.post("/predict", response_model=Answer, responses=problems)
    async def predict(ask: Ask) -> JSONResponse:
        """Find the mentions of one text or of several."""
        texts = [ask.text] if isinstance(ask.text, str) else ask.text
        check_size(texts, limits)
        least = ask.threshold or 0.0
        rows = await batcher.ask(texts) if texts else []
        documents = [
            {"mentions": [m for m in row if m["score"] is None or m["score"] >= least]}
            for row in rows
        ]
        return JSONResponse({"documents": documents})

    @app.get("/health")
    async def health() -> dict[str, str]:
        """Whether the service is up."""
        return {"status": "ok"}

    @app.get("/info")
    async def info() -> dict[str, Any]:
        """The pipeline, its labels and scores, and the limits."""
        return describe(nlp, limits)

    @app.get("/metrics", include_in_schema=False)
    async def prometheus() -> Response:
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(PAGE)

    return app


def main(
    pipeline: Annotated[str, typer.Argument(help="Folder or installed package")],
    host: Annotated[str, typer.Option(help="0.0.0.0 for all interfaces")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535)] = 8000,
    device: Annotated[str, typer.Option(help="auto, cpu, or a GPU's number")] = "auto",
    max_characters: Annotated[
        int, typer.Option(min=1, help="Of a request")
    ] = Limits.max_characters,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds")] = Limits.timeout,
) -> None:
    """Serve a pipeline over HTTP, until it is told to stop: then what was accepted is finished."""
    with clear_errors():
        nlp = load(pipeline, device, None, ())
        limits = Limits(max_characters=min(max_characters, nlp.max_length), timeout=timeout)
        app = create_app(nlp, limits)
        uvicorn.run(app, host=host, port=port, log_level="info", access_log=False)


if __name__ == "__main__":
    typer.run(main)
