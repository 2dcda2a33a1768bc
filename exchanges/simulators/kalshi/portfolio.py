"""The account over REST: balance, positions, fills, orders, settlements, limits."""

from __future__ import annotations

from collections.abc import Callable

from exchanges.matching.record import ZERO, Execution, OrderRecord
from exchanges.simulators.kalshi import form, page, wire
from exchanges.simulators.kalshi.errors import missing
from exchanges.simulators.kalshi.floor import Floor
from exchanges.simulators.kalshi.form import Json, Params
from exchanges.simulators.kalshi.limits import READ, WRITE
from exchanges.simulators.kalshi.listing import SECOND, event_of
from exchanges.simulators.keys import key_of

STATUSES = ("resting", "canceled", "executed")
_SPAN = ("min_ts", "max_ts", "limit", "cursor", "subaccount")


def balance(floor: Floor, account: str, params: Params) -> Json:
    """What can be spent, and what the positions are worth at the last trades."""
    form.known(params, ("subaccount",))
    engine = floor.venue.engine
    available = engine.available(account)
    return {
        "balance": wire.cents(available),
        "balance_dollars": wire.dollars(available),
        "portfolio_value": wire.cents(engine.accounts[account].value(floor.venue.mark)),
        "updated_ts": floor.venue.now_ns() // SECOND,
    }


def positions(floor: Floor, account: str, params: Params) -> Json:
    """Markets with a position or with trades, by default; each event's sums besides."""
    form.known(params, ("ticker", "event_ticker", "count_filter", "limit", "cursor", "subaccount"))
    wanted = form.listed(params, "count_filter") or ["position", "total_traded"]
    in_market, in_event = _filter(params)
    holder = floor.venue.engine.accounts[account]

    def chosen(symbol: str) -> bool:
        held = bool(holder.position(symbol).quantity) and "position" in wanted
        traded = bool(floor.tallies.traded(account, symbol)) and "total_traded" in wanted
        return (held or traded) and in_market(symbol) and in_event(symbol)

    symbols, cursor = page.in_order(list(holder.positions), params, chosen)
    by_event: dict[str, list[str]] = {}
    for symbol in symbols:
        by_event.setdefault(event_of(key_of(symbol)), []).append(symbol)
    return {
        "market_positions": [floor.position_row(account, symbol) for symbol in symbols],
        "event_positions": [_event(floor, account, name, members) for name, members in by_event.items()],
        "cursor": cursor,
    }


def _event(floor: Floor, account: str, event: str, symbols: list[str]) -> Json:
    engine = floor.venue.engine
    held = [engine.accounts[account].position(symbol) for symbol in symbols]
    exposed = sum((wire.exposure(one, engine.markets[one.symbol].instrument) for one in held), ZERO)
    return {
        "event_ticker": event,
        "total_cost_dollars": wire.dollars(sum((floor.tallies.traded(account, s) for s in symbols), ZERO)),
        "total_cost_shares_fp": wire.count(sum((abs(one.quantity) for one in held), ZERO)),
        "event_exposure_dollars": wire.dollars(exposed),
        "realized_pnl_dollars": wire.dollars(sum((one.realized for one in held), ZERO)),
        "fees_paid_dollars": wire.dollars(sum((one.fees for one in held), ZERO)),
    }


def fills(floor: Floor, account: str, params: Params) -> Json:
    """Newest first; payments of settled markets are no fills."""
    form.known(params, ("ticker", "order_id", *_SPAN))
    in_market, _ = _filter(params)
    first, last = _span(params)
    order_id = form.text(params, "order_id", "")

    def wanted(done: Execution) -> bool:
        return (
            done.account == account
            and not done.settlement
            and in_market(done.fill.symbol)
            and order_id in ("", done.fill.venue_id)
            and first <= done.fill.ts_ns < last
        )

    found, cursor = page.newest_first(floor.venue.executions, params, wanted)
    return {"fills": [wire.fill(done) for done in found], "cursor": cursor}


def settlements(floor: Floor, account: str, params: Params) -> Json:
    """What settled markets paid, newest first."""
    form.known(params, ("ticker", "event_ticker", *_SPAN))
    in_market, in_event = _filter(params)
    first, last = _span(params)

    def wanted(done: Execution) -> bool:
        symbol = done.fill.symbol
        mine = done.account == account and done.settlement
        return mine and in_market(symbol) and in_event(symbol) and first <= done.fill.ts_ns < last

    found, cursor = page.newest_first(floor.venue.executions, params, wanted)
    return {"settlements": [settlement_row(floor, done) for done in found], "cursor": cursor}


def settlement_row(floor: Floor, done: Execution) -> Json:
    """A payment, with what the contracts had cost and the fees paid in the market."""
    fill = done.fill
    fees = floor.venue.engine.accounts[done.account].position(fill.symbol).fees
    return wire.settlement(done, floor.annex.listings[key_of(fill.symbol)], fees)


def orders(floor: Floor, account: str, params: Params) -> Json:
    """Newest first. There is no filter by client order id."""
    form.known(params, ("ticker", "event_ticker", "status", *_SPAN))
    in_market, in_event = _filter(params)
    first, last = _span(params)
    status = form.choice(params, "status", STATUSES, "")

    def wanted(record: OrderRecord) -> bool:
        return (
            in_market(record.symbol)
            and in_event(record.symbol)
            and status in ("", wire.STATUSES[record.status])
            and first <= record.created_ns < last
        )

    found, cursor = page.newest_first(floor.venue.engine.orders(account), params, wanted)
    return {"orders": [floor.order_row(record) for record in found], "cursor": cursor}


def order(floor: Floor, account: str, params: Params) -> Json:
    order_id = form.text(params, "order_id")
    record = floor.venue.engine.find(account, order_id=order_id)
    if record is None:
        raise missing("order", order_id)
    return {"order": floor.order_row(record)}


def account_limits(floor: Floor, account: str, params: Params) -> Json:
    """Tokens a second; 0 where the simulator's limiter is off."""
    limits = floor.limits.limits
    return {"usage_tier": "basic", "read_limit": limits[READ], "write_limit": limits[WRITE]}


def rows(floor: Floor, account: str) -> Json:
    """All of an account's books, for ``/control/state``."""
    executions = [done for done in floor.venue.executions if done.account == account]
    return {
        "orders": [floor.order_row(record) for record in floor.venue.engine.orders(account)],
        "fills": [wire.fill(done) for done in executions if not done.settlement],
        "settlements": [settlement_row(floor, done) for done in executions if done.settlement],
        "positions": [floor.position_row(account, s) for s in floor.venue.engine.accounts[account].positions],
        "balance": balance(floor, account, {}),
    }


def _filter(params: Params) -> tuple[Callable[[str], bool], Callable[[str], bool]]:
    """Whether a symbol is of the market, and of one of the events, that were asked for."""
    ticker, events = form.text(params, "ticker", ""), form.listed(params, "event_ticker")
    return (
        lambda symbol: ticker in ("", key_of(symbol)),
        lambda symbol: not events or event_of(key_of(symbol)) in events,
    )


def _span(params: Params) -> tuple[int, int]:
    """From ``min_ts`` to the end of second ``max_ts``, in nanoseconds."""
    return form.integer(params, "min_ts", 0) * SECOND, (form.integer(params, "max_ts", 1 << 40) + 1) * SECOND
