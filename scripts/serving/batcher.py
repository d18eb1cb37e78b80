"""Batch concurrent requests for one pipeline, with Prometheus metrics."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from fastapi import HTTPException
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from spacy.language import Language

from common.device import inherit_device
from serving.schema import Limits
from texts.annotating import BATCH_CHARACTERS, annotate_texts
from texts.outputs import list_mentions


class Metrics:
    """The Prometheus metrics of /metrics."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        options: dict[str, Any] = {"registry": self.registry}
        self.requests = Counter("ner_requests", "Responses", ["path", "status"], **options)
        self.seconds = Histogram(
            "ner_request_seconds", "Seconds from request to response", **options
        )
        self.texts = Counter("ner_texts", "Texts annotated", **options)
        self.words = Counter("ner_words", "Words annotated", **options)
        self.mentions = Counter("ner_mentions", "Mentions found", ["label"], **options)
        self.batch = Histogram(
            "ner_batch_texts",
            "Texts per batch",
            buckets=[2**i for i in range(11)],
            **options,
        )
        self.waiting = Gauge("ner_waiting_characters", "Characters in the queue", **options)


@dataclass
class PendingRequest:
    """A request in the queue. The result is the mentions of each text."""

    texts: list[str]
    result: "asyncio.Future[list[list[dict[str, Any]]]]"

    @property
    def size(self) -> int:
        return sum(map(len, self.texts))


class Batcher:
    """Annotates the requests that arrive while a batch is in progress in the next batch.

    Batches run in one thread: a pipeline isn't thread-safe, and torch uses all cores anyway.
    """

    def __init__(self, nlp: Language, limits: Limits, metrics: Metrics) -> None:
        self.nlp = nlp
        self.limits = limits
        self.metrics = metrics
        self.queue: asyncio.Queue[PendingRequest] = asyncio.Queue()
        self.waiting = 0
        self.thread = ThreadPoolExecutor(
            1, thread_name_prefix="pipeline", initializer=inherit_device()
        )

    async def submit(self, texts: list[str]) -> list[list[dict[str, Any]]]:
        """Queue a request, and wait for its result.

        RETURNS (list[list[dict[str, Any]]]): The mentions of each text.
        RAISES (HTTPException): 503 if the queue is full, 504 after the timeout.
        """
        request = PendingRequest(texts, asyncio.get_running_loop().create_future())
        if self.waiting and self.waiting + request.size > self.limits.max_waiting:
            raise HTTPException(503, "the queue is full; retry later", {"Retry-After": "1"})
        self.change_waiting(request.size)
        self.queue.put_nowait(request)
        try:
            return await asyncio.wait_for(request.result, self.limits.timeout)
        except TimeoutError:
            raise HTTPException(504, f"timed out after {self.limits.timeout:g} seconds") from None

    def change_waiting(self, characters: int) -> None:
        self.waiting += characters
        self.metrics.waiting.set(self.waiting)

    async def run(self) -> None:
        """Process the queue until cancelled."""
        while True:
            batch = [await self.queue.get()]
            while not self.queue.empty() and sum(r.size for r in batch) < BATCH_CHARACTERS:
                batch.append(self.queue.get_nowait())
            self.change_waiting(-sum(request.size for request in batch))
            try:
                await self.process(batch)
            except Exception:  # retry one by one: a request must not fail because of another
                for request in batch:
                    try:
                        await self.process([request])
                    except Exception as error:
                        if not request.result.done():
                            request.result.set_exception(error)

    async def process(self, batch: Sequence[PendingRequest]) -> None:
        """Annotate requests in one batch, except those that have timed out."""
        batch = [request for request in batch if not request.result.done()]
        texts = [text for request in batch for text in request.texts]
        loop = asyncio.get_running_loop()
        rows = await loop.run_in_executor(self.thread, self.run_batch, texts)
        for request in batch:
            own, rows = rows[: len(request.texts)], rows[len(request.texts) :]
            if not request.result.done():
                request.result.set_result(own)

    def run_batch(self, texts: Sequence[str]) -> list[list[dict[str, Any]]]:
        with self.nlp.memory_zone():  # otherwise the vocabulary grows with every new word
            docs = annotate_texts(self.nlp, texts, ())
            self.metrics.texts.inc(len(docs))
            self.metrics.batch.observe(len(docs))
            self.metrics.words.inc(sum(map(len, docs)))
            rows = [list_mentions(doc) for doc in docs]
            del docs
        for row in rows:
            for mention in row:
                self.metrics.mentions.labels(mention["label"]).inc()
        return rows
