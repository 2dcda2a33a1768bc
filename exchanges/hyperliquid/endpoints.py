"""Hyperliquid's calls, and the limits the venue documents for them.

An IP address has 1200 units of weight a minute. An action costs 1 (and 1 more for each 40 of a batch); ``l2Book``,
``clearinghouseState`` and ``orderStatus`` cost 2, ``userRole`` 60, every other question 20, and lists 1 more for each
20 rows (candles 60) they answer with (documented). The costs here leave room for the rows that usually come.
An address may also send no more than one action for each dollar it has traded, and 10,000 before (documented):
that count is the venue's alone, its refusal is ``ADDRESS_LIMIT``.
"""

from __future__ import annotations

from exchanges.hyperliquid.settings import HyperliquidSettings
from exchanges.modes import Mode
from exchanges.resilience import Bucket, Endpoint, StackSettings

_LIGHT, _PLAIN, _LIST, _ROLE = 2.0, 20.0, 25.0, 60.0
_WEIGHT = 1200.0
_RESERVE = 24.0
"""Weight that is left to cancels: a list of what works, and some actions that end it."""

PLACE = Endpoint("place_order", write=True, bucket="order", pool="order")
CANCEL = Endpoint("cancel_order", write=True, bucket="order", pool="cancel", urgent=True)
LEVERAGE = Endpoint("update_leverage", write=True, bucket="order", pool="order")
OPENING = (PLACE, LEVERAGE)

# What a reconciliation or the search for one order believes must be asked of the venue anew.
ORDER = Endpoint("order_status", bucket="info", cost=_LIGHT, tries=2)
HISTORY = Endpoint("historical_orders", bucket="info", cost=_LIST, tries=2)
OPEN_ORDERS = Endpoint("open_orders", bucket="info", cost=_PLAIN)
CANCELLABLE = Endpoint("cancellable_orders", bucket="info", cost=_PLAIN, urgent=True, pool="cancel", tries=1)
"""The same list, asked for because all of them are to be cancelled: as urgent as that."""

FILLS = Endpoint("fills", bucket="info", cost=_LIST)
FUNDING = Endpoint("user_funding", bucket="info", cost=_LIST)
STATE = Endpoint("clearinghouse_state", bucket="info", cost=_LIGHT, ttl_s=10.0)
"""Kept for those alone who name the same reconciliation: it asks once, for positions and for cash."""

ROLE = Endpoint("user_role", bucket="info", cost=_ROLE, ttl_s=600.0, tries=2)
"""Dear, so not asked again at each connection; forgotten as soon as the venue refuses the wallet."""

FEES = Endpoint("user_fees", bucket="info", cost=_PLAIN, ttl_s=3600.0)
META = Endpoint("meta", bucket="info", cost=_PLAIN, ttl_s=300.0)
BOOK = Endpoint("l2_book", bucket="info", cost=_LIGHT, ttl_s=0.1, tries=1)
RECENT_TRADES = Endpoint("recent_trades", bucket="info", cost=_PLAIN, ttl_s=0.5)
CANDLES = Endpoint("candles", bucket="info", cost=_LIST, ttl_s=60.0)
RATES = Endpoint("funding_history", bucket="info", cost=_LIST, ttl_s=60.0)

ACCOUNT = (ORDER, HISTORY, OPEN_ORDERS, CANCELLABLE, FILLS, FUNDING, STATE, ROLE, FEES)
"""What is asked about the account: anybody may, but not in every mode do we."""


def stack_settings(settings: HyperliquidSettings) -> StackSettings:
    """The venue's limits and our patience; only a simulator may be asked more than the venue allows."""
    weight = settings.weight_per_minute
    if settings.mode is not Mode.SIM:
        weight = min(weight, _WEIGHT)
    rate, orders = weight / 60, settings.orders_per_second
    address = Bucket("ip", rate, weight, 10.0, reserve=_RESERVE)
    return StackSettings(
        buckets=(
            address,
            Bucket("order", orders, max(orders, 1.0), 1.0, parent=address.name),
            Bucket("info", rate, weight, 10.0, parent=address.name),
        ),
        # The SDK's own limits end a call first; this one is for answers that trickle in.
        timeout_s=settings.connect_timeout_s + 2 * settings.request_timeout_s,
    )
