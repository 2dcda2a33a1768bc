"""``bigwheel.backtest``: a strategy on recorded data, by the brains that trade live."""

from __future__ import annotations

import datetime as dt
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from actors.strategy.plan import StrategyPlan, planned
from bigwheel.backtests import tables
from bigwheel.backtests.accruals import Rate
from bigwheel.backtests.conduct import conduct
from bigwheel.backtests.errors import BacktestError
from bigwheel.backtests.feed import Feed
from bigwheel.backtests.instruments import instruments
from bigwheel.backtests.outcomes import Settled
from bigwheel.backtests.result import BacktestResult
from bigwheel.backtests.session import Session, Terms
from bigwheel.times import moment_ns
from conf import Settings, load
from conf.trading import check_symbols
from exchanges.catalog.catalog import FOR_EVER_NS
from exchanges.paper.settings import DEPTHS, Depth, PaperSettings
from strategies.registry import resolve
from strategies.strategy import Strategy

Moment = int | str | dt.datetime | None


def backtest(
    strategy: str | type[Strategy],
    *,
    data: str | Path,
    symbols: str | Sequence[str],
    start: Moment = None,
    end: Moment = None,
    params: Mapping[str, Any] | None = None,
    config: str | Settings | Mapping[str, object] = "backtest",
    cash: Decimal | float | str | None = None,
    costs: Mapping[str, object] | None = None,
    latency_ms: float | Mapping[str, float] | None = None,
    funding: Rate | str | Path | None = None,
    settlements: Mapping[str, Settled] | str | Path | None = None,
    seed: int = 0,
    depth: Depth = "synthetic",
) -> BacktestResult:
    """Run a strategy on recorded data: the same brains, gates, sizing, orders and accounting as in a session.

    Args:
        strategy: a built-in name, ``module:Class``, ``file.py:Class``, or the class itself.
        data: a catalog, a recording, or a Parquet or CSV file (or a folder of them).
        symbols: full names, ``bybit:BTCUSDT``.
        start, end: the first moment and the one after the last: a time (UTC), or nanoseconds since the epoch.
        params: the strategy's own parameters.
        config: an environment, settings, or what is to differ from the environment ``backtest``.
        cash: what each venue's account begins with, in its currency; by default ``simulator.starting_balance``.
        costs: ``{"maker": 0.0002, "taker": 0.00055}``, fractions of notional; by default each venue's own.
        latency_ms: of commands and answers, or ``{"feed": 1, "order": 5, "answer": 5, "jitter": 2}``; else configured.
        funding: the rate of perpetuals whose data have none, or a file of rates; by default ``backtest.funding_rate``.
        settlements: ``{"kalshi:TICKER": "yes"}`` or ``("yes", time)``, or a file of markets; else one with the data.
        seed: varies the depth that is made up where the data are trades or bars alone, and jitter.
        depth: what is made up there: ``synthetic`` (a spread, and sizes at each tick) or ``exact`` (any quantity at
            the last trade's price, without a spread), to compare with other engines.

    Raises:
        BacktestError: there is no such data or symbol, an argument makes no sense, or a brain raised.
        StrategyError: there is no such strategy, or the parameters are not its own.
        ConfigError, DataError, FeedError: the configuration or the data can't be read.
    """
    began = time.perf_counter()
    wanted, span = symbols_of(symbols), span_ns(start, end)
    tried = subject(strategy, wanted, params or {})
    told = Told(config, cash, costs, latency_ms, funding, settlements, seed, depth)
    with Feed(Path(data), wanted, *span) as feed:
        session = prepared(tried, feed, Path(data), told)
        span = _run(session, feed)
    return _result(session, tried.params, wanted, span, time.perf_counter() - began)


class Told(NamedTuple):
    """What ``backtest`` is told besides the strategy and the data, as it is told."""

    config: str | Settings | Mapping[str, object] = "backtest"
    cash: Decimal | float | str | None = None
    costs: Mapping[str, object] | None = None
    latency_ms: float | Mapping[str, float] | None = None
    funding: Rate | str | Path | None = None
    settlements: Mapping[str, Settled] | str | Path | None = None
    seed: int = 0
    depth: Depth = "synthetic"


class Subject(NamedTuple):
    """A strategy with its parameters, tried out."""

    owner: type[Strategy]
    name: str
    params: dict[str, Any]
    symbols: tuple[str, ...]
    instance: Strategy


def subject(strategy: str | type[Strategy], symbols: tuple[str, ...], params: Mapping[str, Any]) -> Subject:
    """The strategy, found and made once, so that what is wrong with it or its parameters is told at once.

    Raises:
        StrategyError: there is no such strategy, or the parameters are not its own.
    """
    owner = strategy if isinstance(strategy, type) else resolve(strategy)
    name = owner.__name__ if isinstance(strategy, type) else strategy
    told = dict(params)
    instance = owner.create(symbols[0], told, "", symbols if owner.together else ())
    return Subject(owner, name, told, symbols, instance)


def prepared(tried: Subject, feed: Feed, data: Path, told: Told) -> Session:
    """Everything of a run, before its first piece of data; see ``backtest`` for the arguments and what it raises."""
    wanted = tried.symbols
    _ensure_watched(tried.instance, feed, wanted)
    settings = _settings(told.config, feed, wanted, tried.name, tried.params)
    listed = instruments(settings, feed, wanted, told.costs)
    ways = conduct(settings, feed, data, listed, told.latency_ms, told.funding, told.settlements, told.seed)
    intervals = {symbol: feed.interval_ns(symbol) for symbol in wanted} if feed.bars_alone else {}
    terms = Terms(listed, _paper(settings, told), ways, intervals)
    return Session(settings, _plans(settings, tried.owner, wanted), tried.owner, terms)


def symbols_of(symbols: str | Sequence[str]) -> tuple[str, ...]:
    """The symbols, each once, told one by one or with commas; ``BacktestError`` for anything else."""
    told = symbols.split(",") if isinstance(symbols, str) else symbols
    wanted = tuple(symbol.strip() for symbol in told)
    try:
        return check_symbols(wanted)
    except ValueError as error:
        raise BacktestError(f"{error}; name symbols as bybit:BTCUSDT") from error


def span_ns(start: Moment, end: Moment) -> tuple[int, int]:
    """The first moment and the one after the last; ``BacktestError`` if none lies between."""
    first_ns, end_ns = _moment(start, 0), _moment(end, FOR_EVER_NS)
    if first_ns >= end_ns:
        raise BacktestError(f"expected a start before the end, found {start} and {end}; swap or widen them")
    return first_ns, end_ns


def _moment(told: Moment, otherwise: int) -> int:
    if told is None:
        return otherwise
    if isinstance(told, dt.datetime):
        return moment_ns(told.isoformat())
    return told if isinstance(told, int) else moment_ns(told)


def _ensure_watched(strategy: Strategy, feed: Feed, symbols: tuple[str, ...]) -> None:
    """What it listens to is in the data. Bars of other lengths are put together from what there is."""
    for symbol in symbols if not strategy.timeframes else ():
        there = feed.kinds(symbol)
        lacking = [kind for kind in strategy.watches() if kind.lower() not in there]
        if lacking:
            raise BacktestError(
                f"expected {' and '.join(lacking)} data of {symbol}, which {type(strategy).__name__} listens to, found "
                f"{', '.join(there)}; give other data, or a parameter for these (the built-in ones take source=bars)"
            )


def _paper(settings: Settings, told: Told) -> PaperSettings:
    balance = Decimal(str(told.cash)) if told.cash is not None else settings.simulator.starting_balance
    if balance <= 0 or told.depth not in DEPTHS:
        raise BacktestError(
            f"expected cash above 0 and a depth of {' or '.join(DEPTHS)}, found {balance} and {told.depth!r}"
        )
    insured = settings.backtest.insurance
    return PaperSettings(balance=balance, seed=told.seed, depth=told.depth, insured=insured)


def _settings(
    config: str | Settings | Mapping[str, object],
    feed: Feed,
    symbols: tuple[str, ...],
    name: str,
    params: dict[str, Any],
) -> Settings:
    """The configuration for these symbols, with the streams that the data have."""
    laid: dict[str, object] = {
        "mode": "sim",
        "symbols": list(symbols),
        "strategies": [{"name": name, "params": params}],
    }
    for venue in dict.fromkeys(symbol.partition(":")[0] for symbol in symbols):
        own = [symbol for symbol in symbols if symbol.startswith(f"{venue}:")]
        kinds = dict.fromkeys(kind for symbol in own for kind in feed.kinds(symbol))
        laid[f"exchange.{venue}.streams"] = list(kinds)
        length_s = max(feed.interval_ns(symbol) for symbol in own) // 1_000_000_000
        if length_s:
            laid[f"exchange.{venue}.bar_interval_s"] = length_s
    if isinstance(config, str):
        return load(config, laid)
    if isinstance(config, Settings):
        return load("backtest", {**config.model_dump(mode="json"), **laid}, {})
    return load("backtest", {**config, **laid})


def _plans(settings: Settings, owner: type[Strategy], symbols: tuple[str, ...]) -> list[StrategyPlan]:
    entry = settings.strategies[0]
    plan = StrategyPlan(entry.tag, "", entry.name, dict(entry.params), capital=float(entry.capital))
    return planned(plan, symbols, together=owner.together)


def _run(session: Session, feed: Feed) -> tuple[int, int]:
    """All data, one by one; when the first and the last were known."""
    first_ns = last_ns = 0
    for items in feed.items():
        if items and not first_ns:
            first_ns = items[0][0]
            session.start(first_ns)
        session.take(items)
        last_ns = items[-1][0] if items else last_ns
    if not first_ns:
        raise BacktestError("expected market data between start and end, found none; widen the span")
    session.finish()
    return first_ns, last_ns


def _result(
    session: Session, params: dict[str, Any], symbols: tuple[str, ...], span: tuple[int, int], seconds: float
) -> BacktestResult:
    ledger = session.ledger
    orders, signals = list(ledger.orders.values()), list(ledger.signals.values())
    prices = session.prices.rows()
    return BacktestResult(
        session.settings.strategies[0].tag,
        params,
        _summary(session, symbols, span, seconds),
        tables.table(orders, tables.ORDERS),
        tables.table(ledger.fills, tables.FILLS),
        tables.table(ledger.trips.rows, tables.TRADES),
        ledger.equity.table(),
        tables.table(signals, tables.SIGNALS),
        tables.table(prices, tables.PRICES) if prices else None,
        tables.table(ledger.payments, tables.PAYMENTS),
    )


def _summary(session: Session, symbols: tuple[str, ...], span: tuple[int, int], seconds: float) -> dict[str, Any]:
    ledger, counts = session.ledger, session.counts
    events = counts.total()
    positions = ledger.books.positions.values()
    return {
        "symbols": list(symbols),
        "from": span[0],
        "to": span[1],
        "events": events,
        "bars": counts["Bar"],
        "trades": counts["Trade"],
        "quotes": counts["Quote"],
        "books": counts["Book"],
        "messages": session.driver.handled,
        "seconds": seconds,
        "events_per_second": events / seconds,
        "starting_cash": float(ledger.start),
        "final_equity": float(ledger.value(session.mark)),
        "realized_pnl": float(ledger.books.realized),
        "fees": float(sum((held.fees for held in positions), Decimal(0))),
        "funding": float(sum((held.payments for held in positions), -ledger.insured)),
        "insurance": float(ledger.insured),
        "funding_rates": {symbol: found.source for symbol, found in session.conduct.rates.items()},
        "settlements": ledger.settlements,
        "liquidations": len(ledger.liquidations),
        "signals": dict(sorted(Counter(row["state"] for row in ledger.signals.values()).items())),
        "orders": dict(sorted(Counter(row["status"] for row in ledger.orders.values()).items())),
        "fills": len(ledger.fills),
        "round_trips": len(ledger.trips.rows),
    }
