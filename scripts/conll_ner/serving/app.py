"""The FastAPI application."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from spacy.language import Language
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from conll_ner.common.pipelines import mention_labels
from conll_ner.evaluation.promises import PROMISES
from conll_ner.serving.auth import TokenBackend, bearer, refuse
from conll_ner.serving.batcher import STOPPED, Batcher, Found, Rows
from conll_ner.serving.bodies import BodyLimits
from conll_ner.serving.exact_requests import ExactRoute
from conll_ner.serving.hosts import LOCAL_HOSTS
from conll_ner.serving.label_studio import make_router
from conll_ner.serving.metrics import Metrics
from conll_ner.serving.middleware import ServiceMiddleware
from conll_ner.serving.origins import allow_origins
from conll_ner.serving.page import read_page
from conll_ner.serving.schema import (
    DEFAULT_LIMITS,
    ErrorResponse,
    Limits,
    PredictRequest,
    PredictResponse,
)


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
    fields = ("lang", "name", "version", "description", "license", "performance", PROMISES)
    return {key: nlp.meta.get(key) for key in fields} | {
        "labels": mention_labels(nlp),
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


def create_app(
    nlp: Language,
    limits: Limits = DEFAULT_LIMITS,
    hosts: Sequence[str] = LOCAL_HOSTS,
    token: str | None = None,
    origins: Sequence[str] = (),
    annotations: Path | None = None,
) -> FastAPI:
    """Create the service for a pipeline.

    hosts (Sequence[str]): Accepted values of the Host header, as by `list_allowed_hosts`.
    token (str | None): The token that requests must send. None: no authentication.
    origins (Sequence[str]): Of other web pages that may use the service, as by `check_origins`.
    annotations (Path | None): The file for annotations of Label Studio; None for none.
    RETURNS (FastAPI): With the Batcher as `state.batcher`.
    """
    metrics = Metrics()
    batcher = Batcher(nlp, limits, metrics)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        try:
            await batcher.start()
            yield
        finally:
            batcher.stop()  # the server has already sent all responses

    app = FastAPI(
        title="Named entities",
        description=nlp.meta.get("description") or "",
        version=nlp.meta.get("version") or "0",
        lifespan=lifespan,
        docs_url=None,  # FastAPI's pages load scripts from a CDN
        redoc_url=None,
        middleware=list_middleware(limits, metrics, hosts, token, origins),
        exception_handlers={RequestValidationError: explain_invalid_request},
    )
    app.state.batcher = batcher
    # The middleware checks the token; this is for the OpenAPI schema.
    checked = APIRouter(route_class=ExactRoute)
    if token:
        checked.dependencies.append(Depends(bearer))
        checked.responses[401] = describe("No token, or a wrong one")
    add_predict(checked, batcher, limits)
    add_reports(checked, service_info(nlp, limits), metrics)
    app.include_router(checked)
    app.include_router(make_router(nlp, partial(annotate, batcher, limits), annotations))
    add_open_paths(app, batcher)
    return app


def list_middleware(
    limits: Limits,
    metrics: Metrics,
    hosts: Sequence[str],
    token: str | None,
    origins: Sequence[str],
) -> list[Middleware]:
    """RETURNS (list[Middleware]): From the outside to the inside: a request is refused before its
    body is read, and pages of other origins can read the reason of every refusal."""
    check = (
        [Middleware(AuthenticationMiddleware, TokenBackend(token), on_error=refuse)]
        if token
        else []
    )
    return [
        *allow_origins(origins),
        Middleware(ServiceMiddleware, metrics),
        Middleware(TrustedHostMiddleware, hosts, www_redirect=False),
        *check,
        Middleware(BodyLimits, limits, metrics),
    ]


async def explain_invalid_request(_: Request, error: Exception) -> JSONResponse:
    """FastAPI's response to an invalid request, without the input: it may be long or not valid
    Unicode."""
    kept = ("type", "loc", "msg")
    errors = error.errors() if isinstance(error, RequestValidationError) else []
    for each in errors:
        if each["type"] == "json_invalid":
            each["msg"] += f": {each['ctx']['error']}"
    return JSONResponse({"detail": [{k: e[k] for k in kept} for e in errors]}, 422)


async def annotate(
    batcher: Batcher,
    limits: Limits,
    texts: list[str],
    request: Request,
    least: float | None = None,
) -> Rows:
    """Annotate the texts of a request whose body has been read. As `Batcher.submit`, and raises
    HTTPException 413 too."""
    check_size(texts, limits)
    gone = asyncio.ensure_future(request.receive())  # after the body, only the end can come
    try:
        return await batcher.submit(texts, gone, least) if texts else []
    finally:
        gone.cancel()


def add_predict(router: APIRouter, batcher: Batcher, limits: Limits) -> None:
    """Add POST /predict."""

    @router.post("/predict", response_model=PredictResponse, responses=ERROR_RESPONSES)
    async def predict(body: PredictRequest, request: Request) -> JSONResponse:
        """Find the mentions in one text or in several."""
        texts = [body.text] if isinstance(body.text, str) else body.text
        threshold = body.threshold or 0.0
        found = await annotate(batcher, limits, texts, request, body.candidates)
        documents = [select(document, threshold, body.candidates) for document in found]
        return JSONResponse({"documents": documents})


def select(document: Found, threshold: float, least: float | None) -> dict[str, Any]:
    """RETURNS (dict[str, Any]): A document's mentions and, if they were asked for, its candidates
    with at least these scores."""
    mentions, candidates = document
    response = {"mentions": [m for m in mentions if m["score"] is None or m["score"] >= threshold]}
    if least is not None:
        response["candidates"] = [c for c in candidates if c["score"] >= least]
    return response


def add_reports(router: APIRouter, service: dict[str, Any], metrics: Metrics) -> None:
    """Add /info and /metrics.

    service (dict[str, Any]): The response of /info.
    """

    @router.get("/info")
    async def info() -> dict[str, Any]:
        """The pipeline, its labels and scores, and the limits."""
        return service

    @router.get("/metrics", include_in_schema=False)
    async def prometheus() -> Response:
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)


def add_open_paths(app: FastAPI, batcher: Batcher) -> None:
    """Add what needs no token: /health, /ready, and the page to try the service."""

    @app.head("/health", include_in_schema=False)
    @app.get("/health")
    async def health() -> dict[str, str]:
        """Whether the service is up."""
        return {"status": "ok"}

    @app.head("/ready", include_in_schema=False)
    @app.get("/ready", responses={503: describe("Restart the service")})
    async def ready() -> dict[str, str]:
        """Whether the service can annotate texts."""
        if not batcher.is_running:
            raise HTTPException(503, STOPPED)
        return {"status": "ready"}

    html = read_page()

    @app.get("/", include_in_schema=False)
    async def page() -> HTMLResponse:
        return HTMLResponse(html)
