"""Every key of the risk section reaches the brain, in the brain's own units."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from actors.risk.configuration import limits
from actors.risk.settings import HighTrack, Liquidity, Method, RiskSettings, VenueLimits
from conf import ConfigError, load
from conf.risk import RiskSettings as Told
from tests.unit.brain_context import SECOND

D = Decimal
CHANGED: dict[str, object] = {
    "order_notional": "111", "symbol_notional": "222", "venue_notional": "333", "total_notional": "444",
    "correlated_share": "0.5", "category_share": "0.6", "max_open_positions": 7, "daily_budget": "555",
    "daily_loss": "66", "max_drawdown": "0.1", "loss_streak": 4, "loss_pause_s": 9.0, "leverage": "3",
    "cash_reserve": "0.2", "orders_per_second": 3, "orders_per_minute": 33, "max_data_age_s": 2.0,
    "max_slippage": "0.01", "equity_fraction": "0.02", "order_type": "limit", "cooldown_s": 8.0, "ensemble": False,
    "weight_max": 2.0, "allow": ["spot"], "deny": ["equity"], "categories": {"bybit:BTCUSDT": "coin"},
    "currencies": {"EUR": "1.1"}, "venues": {"kalshi": {"order_notional": "5", "slippage_price": "0.02"}},
    "liquidity": {"max_spread_bps": 5.0, "touch_share": 0.5, "volume_share": 0.1},
    "correlation": {"step_s": 30.0, "window": 20},
    "regime": {"step_s": 2.0, "window": 10, "long": 100, "trending": 0.4},
    "sizing": {
        "method": "kelly", "target_volatility": 0.01, "kelly_fraction": 0.5, "kelly_payoff": 2.0,
        "rounding_tolerance": "0.02",
    },
    "tracks": {
        "high": {
            "from_conviction": 0.7, "equity_fraction": "0.03", "order_notional": "200", "method": "volatility",
            "cooldown_s": 1.0,
        }
    },
}  # fmt: skip


def configured(risk: dict[str, object], **more: object) -> RiskSettings:
    return limits(load("sim", {"risk": risk, **more}, environ={}))


def test_every_key_of_the_section_is_named_here_and_changes_what_the_brain_is_told() -> None:
    assert set(CHANGED) == set(Told.model_fields)
    plain = msgspec.to_builtins(configured({}))
    unread = []
    for key, value in CHANGED.items():
        inner = {"symbol_notional": "222", "order_notional": "111"} if key.endswith("_notional") else {}
        if msgspec.to_builtins(configured({**inner, key: value})) == plain:
            unread.append(key)
    assert unread == []


def test_the_brain_is_told_in_nanoseconds_and_exact_amounts() -> None:
    told = configured(CHANGED)
    assert (told.loss_pause_ns, told.cooldown_ns, told.max_data_age_ns) == (9 * SECOND, 8 * SECOND, 2 * SECOND)
    assert (told.grid.step_ns, told.grid.window, told.regime.grid_ns) == (30 * SECOND, 20, 2 * SECOND)
    assert told.high == HighTrack(0.7, D("0.03"), D(200), Method.VOLATILITY, SECOND)
    assert told.venues == {"kalshi": VenueLimits(D(5), None, None, D("0.02"))}
    assert told.liquidity == Liquidity(5.0, 0.5, 0.1)
    assert (told.method, told.rounding_tolerance) == (Method.KELLY, D("0.02"))
    assert told.currencies == {"USD": D(1), "USDT": D(1), "USDC": D(1), "EUR": D("1.1")}


def test_a_strategys_share_is_by_its_label() -> None:
    entries = [{"name": "trend", "share": "0.25"}, {"name": "reversion", "label": "calm", "share": "0.5"}]
    told = configured({}, strategies=entries)
    assert told.shares == {"trend": D("0.25"), "calm": D("0.5")}
    assert (told.share("trend"), told.share("stranger")) == (D("0.25"), D(1))


def test_a_track_is_the_ordinary_one_but_for_what_it_says() -> None:
    told = configured({"tracks": {"high": {"from_conviction": 0.5, "equity_fraction": "0.05"}}})
    high, ordinary = told.track(0.5), told.track(0.49)
    assert (high.name, high.equity_fraction, ordinary.name) == ("high", D("0.05"), "ordinary")
    assert (high.order_notional, high.method) == (ordinary.order_notional, ordinary.method)


@pytest.mark.parametrize(
    ("risk", "text"),
    [
        ({"venues": {"nowhere": {}}}, "expected limits of one of the venues"),
        ({"tracks": {"high": {"order_notional": "1000000"}}}, "expected tracks.high.order_notional <= symbol_notional"),
        ({"currencies": {"EUR": "0"}}, "expected greater than 0"),
        ({"sizing": {"method": "luck"}}, "'fixed', 'volatility' or 'kelly'"),
    ],
)
def test_what_makes_no_sense_is_refused(risk: dict[str, object], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        configured(risk)
