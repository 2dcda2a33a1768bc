"""Messages as the venue's documentation has them today, and where its recorded ones are.

Use it as ``from tests.unit.kalshi_samples import ORDER, FILL``.
"""

from __future__ import annotations

import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from exchanges.kalshi.settings import KalshiSettings
from exchanges.modes import Mode

DATA = Path(os.environ.get("BIGWHEEL_DATA", Path(__file__).resolve().parents[2].parent / "shared" / "data"))
WIRE = DATA / "wire" / "kalshi"
recorded = pytest.mark.skipif(not WIRE.is_dir(), reason="recorded messages are not here; set BIGWHEEL_DATA")

TICKER = "KXHIGHNY-24AUG08-T85"
SYMBOL = f"kalshi:{TICKER}"
NOW_NS = 1_723_140_000_000_000_000
D = Decimal

ORDER: dict[str, Any] = {
    "order_id": "o-1", "user_id": "u", "client_order_id": "bw-AAAABBBBCCCCDDDDEEEE-0-0", "ticker": TICKER,
    "outcome_side": "no", "book_side": "ask", "type": "limit", "status": "resting", "yes_price_dollars": "0.4500",
    "no_price_dollars": "0.5500", "fill_count_fp": "4.00", "remaining_count_fp": "6.00", "initial_count_fp": "10.00",
    "taker_fill_cost_dollars": "2.2000", "maker_fill_cost_dollars": "0.0000", "taker_fees_dollars": "0.0700",
    "maker_fees_dollars": "0.0000", "last_update_time": "2024-08-08T18:00:00.123456Z",
}  # fmt: skip
FILL: dict[str, Any] = {
    "fill_id": "t-1", "trade_id": "t-1", "order_id": "o-1", "ticker": TICKER, "market_ticker": TICKER,
    "exchange_index": 0, "outcome_side": "yes", "book_side": "bid", "count_fp": "2.50", "yes_price_dollars": "0.4500",
    "no_price_dollars": "0.5500", "is_taker": True, "fee_cost": "0.1800", "created_time": "2024-08-08T18:00:00.5Z",
}  # fmt: skip
POSITION: dict[str, Any] = {
    "ticker": TICKER, "exchange_index": 0, "position_fp": "-10.00", "market_exposure_dollars": "5.5000",
    "total_traded_dollars": "5.5000", "realized_pnl_dollars": "0.0000", "fees_paid_dollars": "0.1800",
    "last_updated_ts": "2024-08-08T18:00:00Z",
}  # fmt: skip
SETTLEMENT: dict[str, Any] = {
    "ticker": TICKER, "event_ticker": "KXHIGHNY-24AUG08", "market_result": "yes", "yes_count_fp": "10.00",
    "yes_total_cost_dollars": "4.5000", "no_count_fp": "0.00", "no_total_cost_dollars": "0.0000", "revenue": 1000,
    "settled_time": "2024-08-09T14:00:00Z", "fee_cost": "0.3400", "value": 100,
}  # fmt: skip
MARKET: dict[str, Any] = {
    "ticker": TICKER, "event_ticker": "KXHIGHNY-24AUG08", "market_type": "binary", "status": "active",
    "open_time": "2024-08-07T14:00:00Z", "close_time": "2024-08-09T03:59:00Z", "notional_value_dollars": "1.0000",
    "price_level_structure": "tapered_deci_cent", "fractional_trading_enabled": True,
    "price_ranges": [
        {"start": "0.0000", "end": "0.1000", "step": "0.0010"},
        {"start": "0.1000", "end": "0.9000", "step": "0.0100"},
        {"start": "0.9000", "end": "1.0000", "step": "0.0010"},
    ],
}  # fmt: skip
TRADE: dict[str, Any] = {
    "trade_id": "p-1", "market_ticker": TICKER, "yes_price_dollars": "0.4500", "no_price_dollars": "0.5500",
    "count_fp": "3.00", "taker_outcome_side": "no", "taker_book_side": "ask", "ts_ms": NOW_NS // 1_000_000,
}  # fmt: skip
TICK: dict[str, Any] = {
    "market_ticker": TICKER, "market_id": "m", "price_dollars": "0.4600", "yes_bid_dollars": "0.4500",
    "yes_ask_dollars": "0.4700", "yes_bid_size_fp": "300.00", "yes_ask_size_fp": "150.00", "ts_ms": NOW_NS // 1_000_000,
}  # fmt: skip
CANDLE: dict[str, Any] = {
    "end_period_ts": NOW_NS // 1_000_000_000, "yes_bid": {}, "yes_ask": {}, "volume_fp": "28.00",
    "price": {"open_dollars": "0.1100", "high_dollars": "0.1200", "low_dollars": "0.0800", "close_dollars": "0.0900"},
}  # fmt: skip
SNAPSHOT: dict[str, Any] = {
    "market_ticker": TICKER, "market_id": "m", "yes_dollars_fp": [["0.4300", "5.00"], ["0.4500", "300.00"]],
    "no_dollars_fp": [["0.4800", "20.00"], ["0.4700", "150.00"]],
}  # fmt: skip
DELTA: dict[str, Any] = {
    "market_ticker": TICKER, "market_id": "m", "price_dollars": "0.4400", "delta_fp": "5.00", "side": "yes",
    "ts_ms": NOW_NS // 1_000_000,
}  # fmt: skip


def settings(**changes: Any) -> KalshiSettings:
    """Settings of a simulator that is never spoken to."""
    told: dict[str, Any] = {
        "mode": Mode.SIM,
        "key_id": "a-key-id",
        "rest_url": "http://127.0.0.1:1",
        "socket_url": "ws://127.0.0.1:1",
    }
    return KalshiSettings(**{**told, **changes})


def frame(kind: str, message: dict[str, Any], *, sid: int = 1, seq: int = 0) -> str:
    """A data frame's text."""
    made: dict[str, Any] = {"type": kind, "sid": sid, "msg": message}
    return msgspec.json.encode({**made, "seq": seq} if seq else made).decode()


def sample(name: str) -> Any:
    """A recorded message."""
    return msgspec.json.decode((WIRE / f"{name}.json").read_bytes())
