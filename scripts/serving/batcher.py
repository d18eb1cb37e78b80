"""Batch concurrent requests for one pipeline, and count them."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from fastapi import HTTPException
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from spacy.language import Language

from serving.schema import Limits
from texts.annotating import BATCH_CHARACTERS, annotate_texts
from texts.outputs import list_mentions


class Metrics:
    """Prometheus metrics, read at /metrics."""

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
class PendingRequest:
    """A request in the queue."""

    texts: list[str]
    answer: "asyncio.Future[list[list[dict[str, Any]]]]"

    @property
    def size(self) -> int:
        return sum(map(len, self.texts))


class Batcher:
    """Annotates all requests that arrived during the previous batch together.

    It uses one thread: a pipeline isn't thread-safe, and torch uses all cores anyway.
    """

    def __init__(self, nlp: Language, limits: Limits, metrics: Metrics) -> None:
        self.nlp = nlp
        self.limits = limits
        self.metrics = metrics
        self.queue: asyncio.Queue[PendingRequest] = asyncio.Queue()
        self.waiting = 0
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="pipeline")

    async def ask(self, texts: list[str]) -> list[list[dict[str, Any]]]:
        """RETURNS (list[list[dict[str, Any]]]): Each text's mentions.
        RAISES (HTTPException): 503 if the queue is full, 504 after the time-out."""
        request = PendingRequest(texts, asyncio.get_running_loop().create_future())
        if self.waiting and self.waiting + request.size > self.limits.max_waiting:
            raise HTTPException(503, "the queue is full; try again soon", {"Retry-After": "1"})
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
        """Answer requests until cancelled."""
        while True:
            batch = [await self.queue.get()]
            while not self.queue.empty() and sum(r.size for r in batch) < BATCH_CHARACTERS:
                batch.append(self.queue.get_nowait())
            self.change_waiting(-sum(request.size for request in batch))
            try:
                await self.answer(batch)
            except Exception:  # an error must not affect other requests: run each alone
                for request in batch:
                    try:
                        await self.answer([request])
                    except Exception as error:
                        if not request.answer.done():
                            request.answer.set_exception(error)

    async def answer(self, batch: Sequence[PendingRequest]) -> None:
        """Annotate requests together, except those that have timed out."""
        batch = [request for request in batch if not request.answer.done()]
        texts = [text for request in batch for text in request.texts]
        loop = asyncio.get_running_loop()
        rows = await loop.run_in_executor(self.thread, self.run_batch, texts)
        for request in batch:
            own, rows = rows[: len(request.texts)], rows[len(request.texts) :]
            if not request.answer.done():
                request.answer.set_result(own)

    def run_batch(self, texts: Sequence[str]) -> list[list[dict[str, Any]]]:
        with self.nlp.memory_zone():  # else the vocabulary grows with every new word
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
