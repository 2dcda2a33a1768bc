"""What keeps every venue's REST calls safe: cache, breaker, limiter, retry, timeout, bounded threads."""

from exchanges.resilience.endpoint import Bucket, Endpoint, StackSettings
from exchanges.resilience.stack import Stack

__all__ = ["Bucket", "Endpoint", "Stack", "StackSettings"]
