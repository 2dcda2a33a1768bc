"""Bybit's endpoints, and the limits the venue documents for them."""

from __future__ import annotations

from exchanges.bybit.settings import BybitSettings
from exchanges.modes import Mode
from exchanges.resilience import Bucket, Endpoint, StackSettings

PLACE = Endpoint("place_order", write=True, bucket="order", pool="order")
AMEND = Endpoint("amend_order", write=True, bucket="order", pool="order")
CANCEL = Endpoint("cancel_order", write=True, bucket="order", pool="cancel", urgent=True)
CANCEL_ALL = Endpoint("cancel_all", write=True, bucket="order", pool="cancel", urgent=True)
LEVERAGE = Endpoint("set_leverage", write=True, bucket="query", pool="order")

# What a reconciliation or the search for one order believes must be asked of the venue anew.
QUERY_OPEN = Endpoint("query_order", tries=2)
QUERY_ENDED = Endpoint("query_order_history", tries=2)
OPEN_ORDERS = Endpoint("open_orders")
EXECUTIONS = Endpoint("executions")
POSITIONS = Endpoint("positions")
POSITION_MODE = Endpoint("position_mode")
KEY = Endpoint("key_information")
TIME = Endpoint("server_time", bucket="ip", tries=2)
TRADES = Endpoint("recent_trades", bucket="ip", ttl_s=0.5)

WALLET = Endpoint("wallet", ttl_s=10.0)
"""Kept for those alone who name the same reconciliation: it asks for coins once, as balances and as spot holdings."""

BALANCES = Endpoint("balances", ttl_s=10.0)
"""For sizes and displays; forgotten as soon as the venue says that something has changed."""

INSTRUMENTS = Endpoint("instruments", bucket="ip", ttl_s=300.0)
FEES = Endpoint("fee_rates", bucket="fee", ttl_s=3600.0)

CLOSED_BARS = Endpoint("closed_bars", bucket="ip", ttl_s=3600.0)
"""Candles that are over don't change any more."""

RECENT_BARS = Endpoint("recent_bars", bucket="ip", ttl_s=60.0)
"""The settled ones of a block that goes on: with the next candle another question is asked."""

FRESH_BARS = Endpoint("fresh_bars", bucket="ip")

_IP = Bucket("ip", 120, 600, 10.0)
_ORDERS, _QUERIES, _FEES = 10.0, 50.0, 5.0
_PATIENCE_S = {"order": 1.0, "query": 10.0, "fee": 10.0}


def buckets(orders_per_second: float = _ORDERS, queries_per_second: float = _QUERIES) -> tuple[Bucket, ...]:
    """10 order operations and 50 queries a second a user, 5 of fees, and 600 calls in 5 s an address."""

    def second(name: str, rate: float) -> Bucket:
        return Bucket(name, rate, max(rate, 1.0), _PATIENCE_S[name], parent=_IP.name)

    return _IP, second("order", orders_per_second), second("query", queries_per_second), second("fee", _FEES)


def stack_settings(settings: BybitSettings) -> StackSettings:
    """The venue's limits and our patience; only a simulator may be asked more than the venue allows."""
    orders, queries = float(settings.orders_per_second), float(settings.queries_per_second)
    if settings.mode is not Mode.SIM:
        orders, queries = min(orders, _ORDERS), min(queries, _QUERIES)
    return StackSettings(
        buckets=buckets(orders, queries),
        # The SDK's own limits end a call first; this one is for answers that trickle in.
        timeout_s=settings.connect_timeout_s + 2 * settings.request_timeout_s,
        order_threads=settings.order_threads,
        cache_entries=512,
        cancel_threads=settings.cancel_threads,
        query_threads=settings.query_threads,
        tries=settings.read_tries,
        backoff_base_s=settings.retry_base_s,
        backoff_cap_s=settings.retry_cap_s,
    )
