"""Batch concurrent requests for one pipeline."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any, NamedTuple

from fastapi import HTTPException
from spacy.language import Language

from conll_ner.common.device import inherit_device
from conll_ner.common.pipelines import find_heads, try_pipeline
from conll_ner.data.mentions import describe_candidates, list_mentions
from conll_ner.prediction.annotating import BATCH_CHARACTERS, annotate_texts
from conll_ner.serving.bodies import ClientGone
from conll_ner.serving.metrics import Metrics
from conll_ner.serving.schema import Limits

# Characters that a text counts in addition to its own. Measured with MiniLM on one core: a text of
# one word takes 1.9 ms, as long as 77 characters of a long text (25 µs each). An empty text takes
# only 0.02 ms, but 6 kB of memory, as much as hundreds of characters.
TEXT_COST = 75
STOPPED = "texts aren't annotated any more; restart the service"
log = logging.getLogger("uvicorn.error")


class Found(NamedTuple):
    """What is found in a text: rows of `list_mentions`. Candidates have the least score of all
    requests of the batch, so a request must drop those below its own."""

    mentions: list[dict[str, Any]]
    candidates: list[dict[str, Any]]


Rows = list[Found]
Job = Future[Rows]


class PendingRequest:
    """A request in the queue.

    least (float | None): Least score of a candidate; None for no candidates.
    cost (int): The characters that the request counts in the queue and in a batch.
    """

    def __init__(self, texts: list[str], least: float | None) -> None:
        self.texts = texts
        self.least = least
        self.cost = sum(map(len, texts)) + TEXT_COST * len(texts)
        self.result: asyncio.Future[Rows] = asyncio.get_running_loop().create_future()


class Batcher:
    """Annotates the requests that arrive while a batch is in progress in the next batch.

    Batches run in one thread: a pipeline isn't thread-safe, and torch uses all cores anyway. If the
    thread or the queue's task ends, all requests get 503.

    on_failure (Callable): Called once then, in the event loop.
    """

    def __init__(self, nlp: Language, limits: Limits, metrics: Metrics) -> None:
        self.nlp = nlp
        self.heads = list(find_heads(nlp).values())
        self.limits = limits
        self.metrics = metrics
        self.queue: OrderedDict[PendingRequest, None] = OrderedDict()  # removal at any place
        self.arrived = asyncio.Event()
        self.waiting = 0  # cost of the queue
        self.jobs: SimpleQueue[tuple[Job, Sequence[str], float | None] | None] = SimpleQueue()
        self.task: asyncio.Task[None] | None = None
        self.failure: asyncio.Future[None] | None = None
        self.on_failure: Callable[[], None] = lambda: None
        self.thread = ThreadPoolExecutor(
            1, thread_name_prefix="pipeline", initializer=inherit_device()
        )

    async def start(self) -> None:
        """Annotate a text in the thread, and then what is in the queue."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self.thread, try_pipeline, self.nlp)
        self.failure = loop.create_future()
        self.task = asyncio.create_task(self.process_queue())
        for part in (self.task, loop.run_in_executor(self.thread, self.run_jobs)):
            part.add_done_callback(self.notice_end)

    def stop(self) -> None:
        if self.task is not None:
            self.task.cancel()
        self.jobs.put(None)
        self.thread.shutdown()

    @property
    def is_running(self) -> bool:
        return self.failure is not None and not self.failure.done()

    def notice_end(self, part: "asyncio.Future[None]") -> None:
        """Fail unless the thread or the task has ended because of `stop`."""
        error = None if part.cancelled() else part.exception()
        if error and self.failure and not self.failure.done():
            log.error("Texts aren't annotated any more", exc_info=error)
            self.failure.set_result(None)
            self.on_failure()

    async def submit(
        self, texts: list[str], gone: "asyncio.Future[Any]", least: float | None = None
    ) -> Rows:
        """Queue a request, and wait for its result. A request that nobody waits for any more leaves
        the queue.

        gone (asyncio.Future[Any]): Is done when the client closes the connection.
        least (float | None): Least score of a candidate; None for no candidates.
        RETURNS (Rows): What is found in each text.
        RAISES (HTTPException): 503 if the queue is full or texts aren't annotated any more, 504
            after the timeout, 499 if the client has gone.
        """
        assert self.failure is not None  # by start
        request = PendingRequest(texts, least)
        if self.waiting and self.waiting + request.cost > self.limits.max_waiting:
            raise HTTPException(503, "the queue is full; retry later", {"Retry-After": "1"})
        self.queue[request] = None
        self.change_waiting(request.cost)
        self.arrived.set()
        try:
            await asyncio.wait(
                (request.result, gone, self.failure),
                timeout=self.limits.timeout,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if request.result.done():
                return request.result.result()
        finally:
            request.result.cancel()
            if request in self.queue:
                del self.queue[request]
                self.change_waiting(-request.cost)
        if gone.done():
            raise ClientGone
        if not self.is_running:
            raise HTTPException(503, STOPPED)
        raise HTTPException(504, f"timed out after {self.limits.timeout:g} seconds")

    def change_waiting(self, cost: int) -> None:
        self.waiting += cost
        self.metrics.waiting.set(self.waiting)

    async def process_queue(self) -> None:
        """Process the queue until cancelled."""
        while True:
            batch = await self.next_batch()
            try:
                await self.process(batch)
            except Exception:  # retry one by one: a request must not fail because of another
                for request in batch:
                    try:
                        await self.process([request])
                    except Exception as error:
                        if not request.result.done():
                            request.result.set_exception(error)

    async def next_batch(self) -> list[PendingRequest]:
        """RETURNS (list[PendingRequest]): The first requests of the queue: as many as fit in a
        batch, or a single larger one."""
        while not self.queue:
            self.arrived.clear()
            await self.arrived.wait()
        batch: list[PendingRequest] = []
        cost = 0
        while self.queue:
            request = next(iter(self.queue))
            if batch and cost + request.cost > BATCH_CHARACTERS:
                break
            del self.queue[request]
            batch.append(request)
            cost += request.cost
        self.change_waiting(-cost)
        return batch

    async def process(self, batch: Sequence[PendingRequest]) -> None:
        """Annotate requests in one batch, except those that have an answer or wait for none."""
        batch = [request for request in batch if not request.result.done()]
        if not batch:
            return
        texts = [text for request in batch for text in request.texts]
        job = Job()
        least = min((r.least for r in batch if r.least is not None), default=None)
        self.jobs.put((job, texts, least))
        rows = await asyncio.wrap_future(job)
        for request in batch:
            own, rows = rows[: len(request.texts)], rows[len(request.texts) :]
            if not request.result.done():
                request.result.set_result(own)

    def run_jobs(self) -> None:
        """In the thread: annotate batches until None arrives."""
        for job, texts, least in iter(self.jobs.get, None):
            if not job.set_running_or_notify_cancel():
                continue
            try:
                job.set_result(self.run_batch(texts, least))
            except Exception as error:
                job.set_exception(error)
            except BaseException as error:  # such as a panic in the tokenizer, which is in Rust
                job.set_exception(RuntimeError(f"{type(error).__name__}: {error}"))

    def run_batch(self, texts: Sequence[str], least: float | None) -> Rows:
        for head in self.heads:
            head.candidates = least
        with self.nlp.memory_zone():  # otherwise the vocabulary grows with every new word
            docs = annotate_texts(self.nlp, texts, ())
            self.metrics.texts.inc(len(docs))
            self.metrics.batch.observe(len(docs))
            self.metrics.words.inc(sum(map(len, docs)))
            rows = [Found(list_mentions(doc), describe_candidates(doc)) for doc in docs]
            del docs
        for row in rows:
            for mention in row.mentions:
                self.metrics.mentions.labels(mention["label"]).inc()
        return rows
