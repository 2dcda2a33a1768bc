"""Each gate on its own: what it denies, what it lets pass, and that reductions pass."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from actors.messages.control import Control, TradingState, TradingStateChanged
from actors.messages.learning import Ban, Policy, PolicyIssued, Stage
from actors.messages.orders import Repaired
from actors.messages.signals import Approved, Executed, Verdict
from actors.risk.gates import GATES
from actors.risk.settings import GridSettings, HighTrack, Liquidity, VenueLimits
from exchanges.model.instrument import ContractKind
from exchanges.model.market import Bar, Quote
from exchanges.model.market import Book as Depth
from exchanges.model.order import Side
from exchanges.model.position import Position
from runtime.lifecycle import CaughtUp
from strategies.signal import Signal, client_order_id
from tests.unit.brain_context import SECOND
from tests.unit.brain_samples import (
    BTC,
    ETH,
    EXCHANGE,
    make_exchange_state,
    make_filled,
    make_instrument,
    make_trade,
)
from tests.unit.risk_desk import Desk, code

D = Decimal
DAY = 86_400 * SECOND
LASTING: dict[str, Any] = {"max_data_age_ns": 10 * DAY, "max_state_age_ns": 10 * DAY, "ensemble": False}


def inputs(verdict: Verdict, name: str) -> dict[str, str]:
    return next(step.inputs for step in verdict.steps if step.name == name)


def fill(desk: Desk, signal: Signal, verdict: Verdict, price: str = "100", fee: str = "0") -> None:
    """Journal an approval, its fill and its end."""
    order = verdict.order
    assert order is not None, verdict.code
    desk.entry(Approved(signal.id, signal.strategy, signal.symbol, order, verdict.steps))
    held = desk.positions.get(signal.symbol) or Position(signal.symbol)
    event = make_filled(signal, f"f{desk.seq}", str(order.quantity), price, position=held, fee=fee, ts=desk.ctx.now)
    desk.positions[signal.symbol] = event.position
    desk.entry(event)
    end = (client_order_id(signal.id), order.quantity, D(price))
    desk.entry(Executed(signal.id, signal.strategy, signal.symbol, *end))


class Tracking(Desk):
    """A desk that also keeps the venue's positions."""

    def __init__(self, **changes: Any) -> None:
        self.positions: dict[str, Position] = {}
        super().__init__(**{**LASTING, **changes})

    def trade(self, ordinal: int, side: Side, price: str, **changes: Any) -> Verdict:
        self.refresh(float(price))
        signal = self.signal(ordinal, side=side, quantity=D(1), **changes)
        verdict = self.ask(signal)
        if verdict.order is not None:
            fill(self, signal, verdict, price)
        return verdict


def test_every_step_has_a_name_of_its_own_and_the_order_is_the_documented_one() -> None:
    names = [gate.__name__ for gate in GATES]
    assert len(set(names)) == len(names)
    assert names[:3] == ["bans", "ensemble", "conviction"]
    assert names.index("sizing") < names.index("order_notional") < names.index("total_notional")
    assert names[-1] == "dry_run"


# -- what may be traded ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "denied"),
    [
        ({"deny": ("linear_perpetual",)}, True),
        ({"deny": ("meme",), "categories": {BTC: "meme"}}, True),
        ({"allow": ("equity",)}, True),
        ({"allow": ("major",), "categories": {BTC: "major"}}, False),
        ({"allow": ("linear_perpetual",), "categories": {BTC: "major"}}, False),
        ({"allow": ("linear_perpetual",), "deny": ("major",), "categories": {BTC: "major"}}, True),
    ],
)
def test_categories_and_kinds_are_allowed_and_denied(changes: dict[str, Any], denied: bool) -> None:
    verdict = Desk(**changes).ask(Desk().signal())
    assert (verdict.gate == "category_filter" and code(verdict) == "CATEGORY_DENIED") is denied


def test_a_category_takes_no_more_than_its_share_of_the_total() -> None:
    desk = Desk(category_share=D("0.1"), total_notional=D(10_000), categories={BTC: "coin", ETH: "coin"})
    desk.hold("9", symbol=ETH)
    verdict = desk.ask(desk.signal(quantity=D(2)))
    assert (verdict.code, inputs(verdict, "category_share")["category"]) == ("EXPOSURE_LIMIT_CATEGORY", "coin")
    other = Desk(category_share=D("0.1"), total_notional=D(10_000), categories={ETH: "coin"})
    other.hold("9", symbol=ETH)
    assert other.ask(other.signal(quantity=D(2))).order is not None


def test_an_unknown_currency_is_no_dollar() -> None:
    desk = Desk()
    instruments = (make_instrument(BTC, quote="XYZ"), make_instrument(ETH))
    desk.ctx.deliver(desk.brain, make_exchange_state(instruments=instruments), EXCHANGE)
    assert code(desk.ask(desk.signal(0))) == "UNKNOWN_CURRENCY"
    assert desk.ask(desk.signal(1, symbol=ETH)).order is not None
    desk.hold("1", symbol=BTC)
    held = desk.ask(desk.signal(2, symbol=ETH, strategy="b"))
    assert (held.code, held.detail) == ("UNKNOWN_CURRENCY", f"symbol={BTC} currency=XYZ")
    assert desk.ask(desk.signal(3, side=Side.SELL, reduce_only=True)).order is not None


def test_a_configured_rate_makes_dollars_of_a_currency() -> None:
    desk = Desk(currencies={"USDT": D(1), "EUR": D(2)}, symbol_notional=D(300))
    instruments = (make_instrument(BTC, quote="EUR"), make_instrument(ETH))
    desk.ctx.deliver(desk.brain, make_exchange_state(instruments=instruments), EXCHANGE)
    assert code(desk.ask(desk.signal(0, quantity=D(2)))) == "EXPOSURE_LIMIT_SYMBOL"
    assert desk.ask(desk.signal(1, quantity=D(2), symbol=ETH)).order is not None
    order = desk.ask(desk.signal(2)).order
    assert order is not None and order.quantity == D("0.5")


# -- liquidity ------------------------------------------------------------------------------


def quote(desk: Desk, bid: float, ask: float, size: float) -> None:
    now = desk.ctx.now
    desk.ctx.deliver(desk.brain, Quote(BTC, 1, 50, now, now, bid, size, ask, size), EXCHANGE)


@pytest.mark.parametrize(
    ("asked", "seen", "expected"),
    [
        (Liquidity(max_spread_bps=10), None, "NO_QUOTE"),
        (Liquidity(max_spread_bps=10), (99.0, 101.0, 9.0), "SPREAD_WIDE"),
        (Liquidity(max_spread_bps=10), (101.0, 99.0, 9.0), "SPREAD_WIDE"),
        (Liquidity(max_spread_bps=10), (99.99, 100.01, 9.0), ""),
        (Liquidity(touch_share=0.5), None, "NO_QUOTE"),
        (Liquidity(touch_share=0.5), (99.99, 100.01, 1.9), "TOUCH_THIN"),
        (Liquidity(touch_share=0.5), (99.99, 100.01, 2.1), ""),
        (Liquidity(volume_share=0.1), (99.99, 100.01, 9.0), "NO_VOLUME"),
        (Liquidity(), None, ""),
    ],
)
def test_a_market_that_offers_too_little_or_is_not_known_gets_no_order(
    asked: Liquidity, seen: tuple[float, float, float] | None, expected: str
) -> None:
    desk = Desk(liquidity=asked)
    if seen:
        quote(desk, *seen)
    assert code(desk.ask(desk.signal(quantity=D(1)))) == expected


def test_the_volume_is_that_of_the_last_closed_bar_while_it_is_fresh() -> None:
    desk = Desk(liquidity=Liquidity(volume_share=0.1))
    bar = Bar(BTC, 1, 9, desk.ctx.now, desk.ctx.now, 100.0, 100.0, 100.0, 100.0, 9.0, SECOND)
    desk.ctx.deliver(desk.brain, bar, EXCHANGE)
    assert code(desk.ask(desk.signal(0, quantity=D(1)))) == "VOLUME_THIN"
    assert desk.ask(desk.signal(1, quantity=D("0.9"))).order is not None
    desk.ctx.now += 8 * SECOND
    desk.refresh()
    assert code(desk.ask(desk.signal(2, quantity=D("0.9"), strategy="b"))) == "NO_VOLUME"


def test_a_book_has_a_touch_as_well() -> None:
    desk = Desk(liquidity=Liquidity(touch_share=1.0))
    now = desk.ctx.now
    desk.ctx.deliver(desk.brain, Depth(BTC, 1, 9, now, now, ((99.9, 2.0),), ((100.1, 0.5),)), EXCHANGE)
    assert code(desk.ask(desk.signal(0, quantity=D(1)))) == "TOUCH_THIN"
    assert desk.ask(desk.signal(1, quantity=D(1), side=Side.SELL, strategy="b")).order is not None


# -- exposure -------------------------------------------------------------------------------


def test_a_venue_has_a_limit_of_its_own() -> None:
    desk = Desk(venue_notional=D(900), venues={"bybit": VenueLimits(venue_notional=D(500), order_notional=D(450))})
    desk.hold("2", symbol=ETH)
    assert code(desk.ask(desk.signal(0, quantity=D(4)))) == "EXPOSURE_LIMIT_VENUE"
    assert code(desk.ask(desk.signal(1, quantity=D(5)))) == "ORDER_NOTIONAL"
    assert desk.ask(desk.signal(2, quantity=D("2.9"))).order is not None


def test_a_strategy_takes_no_more_than_its_share_of_the_total_and_sizes_by_its_share_of_the_equity() -> None:
    desk = Desk(total_notional=D(4_000), shares={"trend": D("0.25")}, ensemble=False)
    order = desk.ask(desk.signal(0)).order
    assert order is not None and order.quantity == D("0.25")
    assert code(desk.ask(desk.signal(1, symbol=ETH, quantity=D(10)))) == "EXPOSURE_LIMIT_STRATEGY"
    assert desk.ask(desk.signal(2, symbol=ETH, quantity=D(10), strategy="free")).order is not None


def walk(desk: Desk, symbol: str, moves: list[float], price: float = 100.0) -> None:
    """One price a second from a minute ago on."""
    start = desk.ctx.now - len(moves) * SECOND
    for step, move in enumerate(moves):
        price *= 1 + move
        at = start + step * SECOND
        desk.ctx.deliver(desk.brain, make_trade(price, symbol=symbol, ts=at, seq=step + 5), EXCHANGE)


UP_AND_DOWN = [0.01 if (step * step) % 7 < 3 else -0.01 for step in range(40)]


def correlated(sign: float) -> Desk:
    desk = Desk(grid=GridSettings(SECOND, 30), total_notional=D(4_000), correlated_share=D("0.5"), ensemble=False)
    desk.ctx.now += 3600 * SECOND
    walk(desk, BTC, UP_AND_DOWN)
    walk(desk, ETH, [sign * move for move in UP_AND_DOWN])
    desk.refresh()
    desk.hold("15", symbol=ETH)
    return desk


@pytest.mark.parametrize(("sign", "side"), [(1.0, Side.BUY), (-1.0, Side.SELL)])
def test_what_moves_together_counts_together(sign: float, side: Side) -> None:
    desk = correlated(sign)
    verdict = desk.ask(desk.signal(0, side=side, quantity=D(6)))
    assert verdict.code == "EXPOSURE_LIMIT_CORRELATED"
    assert inputs(verdict, "correlated_exposure")["strongest"] == f"{ETH} {sign:.2f}"


@pytest.mark.parametrize(("sign", "side"), [(1.0, Side.SELL), (-1.0, Side.BUY)])
def test_what_moves_against_each_other_is_no_concentration_and_no_relief(sign: float, side: Side) -> None:
    desk = correlated(sign)
    verdict = desk.ask(desk.signal(0, side=side, quantity=D(6)))
    assert verdict.order is not None, verdict.code
    seen = inputs(verdict, "correlated_exposure")
    assert seen["exposure"] == seen["own"]


def test_a_correlation_that_is_not_known_counts_as_one() -> None:
    desk = Desk(total_notional=D(4_000), correlated_share=D("0.5"))
    desk.hold("15", symbol=ETH)
    verdict = desk.ask(desk.signal(0, quantity=D(6)))
    assert (verdict.code, inputs(verdict, "correlated_exposure")["unknown"]) == ("EXPOSURE_LIMIT_CORRELATED", "1")
    assert desk.ask(desk.signal(1, side=Side.SELL, quantity=D(6))).order is not None


# -- the account ----------------------------------------------------------------------------


def test_the_days_budget_counts_entries_granted_and_journaled_and_begins_anew_each_day() -> None:
    desk = Tracking(daily_budget=D(500))
    first, second = desk.signal(0, quantity=D(2)), desk.signal(1, quantity=D(2), strategy="b")
    assert desk.ask(first).order is not None
    fill(desk, second, desk.ask(second))
    over = desk.ask(desk.signal(2, quantity=D(1), strategy="c"))
    assert (over.gate, over.code) == ("daily_budget", "DAILY_BUDGET")
    fill(desk, first, desk.ask(first))
    assert code(desk.ask(desk.signal(3, quantity=D(1), strategy="c"))) == "DAILY_BUDGET"
    exit_ = desk.signal(4, side=Side.SELL, reduce_only=True)
    assert desk.ask(exit_).order is not None
    desk.ctx.now += DAY
    desk.refresh()
    assert desk.ask(desk.signal(5, quantity=D(1), strategy="c")).order is not None


def test_the_days_budget_survives_a_restart_and_is_found_again_from_the_log() -> None:
    desk = Tracking(daily_budget=D(500))
    before, signal = desk.brain.snapshot(), desk.signal(0, quantity=D(4))
    verdict = desk.ask(signal)
    fill(desk, signal, verdict)
    for snapshot in (desk.brain.snapshot(), before):
        desk.restart(snapshot)
        if snapshot is before:
            assert verdict.order is not None
            desk.entry(Approved(signal.id, signal.strategy, signal.symbol, verdict.order, verdict.steps))
        desk.ctx.deliver(desk.brain, CaughtUp(desk.seq))
        desk.refresh()
        asked = desk.signal(1 + (snapshot is before), symbol=ETH, quantity=D(2), strategy="c")
        assert code(desk.ask(asked)) == "DAILY_BUDGET"


@pytest.mark.parametrize(
    ("kind", "leverage", "expected"),
    [
        (ContractKind.LINEAR_PERPETUAL, "1", "MARGIN"),
        (ContractKind.LINEAR_PERPETUAL, "5", ""),
        (ContractKind.EQUITY, "5", "BUYING_POWER"),
    ],
)
def test_perpetuals_bind_margin_and_all_else_binds_the_whole(kind: ContractKind, leverage: str, expected: str) -> None:
    desk = Desk(leverage=D(leverage))
    traded = make_instrument(BTC, kind=kind, max_leverage=D(10))
    desk.ctx.deliver(desk.brain, make_exchange_state(equity=D(900), instruments=(traded,)), EXCHANGE)
    assert code(desk.ask(desk.signal(quantity=D(12)))) == expected


def test_a_part_of_the_equity_is_never_bound() -> None:
    desk = Desk(cash_reserve=D("0.2"))
    desk.ctx.deliver(desk.brain, make_exchange_state(equity=D(1000)), EXCHANGE)
    assert code(desk.ask(desk.signal(0, quantity=D(9)))) == "CASH_RESERVE"
    assert desk.ask(desk.signal(1, quantity=D("7.9"))).order is not None


def test_equity_that_has_fallen_from_its_peak_stops_new_exposure_through_restarts() -> None:
    desk = Tracking(max_drawdown=D("0.1"), daily_loss=D(10_000), symbol_notional=D(50_000), leverage=D(10))
    desk.hold("10")
    desk.refresh(300.0)
    desk.ctx.advance(desk.brain, SECOND)
    desk.refresh(180.0)
    verdict = desk.ask(desk.signal(0, strategy="b"))
    assert (verdict.gate, verdict.code) == ("drawdown", "DRAWDOWN")
    assert inputs(verdict, "drawdown")["fallen"] == "1200"
    desk.ctx.advance(desk.brain, SECOND)
    (change,) = desk.ctx.sent(TradingStateChanged, "bus")
    assert (change.state, change.reason.partition(":")[0]) == (TradingState.REDUCING, "DRAWDOWN")
    desk.entry(change)
    desk.restart(desk.brain.snapshot())
    desk.ctx.deliver(desk.brain, CaughtUp(desk.seq))
    desk.refresh(180.0)
    assert code(desk.ask(desk.signal(1, strategy="b"))) == "TRADING_REDUCING"
    desk.ctx.deliver(desk.brain, Control("r", "resume", "ops"), "gateway")
    desk.entry(desk.ctx.sent(TradingStateChanged, "bus")[-1])
    desk.ctx.advance(desk.brain, SECOND)
    assert desk.brain.status()["trading_state"] == "ACTIVE"
    assert desk.ask(desk.signal(2, strategy="b")).code != "DRAWDOWN"


def test_a_restated_position_is_no_drawdown() -> None:
    desk = Tracking(max_drawdown=D("0.01"), daily_loss=D(10**6))
    desk.hold("10")
    desk.entry(Repaired("bybit", BTC, "position", "10", "0", "x", "1.1", Position(BTC)))
    assert desk.brain.status()["drawdown"] == "0.0"


# -- the pace -------------------------------------------------------------------------------


def test_losing_round_trips_in_a_row_pause_a_strategy_for_a_while() -> None:
    desk = Tracking(loss_streak=2, loss_pause_ns=60 * SECOND)
    for number in range(2):
        assert desk.trade(10 * number, Side.BUY, "100").order is not None
        assert desk.trade(10 * number + 1, Side.SELL, "99").order is not None
        desk.ctx.now += SECOND
    desk.refresh()
    assert code(desk.ask(desk.signal(30, quantity=D(1)))) == "LOSS_STREAK"
    assert desk.ask(desk.signal(31, quantity=D(1), strategy="other")).order is not None
    desk.restart(desk.brain.snapshot())
    desk.ctx.deliver(desk.brain, CaughtUp(desk.seq))
    desk.refresh()
    assert code(desk.ask(desk.signal(32, quantity=D(1)))) == "LOSS_STREAK"
    desk.ctx.now += 60 * SECOND
    desk.refresh()
    assert desk.ask(desk.signal(33, quantity=D(1))).order is not None


def test_a_round_trip_that_won_ends_a_losing_streak() -> None:
    desk = Tracking(loss_streak=2)
    for number, price in enumerate(("99", "101", "99")):
        desk.trade(10 * number, Side.BUY, "100")
        assert desk.trade(10 * number + 1, Side.SELL, price).order is not None
    assert desk.trade(90, Side.BUY, "100").order is not None


def test_a_banned_strategy_makes_no_entry_until_its_ban_ends_and_may_leave() -> None:
    desk = Desk(**LASTING)
    desk.hold("1")
    until = desk.ctx.now + SECOND
    bans = {"trend": Ban(until, "decayed"), f"other|{BTC}": Ban(until, "here")}
    desk.entry(PolicyIssued(Policy(4, bans=bans), Stage.FULL))
    denied = desk.ask(desk.signal(0))
    assert (denied.gate, denied.code, denied.policy) == ("bans", "BANNED", 4)
    assert code(desk.ask(desk.signal(1, strategy="other"))) == "BANNED"
    assert desk.ask(desk.signal(2, strategy="other", symbol=ETH)).order is not None
    assert desk.ask(desk.signal(3, side=Side.SELL, reduce_only=True)).order is not None
    desk.ctx.now = until
    assert desk.ask(desk.signal(4)).order is not None


def test_a_track_has_a_cooldown_of_its_own() -> None:
    desk = Tracking(cooldown_ns=60 * SECOND, high=HighTrack(0.8, cooldown_ns=0))
    first = desk.signal(0, conviction=0.5)
    fill(desk, first, desk.ask(first))
    low = desk.ask(desk.signal(1, conviction=0.5))
    assert (low.code, inputs(low, "cooldown")["track"]) == ("COOLDOWN", "ordinary")
    assert desk.ask(desk.signal(2, conviction=0.9)).order is not None


def test_a_reduction_passes_everything_that_guards_new_exposure() -> None:
    desk = Desk(
        **{**LASTING, "liquidity": Liquidity(1.0, 0.001, 0.001), "deny": ("linear_perpetual",)},
        order_notional=D(1), symbol_notional=D(1), venue_notional=D(1), total_notional=D(1), correlated_share=D(0),
        category_share=D(0), daily_budget=D(0), daily_loss=D(1), max_drawdown=D(0), leverage=D("0.001"),
        cash_reserve=D(1), max_open_positions=0, base_threshold=1.0,
    )  # fmt: skip
    desk.hold("2")
    desk.refresh(50.0)
    desk.entry(PolicyIssued(Policy(1, weights={"trend|": 0.0}, bans={"trend": Ban(1 << 62, "x")}), Stage.FULL))
    verdict = desk.ask(desk.signal(0, side=Side.SELL, reduce_only=True, conviction=0.0))
    assert verdict.order is not None, (verdict.gate, verdict.code)
    assert (verdict.order.quantity, verdict.order.reduce_only) == (D(2), True)


def test_old_states_without_the_newer_fields_are_still_read() -> None:
    desk = Desk()
    held = msgspec.msgpack.decode(desk.brain.snapshot())
    for name in ("policies", "markets", "account", "voices", "spoken"):
        held.pop(name)
    desk.restart(msgspec.msgpack.encode(held))
    desk.ctx.deliver(desk.brain, CaughtUp(0))
    desk.refresh()
    assert desk.ask(desk.signal()).order is not None
