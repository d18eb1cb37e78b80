"""The Prometheus metrics of /metrics."""

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector


class Metrics:
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
        self.bodies = Gauge("ner_body_bytes", "Bytes of request bodies in memory", **options)
        ProcessCollector(**options)  # memory, CPU time, open files; on Linux
