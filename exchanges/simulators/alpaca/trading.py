"""The trading interface: account, orders, positions, activities, assets, clock, calendar."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterator
from decimal import ROUND_DOWN, Decimal, InvalidOperation

from exchanges.hours import NEW_YORK, Phase, local
from exchanges.matching.record import Execution, OrderRecord
from exchanges.simulators.alpaca import rows, wire
from exchanges.simulators.alpaca.errors import BAD_BODY, NOT_FOUND, UNPROCESSABLE, ApiError
from exchanges.simulators.alpaca.instruments import fractionable
from exchanges.simulators.alpaca.request import Asked, Call, Reply
from exchanges.simulators.alpaca.tickets import Ticket
from exchanges.simulators.alpaca.wire import Json
from exchanges.simulators.base.market import SymbolMarket
from exchanges.simulators.base.rest import CallKind, Route

_YEAR = dt.timedelta(days=365)


def account(asked: Asked) -> Reply:
    return Reply(rows.account(asked.desk.engine, asked.account, asked.desk.opened_ns))


def clock(asked: Asked) -> Reply:
    now, hours = asked.desk.venue.now_ns(), asked.desk.hours
    return Reply(
        {
            "timestamp": wire.local_time(now),
            "is_open": hours.phase(now) is Phase.REGULAR,
            "next_open": wire.local_time(hours.next_open(now)),
            "next_close": wire.local_time(hours.next_close(now)),
        }
    )


def calendar(asked: Asked) -> Reply:
    """The trading days from ``start`` to ``end``, by default those of the year past and the year ahead."""
    today = local(asked.desk.venue.now_ns()).date()
    first, last = _date(asked, "start", today - _YEAR), _date(asked, "end", today + _YEAR)
    return Reply(
        [
            {
                "date": session.date.isoformat(),
                "open": f"{session.opens:%H:%M}",
                "close": f"{session.closes:%H:%M}",
                "session_open": f"{session.early:%H%M}",
                "session_close": f"{session.late:%H%M}",
            }
            for session in asked.desk.hours.sessions(first, last)
        ]
    )


def _date(asked: Asked, name: str, default: dt.date) -> dt.date:
    found = asked.time(name)
    return dt.datetime.fromtimestamp(found / 1e9, NEW_YORK).date() if found else default


def assets(asked: Asked) -> Reply:
    known = (rows.asset(key, market.instrument) for key, market in asked.desk.venue.markets.items())
    wanted = {name: asked.query[name] for name in ("status", "asset_class", "exchange") if asked.query.get(name)}
    names = {"status": "status", "asset_class": "class", "exchange": "exchange"}
    return Reply([row for row in known if all(row[names[name]] == value for name, value in wanted.items())])


def asset(asked: Asked) -> Reply:
    market = asked.desk.market(asked.path["symbol"])
    if market is None:
        raise ApiError(NOT_FOUND, f"asset not found for {asked.path['symbol']}")
    return Reply(rows.asset(market.key, market.instrument))


def _order(asked: Asked, ticket: Ticket, record: OrderRecord, status: str = "") -> Json:
    instrument = asked.desk.engine.markets[record.symbol].instrument
    done = (Decimal(0), Decimal(0)) if status else None
    return rows.order(ticket, record, instrument, status, done)


def place(asked: Asked) -> Reply:
    """What was taken, as it was then: what became of it since is told by the stream."""
    ticket, record = asked.desk.place(asked.account, asked.body)
    return Reply(_order(asked, ticket, record, "pending_new" if ticket.routed else "accepted"))


def replace(asked: Asked) -> Reply:
    ticket, record = asked.desk.replace(asked.account, asked.path["order_id"], asked.body)
    return Reply(_order(asked, ticket, record, "pending_new"))


def order(asked: Asked) -> Reply:
    return Reply(_order(asked, *asked.desk.find(asked.account, asked.path["order_id"])))


def order_of_client(asked: Asked) -> Reply:
    name = asked.query.get("client_order_id", "")
    ticket = asked.desk.tickets.of_client(asked.account, name)
    if ticket is None:
        raise ApiError(NOT_FOUND, f"order not found for {name}")
    return Reply(_order(asked, *asked.desk.find(asked.account, ticket.id)))


def orders(asked: Asked) -> Reply:
    """``GET /v2/orders``: by default the 50 newest that work."""
    status, limit = asked.choice("status", ("open", "closed", "all")), asked.number("limit", 50, 500)
    after, until = asked.time("after"), asked.time("until", 1 << 63)
    newest_first = asked.choice("direction", ("desc", "asc")) == "desc"
    symbols = {market.key for name in asked.names("symbols") if (market := asked.desk.market(name)) is not None}
    side = asked.query.get("side", "")
    found: list[Json] = []
    tickets = sorted(asked.desk.tickets.of_account(asked.account), key=_age, reverse=newest_first)
    for ticket in tickets:
        if len(found) >= limit:
            break
        if not after < ticket.created_ns < until or (asked.names("symbols") and ticket.key not in symbols):
            continue
        record = asked.desk.engine.find(asked.account, order_id=ticket.engine_id)
        if record is None or (side and record.side.value != side):
            continue
        if status == "all" or (ticket.status(record) in rows.ORDER_STATUSES) is (status == "open"):
            found.append(_order(asked, ticket, record))
    return Reply(found)


def _age(ticket: Ticket) -> int:
    return ticket.created_ns


def cancel(asked: Asked) -> Reply:
    asked.desk.cancel(asked.account, asked.path["order_id"])
    return Reply(None, 204)


def cancel_all(asked: Asked) -> Reply:
    ended = asked.desk.venue.cancel_all(asked.account)
    tickets = [asked.desk.tickets.current(record.id) for record in ended]
    return Reply([{"id": ticket.id, "status": 200} for ticket in tickets if ticket is not None], 207)


def positions(asked: Asked) -> Reply:
    return Reply([_position(asked, market) for market in _held(asked)])


def position(asked: Asked) -> Reply:
    return Reply(_position(asked, _holding(asked)))


def _held(asked: Asked) -> list[SymbolMarket]:
    account = asked.desk.engine.accounts[asked.account]
    markets = asked.desk.venue.markets.values()
    return [market for market in markets if account.position(market.instrument.symbol).quantity]


def _holding(asked: Asked) -> SymbolMarket:
    name = asked.path["symbol"]
    market = asked.desk.market(name)
    if market is None or market not in _held(asked):
        raise ApiError(NOT_FOUND, "position does not exist")
    return market


def _position(asked: Asked, market: SymbolMarket) -> Json:
    engine, symbol = asked.desk.engine, market.instrument.symbol
    held = engine.accounts[asked.account].position(symbol)
    return rows.position(held, market, engine.mark(symbol), rows.working_against(engine, asked.account, held))


def close_position(asked: Asked) -> Reply:
    """``DELETE /v2/positions/{symbol}``: all of it, ``qty`` of it or ``percentage`` of it."""
    market = _holding(asked)
    quantity, share = _given(asked, "qty"), _given(asked, "percentage")
    if quantity is not None and share is not None:
        raise ApiError(UNPROCESSABLE, "only one of qty or percentage is accepted")
    if share is not None:
        if not 0 < share <= 100:
            raise ApiError(UNPROCESSABLE, f"percentage must be above 0 and at most 100, found {share}")
        held = asked.desk.engine.accounts[asked.account].position(market.instrument.symbol).quantity
        step = market.instrument.lot if fractionable(market.instrument) else Decimal(1)
        quantity = (abs(held) * share / 100 / step).to_integral_value(ROUND_DOWN) * step
    ticket, record = asked.desk.close_position(asked.account, market, quantity)
    return Reply(_order(asked, ticket, record, "pending_new" if ticket.routed else "accepted"))


def _given(asked: Asked, name: str) -> Decimal | None:
    value = asked.query.get(name)
    try:
        return None if value is None else Decimal(value)
    except InvalidOperation:
        raise ApiError(BAD_BODY, f"{name} must be a number, found {value!r}") from None


def close_all(asked: Asked) -> Reply:
    """``DELETE /v2/positions``: one answer for each position."""
    if asked.query.get("cancel_orders", "").lower() == "true":
        asked.desk.venue.cancel_all(asked.account)
    told = []
    for market in _held(asked):
        try:
            ticket, record = asked.desk.close_position(asked.account, market, None)
            status, body = 200, _order(asked, ticket, record, "pending_new" if ticket.routed else "accepted")
        except ApiError as error:
            status, body = error.status, error.body()
        told.append({"symbol": wire.position_name(market.key), "status": status, "body": body})
    return Reply(told, 207)


def activities(asked: Asked) -> Reply:
    """``GET /v2/account/activities[/FILL]``: fills, by default the newest 100 first."""
    kinds = [asked.path.get("kind") or ""] if asked.path.get("kind") else asked.names("activity_types")
    if kinds and "FILL" not in kinds:
        return Reply([])
    limit = asked.number("page_size", 100, 100)
    found: list[Json] = []
    for done in itertools.islice(_fills(asked), limit):
        ticket = asked.desk.tickets.at(done.fill.venue_id, done.sequence)
        if ticket is not None:
            instrument = asked.desk.engine.markets[done.fill.symbol].instrument
            found.append(rows.activity(done, ticket, instrument))
    return Reply(found)


def _fills(asked: Asked) -> Iterator[Execution]:
    """The account's executions in the time asked for, in the direction asked for, after the page before."""
    after, until = asked.time("after"), asked.time("until", 1 << 63)
    if asked.query.get("date"):
        after, until = asked.time("date") - 1, asked.time("date", end_of_day=True)
    executions = asked.desk.venue.executions
    newest_first = asked.choice("direction", ("desc", "asc")) == "desc"
    order = range(len(executions))[::-1] if newest_first else range(len(executions))
    if asked.query.get("page_token"):
        last = asked.desk.executed(asked.query["page_token"].rpartition("::")[2])
        if last < 0:
            raise ApiError(UNPROCESSABLE, f"invalid page_token: {asked.query['page_token']}")
        order = order[order.index(last) + 1 :]
    for done in (executions[index] for index in order):
        if done.account == asked.account and after < done.fill.ts_ns < until:
            yield done


def _route(method: str, path: str, kind: CallKind, call: Call) -> Route[Call]:
    return Route(method, path, kind, call, group="trading")


ROUTES: tuple[Route[Call], ...] = (
    _route("GET", "/v2/account", CallKind.QUERY, account),
    _route("GET", "/v2/account/activities", CallKind.QUERY, activities),
    _route("GET", "/v2/account/activities/{kind}", CallKind.QUERY, activities),
    _route("GET", "/v2/clock", CallKind.MARKET, clock),
    _route("GET", "/v2/calendar", CallKind.MARKET, calendar),
    _route("GET", "/v2/assets", CallKind.MARKET, assets),
    _route("GET", "/v2/assets/{symbol:.+}", CallKind.MARKET, asset),
    _route("POST", "/v2/orders", CallKind.PLACE, place),
    _route("GET", "/v2/orders", CallKind.QUERY, orders),
    _route("DELETE", "/v2/orders", CallKind.CANCEL, cancel_all),
    _route("GET", "/v2/orders:by_client_order_id", CallKind.QUERY, order_of_client),
    _route("GET", "/v2/orders/{order_id}", CallKind.QUERY, order),
    _route("PATCH", "/v2/orders/{order_id}", CallKind.AMEND, replace),
    _route("DELETE", "/v2/orders/{order_id}", CallKind.CANCEL, cancel),
    _route("GET", "/v2/positions", CallKind.QUERY, positions),
    _route("DELETE", "/v2/positions", CallKind.PLACE, close_all),
    _route("GET", "/v2/positions/{symbol:.+}", CallKind.QUERY, position),
    _route("DELETE", "/v2/positions/{symbol:.+}", CallKind.PLACE, close_position),
)
