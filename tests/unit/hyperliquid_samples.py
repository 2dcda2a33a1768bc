"""Messages of Hyperliquid's as its documentation shows them, with our ids."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from exchanges.hyperliquid.cloids import cloid_of
from exchanges.hyperliquid.settings import HyperliquidSettings
from exchanges.modes import Mode

NOW_MS = 1_700_000_030_000
NOW_NS = NOW_MS * 1_000_000
COIN = "BTC"
SYMBOL = "hyperliquid:BTC"
CLIENT_ID = "bw-ABCDEFGHIJKLMNOPQRSQ-0-0"
CLOID = cloid_of(CLIENT_ID)
ACCOUNT = "0x" + "ab" * 20
PRIVATE_KEY = "0x" + "11" * 32
D = Decimal

META: dict[str, Any] = {
    "universe": [
        {"name": "BTC", "szDecimals": 5, "maxLeverage": 40},
        {"name": "ETH", "szDecimals": 4, "maxLeverage": 25},
        {"name": "OLD", "szDecimals": 1, "maxLeverage": 3, "isDelisted": True},
        {"name": "kPEPE", "szDecimals": 0, "maxLeverage": 10},
    ]
}
FEES = {"userCrossRate": "0.00045", "userAddRate": "0.00015"}
ORDER: dict[str, Any] = {
    "coin": COIN, "side": "B", "limitPx": "61800.0", "sz": "0.01", "oid": 77738308, "timestamp": NOW_MS,
    "origSz": "0.03", "cloid": CLOID,
}  # fmt: skip
OPEN_ORDER: dict[str, Any] = {
    **ORDER, "triggerCondition": "N/A", "isTrigger": False, "triggerPx": "0.0", "children": [], "isPositionTpsl": False,
    "reduceOnly": False, "orderType": "Limit", "tif": "Gtc",
}  # fmt: skip
REPORT: dict[str, Any] = {"order": ORDER, "status": "open", "statusTimestamp": NOW_MS + 5}
STATUS = {"status": "order", "order": {**REPORT, "order": OPEN_ORDER}}
FILL: dict[str, Any] = {
    "coin": COIN, "px": "61795.0", "sz": "0.02", "side": "B", "time": NOW_MS, "startPosition": "0.0",
    "dir": "Open Long", "closedPnl": "0.0", "hash": "0x00", "oid": 77738308, "crossed": True, "fee": "0.556155",
    "tid": 1070372942, "feeToken": "USDC",
}  # fmt: skip
FUNDING: dict[str, Any] = {
    "time": NOW_MS, "coin": COIN, "usdc": "-3.625312", "szi": "0.02", "fundingRate": "0.0000417",
}  # fmt: skip
POSITION: dict[str, Any] = {
    "type": "oneWay",
    "position": {
        "coin": COIN, "szi": "-0.02", "entryPx": "61795.0", "positionValue": "1240.0", "unrealizedPnl": "-4.1",
        "leverage": {"type": "cross", "value": 20}, "liquidationPx": None, "marginUsed": "62.0",
    },
}  # fmt: skip
STATE: dict[str, Any] = {
    "marginSummary": {
        "accountValue": "9995.9", "totalNtlPos": "1240.0", "totalRawUsd": "11235.9", "totalMarginUsed": "62.0",
    },
    "withdrawable": "9933.9",
    "assetPositions": [POSITION],
    "time": NOW_MS,
}  # fmt: skip
TRADE: dict[str, Any] = {
    "coin": COIN, "side": "A", "px": "61795.0", "sz": "0.00123", "hash": "0x00", "time": NOW_MS, "tid": 118906512037719,
    "users": ["0x1", "0x2"],
}  # fmt: skip
BBO: dict[str, Any] = {
    "coin": COIN,
    "time": NOW_MS,
    "bbo": [{"px": "61795.0", "sz": "1.5", "n": 3}, {"px": "61796.0", "sz": "0.4", "n": 1}],
}
BOOK: dict[str, Any] = {
    "coin": COIN,
    "time": NOW_MS,
    "levels": [
        [{"px": "61795.0", "sz": "1.5", "n": 3}, {"px": "61794.0", "sz": "2.0", "n": 3}],
        [{"px": "61796.0", "sz": "0.4", "n": 1}],
    ],
}
CANDLE: dict[str, Any] = {
    "t": NOW_MS // 60_000 * 60_000, "T": NOW_MS // 60_000 * 60_000 + 59_999, "s": COIN, "i": "1m", "o": "61790.0",
    "c": "61795.0", "h": "61801.0", "l": "61780.0", "v": "12.5", "n": 40,
}  # fmt: skip
CONTEXT: dict[str, Any] = {
    "coin": COIN,
    "ctx": {
        "funding": "0.0000125",
        "markPx": "61795.5",
        "oraclePx": "61790.0",
        "midPx": "61795.5",
        "openInterest": "1",
    },
}


def settings(**changes: Any) -> HyperliquidSettings:
    told: dict[str, Any] = {
        "mode": Mode.SIM,
        "account": ACCOUNT,
        "private_key": PRIVATE_KEY,
        "rest_url": "http://127.0.0.1:1",
        "socket_url": "ws://127.0.0.1:1",
    }
    return HyperliquidSettings(**{**told, **changes})
