"""What Prometheus is told about the service."""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

__all__ = ["Metrics"]

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 60, 120, 300)


class Metrics:
    """Counts requests, and how long they take; each service has counts of its own."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._requests = Counter(
            "imrestore_requests", "Answers.", ["route", "status"], registry=registry
        )
        self._seconds = Histogram(
            "imrestore_request_seconds",
            "Time from the first byte of a picture to its answer.",
            ["route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._megapixels = Counter(
            "imrestore_megapixels", "Megapixels that were done.", ["route"], registry=registry
        )
        self.under_way = Gauge(
            "imrestore_requests_under_way", "Pictures that wait or are worked on.",
            registry=registry,
        )  # fmt: skip
        self.held = Gauge(
            "imrestore_held_bytes",
            "Bytes of uploads, as stated, and answers that are held.",
            registry=registry,
        )

    def answered(self, route: str, status: int, seconds: float, megapixels: float) -> None:
        """Count an answer of one of the tasks."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)
        self._megapixels.labels(route).inc(megapixels)

    def text(self) -> bytes:
        """Return all of it in the format that Prometheus reads."""
        return generate_latest(self._registry)
