"""The FastAPI application."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from spacy.language import Language
from starlette.middleware import Middleware

from serving.batcher import Batcher
from serving.bodies import BodyLimits
from serving.disconnects import unless_gone
from serving.metrics import Metrics
from serving.middleware import ServiceMiddleware
from serving.schema import DEFAULT_LIMITS, ErrorResponse, Limits, PredictRequest, PredictResponse

PAGE = Path(__file__).with_name("page.html")


def check_size(texts: Sequence[str], limits: Limits) -> None:
    """RAISES (HTTPException): 413 if a request has too many texts or characters."""
    if len(texts) > limits.max_texts:
        raise HTTPException(413, f"{len(texts):,} texts; at most {limits.max_texts:,} per request")
    size = sum(map(len, texts))
    if size > limits.max_characters:
        raise HTTPException(
            413, f"{size:,} characters; at most {limits.max_characters:,} per request"
        )


def service_info(nlp: Language, limits: Limits) -> dict[str, Any]:
    """RETURNS (dict[str, Any]): The response of /info."""
    fields = ("lang", "name", "version", "description", "license", "performance")
    labels = {label for values in nlp.pipe_labels.values() for label in values}
    return {key: nlp.meta.get(key) for key in fields} | {
        "labels": sorted(labels),
        "pipeline": nlp.pipe_names,
        "limits": asdict(limits),
    }


def describe(description: str) -> dict[str, Any]:
    """RETURNS (dict[str, Any]): An error response for the OpenAPI schema."""
    return {"model": ErrorResponse, "description": description}


ERROR_RESPONSES: dict[int | str, dict[str, Any]] = {
    408: describe("The body did not arrive in time"),
    413: describe("Too many texts or characters"),
    503: describe("Too many requests are waiting; see the header Retry-After"),
    504: describe("Timeout"),
}


def create_app(nlp: Language, limits: Limits = DEFAULT_LIMITS) -> FastAPI:
    """RETURNS (FastAPI): The service for a pipeline."""
    metrics = Metrics()
    batcher = Batcher(nlp, limits, metrics)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        batcher.start()
        yield
        batcher.stop()  # the server has already sent all responses

    app = FastAPI(
        title="Named entities",
        description=nlp.meta.get("description") or "",
        version=nlp.meta.get("version") or "0",
        lifespan=lifespan,
        docs_url=None,  # FastAPI's pages load scripts from a CDN
        redoc_url=None,
        middleware=[
            Middleware(ServiceMiddleware, metrics),
            Middleware(BodyLimits, limits, metrics),
        ],
        exception_handlers={RequestValidationError: explain_invalid_request},
    )
    add_predict(app, batcher, limits)
    add_pages(app, service_info(nlp, limits), metrics)
    return app


async def explain_invalid_request(_: Request, error: Exception) -> JSONResponse:
    """FastAPI's response to an invalid request, without the input: it may be long or not valid
    Unicode."""
    kept = ("type", "loc", "msg")
    errors = error.errors() if isinstance(error, RequestValidationError) else []
    return JSONResponse({"detail": [{k: e[k] for k in kept} for e in errors]}, 422)


def add_predict(app: FastAPI, batcher: Batcher, limits: Limits) -> None:
    """Add POST /predict."""

    @app.post("/predict", response_model=PredictResponse, responses=ERROR_RESPONSES)
    async def predict(body: PredictRequest, request: Request) -> JSONResponse:
        """Find the mentions in one text or in several."""
        texts = [body.text] if isinstance(body.text, str) else body.text
        check_size(texts, limits)
        threshold = body.threshold or 0.0
        rows = await unless_gone(request, batcher.submit(texts)) if texts else []
        documents = [
            {"mentions": [m for m in row if m["score"] is None or m["score"] >= threshold]}
            for row in rows
        ]
        return JSONResponse({"documents": documents})


def add_pages(app: FastAPI, service: dict[str, Any], metrics: Metrics) -> None:
    """Add /health, /info, /metrics, and the page to try the service.

    service (dict[str, Any]): The response of /info.
    """

    @app.get("/health")
    async def health() -> dict[str, str]:
        """Whether the service is up."""
        return {"status": "ok"}

    @app.get("/info")
    async def info() -> dict[str, Any]:
        """The pipeline, its labels and scores, and the limits."""
        return service

    @app.get("/metrics", include_in_schema=False)
    async def prometheus() -> Response:
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(PAGE)
