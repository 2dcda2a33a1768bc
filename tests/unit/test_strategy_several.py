"""One strategy on several symbols, of one venue or of two."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors import names
from actors.messages.orders import Filled, Watch, Watching
from actors.messages.signals import Withdraw
from actors.strategy.brain import StrategyBrain
from actors.strategy.factory import build
from actors.strategy.plan import StrategyPlan, planned
from actors.strategy.settings import BrainSettings
from actors.tree import Planner
from conf import Settings
from exchanges.model.market import Bar, MarketData, Trade
from exchanges.model.order import Fill, Liquidity, Side
from exchanges.model.position import Position
from runtime.lifecycle import Entry, PeerUp
from strategies.errors import StrategyError
from strategies.strategy import Strategy
from tests.unit.brain_context import START_NS, FakeContext, entry_of
from tests.unit.strategy_session import LABEL, emitted, feedback, pump, trade

BTC, ETH, COIN = "bybit:BTCUSDT", "bybit:ETHUSDT", "alpaca:BTC/USD"
ALL = (BTC, ETH, COIN)


class Pair(Strategy):
    """Buys the first and sells the last of its symbols at each of their trades."""

    together = True

    def __init__(self) -> None:
        self.seen: list[tuple[str, int]] = []
        self.filled: list[tuple[str, Decimal]] = []

    def on_trade(self, trade: Trade) -> None:
        self.seen.append((trade.symbol, trade.seq))
        if {symbol for symbol, _ in self.seen} == set(self.symbols):
            self.buy(1.0, "first")
            self.sell(1.0, "last", symbol=self.symbols[-1])

    def on_fill(self, fill: Fill, position: Position) -> None:
        self.filled.append((position.symbol, position.quantity))


def make_pair(symbols: tuple[str, ...] = ALL, **options: Any) -> StrategyBrain:
    return StrategyBrain(BrainSettings(**options), Pair.create(symbols[0], {}, LABEL, symbols))


def pair_context(epoch: int = 1) -> FakeContext:
    return FakeContext(names.strategy_together(LABEL, ALL), epoch=epoch, journal=False)


def begun() -> tuple[StrategyBrain, FakeContext]:
    brain, ctx = make_pair(), pair_context()
    ctx.start(brain, caught_up=0)
    return brain, ctx


def answer(brain: StrategyBrain, ctx: FakeContext, *connections: str) -> None:
    for name in connections or ("exchange/bybit", "exchange/alpaca"):
        ctx.deliver(brain, Watching(ctx.sent(Watch, name)[-1].ticket), name)


def give(brain: StrategyBrain, ctx: FakeContext, *data: MarketData) -> None:
    for piece in data:
        ctx.now = max(ctx.now, piece.recv_ns)
        ctx.deliver(brain, piece, names.exchange_of(piece.symbol))


def fill_entry(seq: int, symbol: str, side: Side, quantity: str, *, strategy: str = LABEL, flat: bool = False) -> Entry:
    fill = Fill(
        f"e{seq}", "bw-S-0-0", "v", symbol, side, Decimal(100), Decimal(quantity), Decimal(0), "USDT",
        Liquidity.TAKER, START_NS + seq,
    )  # fmt: skip
    after = Position(symbol) if flat else Position(symbol).apply(fill)
    return entry_of(Filled("S" if strategy else "", strategy, fill, after), seq)


def test_it_watches_each_connection_for_the_symbols_it_has_there() -> None:
    _, ctx = begun()
    assert [(watch.symbols, watch.kinds) for watch in ctx.sent(Watch, "exchange/bybit")] == [((BTC, ETH), ("Trade",))]
    assert [watch.symbols for watch in ctx.sent(Watch, "exchange/alpaca")] == [((COIN,))]
    assert len({watch.ticket for watch in ctx.sent(Watch)}) == 2


def test_a_connection_that_has_not_answered_keeps_its_own_symbols_out_alone() -> None:
    brain, ctx = begun()
    answer(brain, ctx, "exchange/bybit")
    give(brain, ctx, trade(1, symbol=BTC), trade(1, symbol=COIN), trade(1, symbol=ETH))
    assert brain.strategy.seen == [(BTC, 1), (ETH, 1)]  # type: ignore[attr-defined]
    assert brain.counts["early"] == 1


def test_each_symbol_has_a_watermark_of_its_own() -> None:
    brain, ctx = begun()
    answer(brain, ctx)
    give(brain, ctx, *(trade(seq, symbol=symbol) for symbol, seq in ((BTC, 5), (ETH, 2), (BTC, 5), (ETH, 3), (BTC, 4))))
    assert brain.strategy.seen == [(BTC, 5), (ETH, 2), (ETH, 3)]  # type: ignore[attr-defined]
    assert brain.counts["duplicates"] == 2
    ctx.clear()
    ctx.deliver(brain, PeerUp("exchange/bybit", 9), "exchange/bybit")
    (again,) = ctx.sent(Watch)
    assert again.after == {BTC: (1, 5), ETH: (1, 3)}


def test_a_signal_names_its_symbol_and_carries_that_symbols_price() -> None:
    brain, ctx = begun()
    answer(brain, ctx)
    give(brain, ctx, trade(1, 50_000.0, symbol=BTC), trade(1, 51_000.0, symbol=COIN), trade(7, 3_000.0, symbol=ETH))
    first, last = emitted(ctx)
    assert (first.symbol, first.price, first.side) == (BTC, 50_000.0, Side.BUY)
    assert (last.symbol, last.price, last.side) == (COIN, 51_000.0, Side.SELL)
    assert {first.cause.tick_id, last.cause.tick_id} == {f"{ETH}@1.7"}
    assert first.id != last.id


def test_a_signal_for_a_symbol_it_does_not_trade_or_has_not_seen_is_refused() -> None:
    brain, ctx = begun()
    answer(brain, ctx)
    give(brain, ctx, trade(1, symbol=BTC))
    with pytest.raises(StrategyError, match="expected a symbol mine trades"):
        brain.strategy.buy(symbol="bybit:SOLUSDT")
    with pytest.raises(StrategyError, match=f"expected market data of {ETH}"):
        brain.strategy.buy(symbol=ETH)


def test_fills_of_each_symbol_make_its_own_position() -> None:
    brain, ctx = begun()
    ctx.deliver(brain, fill_entry(1, ETH, Side.BUY, "2"), "bus")
    ctx.deliver(brain, fill_entry(2, COIN, Side.SELL, "3"), "bus")
    ctx.deliver(brain, fill_entry(3, "bybit:SOLUSDT", Side.BUY, "9"), "bus")
    pump(brain, ctx)
    assert {symbol: held.quantity for symbol, held in brain.strategy.positions.items()} == {BTC: 0, ETH: 2, COIN: -3}
    assert brain.strategy.filled == [(ETH, 2), (COIN, -3)]  # type: ignore[attr-defined]
    assert brain.strategy.position.symbol == BTC


def test_a_position_that_a_panic_closed_is_closed_here_too() -> None:
    brain, ctx = begun()
    ctx.deliver(brain, fill_entry(1, ETH, Side.BUY, "2"), "bus")
    ctx.deliver(brain, fill_entry(2, ETH, Side.SELL, "2", strategy="", flat=True), "bus")
    assert brain.strategy.positions[ETH].quantity == 0
    assert brain.counts["closed_from_outside"] == 1


def test_what_was_learned_of_one_symbol_holds_for_it_alone() -> None:
    brain, ctx = begun()
    ctx.deliver(brain, entry_of(feedback(1, 0.6, symbol=ETH), 1), "bus")
    ctx.deliver(brain, entry_of(feedback(3, 0.2, symbol=COIN), 2), "bus")
    assert brain.desk.thresholds == {BTC: 0.0, ETH: 0.6, COIN: 0.2}
    answer(brain, ctx)
    give(brain, ctx, *(trade(1, symbol=symbol) for symbol in ALL))
    assert brain.strategy.buy(0.5, symbol=ETH) == ""
    assert brain.strategy.buy(0.5, symbol=COIN) != ""


def test_exit_closes_the_position_of_the_symbol_it_is_told() -> None:
    brain, ctx = begun()
    ctx.deliver(brain, fill_entry(1, ETH, Side.BUY, "2"), "bus")
    answer(brain, ctx)
    give(brain, ctx, trade(1, symbol=ETH))
    assert brain.strategy.exit("nothing held") == ""
    brain.strategy.exit("out", symbol=ETH)
    (signal,) = emitted(ctx)
    assert (signal.symbol, signal.side, signal.quantity, signal.reduce_only) == (ETH, Side.SELL, 2, True)


def test_a_withdrawal_names_the_symbol_of_its_signal() -> None:
    brain, ctx = begun()
    answer(brain, ctx)
    give(brain, ctx, trade(1, symbol=BTC), trade(1, symbol=ETH))
    signal = brain.strategy.buy(symbol=ETH)
    brain.strategy.cancel(signal, "moved")
    assert ctx.sent(Withdraw, "bus") == [Withdraw(signal, ETH, LABEL, "moved")]


def test_a_restart_goes_on_with_every_symbol_where_it_was() -> None:
    brain, ctx = begun()
    answer(brain, ctx)
    give(brain, ctx, trade(4, 50_000.0, symbol=BTC), trade(6, 51_000.0, symbol=COIN), trade(2, symbol=ETH))
    ctx.deliver(brain, fill_entry(1, COIN, Side.SELL, "3"), "bus")
    ctx.deliver(brain, entry_of(feedback(1, 0.6, symbol=ETH), 2), "bus")
    successor, ctx = make_pair(), pair_context(2)
    successor.restore(brain.snapshot())
    assert successor.snapshot() == brain.snapshot()
    ctx.start(successor, restored=True, caught_up=2)
    assert ctx.sent(Watch, "exchange/bybit")[0].after == {BTC: (1, 4), ETH: (1, 2)}
    assert ctx.sent(Watch, "exchange/alpaca")[0].after == {COIN: (1, 6)}
    assert successor.strategy.positions[COIN].quantity == -3
    assert successor.desk.thresholds[ETH] == 0.6
    ctx.clear()
    successor.strategy.buy(symbol=COIN)
    assert emitted(ctx)[0].price == 51_000.0


def test_status_shows_every_symbol() -> None:
    brain, ctx = begun()
    ctx.deliver(brain, fill_entry(1, ETH, Side.BUY, "2"), "bus")
    said: Any = brain.status()
    assert said["symbols"] == list(ALL)
    assert {symbol: row["position"] for symbol, row in said["by_symbol"].items()} == {BTC: "0", ETH: "2", COIN: "0"}
    assert msgspec.json.encode(said)


# -- plans and cells ---------------------------------------------------------------


def settings_of(**entry: Any) -> Settings:
    return Settings(symbols=ALL, strategies=({"name": "trend", **entry},))


def test_together_is_one_plan_with_all_symbols_and_otherwise_each_has_its_own() -> None:
    (plan,) = Planner(settings_of(symbols_together=True, capital=Decimal(900))).configured()
    assert (plan.symbol, plan.symbols, plan.every, plan.capital) == (BTC, ALL, ALL, 900.0)
    plans = Planner(settings_of(capital=Decimal(900))).configured()
    assert [(plan.symbol, plan.symbols, plan.capital) for plan in plans] == [(each, (), 300.0) for each in ALL]


def test_a_class_that_says_together_needs_no_configuration() -> None:
    where = f"{Pair.__module__}:Pair"
    (plan,) = Planner(settings_of(name=where)).configured()
    assert plan.symbols == ALL


def test_its_cell_is_named_by_its_symbols_listens_to_both_venues_and_to_the_whole_log() -> None:
    planner = Planner(settings_of(symbols_together=True))
    cell = planner.strategy_cell(planner.configured()[0])
    assert cell.name == f"strategy/trend/{BTC}+{ETH}+{COIN}"
    assert cell.peers == ("bus", "exchange/bybit", "exchange/alpaca")
    assert (cell.index, cell.value) == ("", "")
    single = planner.strategy_cell(StrategyPlan("trend", BTC, "trend"))
    assert (single.index, single.value, single.peers) == ("symbol", BTC, ("bus", "exchange/bybit"))


def test_a_cell_of_many_symbols_has_a_short_name_that_depends_on_each() -> None:
    many = tuple(f"bybit:COIN{number}USDT" for number in range(40))
    name = names.strategy_together("trend", many)
    assert len(name) < 100
    assert name != names.strategy_together("trend", (*many[:-1], "bybit:OTHERUSDT"))
    assert name.startswith("strategy/trend/bybit:COIN0USDT+")


def test_the_factory_builds_it_with_the_streams_of_each_venue() -> None:
    plan = planned(StrategyPlan("pair", "", "x"), ALL, together=True)[0]
    brain = build(Settings(symbols=ALL), plan, Pair)
    assert brain.symbols == ALL
    assert brain.settings.steps == dict.fromkeys(ALL, 60_000_000_000)
    lacking = Settings(symbols=ALL, exchange={"alpaca": {"streams": ["quote"]}})
    with pytest.raises(StrategyError, match=r"pair on alpaca:BTC/USD needs Trade, .*exchange\.alpaca\.streams"):
        build(lacking, plan, Pair)


# -- crashes -----------------------------------------------------------------------


class Lively(Strategy):
    """Trades on bars of its own length and on where its symbols stand to each other."""

    together = True
    timeframes = ("2s",)

    def __init__(self) -> None:
        self.bars: list[tuple[str, int, float]] = []
        self.prices: dict[str, float] = {}

    def on_trade(self, trade: Trade) -> None:
        self.prices[trade.symbol] = trade.price
        if len(self.prices) == 2 and trade.price > self.prices[self.symbols[0]] + 1:
            self.sell(1.0, "dear", symbol=trade.symbol)

    def on_bar(self, bar: Bar) -> None:
        self.bars.append((bar.symbol, bar.ts_ns, bar.close))
        self.buy(1.0, "a bar", symbol=bar.symbol)


class Feeding:
    """A connection with two symbols that serves again what a successor has not seen."""

    def __init__(self, data: list[Trade]) -> None:
        self.data = data
        self.ids: list[str] = []
        self.brain, self.ctx = self._make(1)

    def _make(self, epoch: int, snapshot: bytes = b"") -> tuple[StrategyBrain, FakeContext]:
        brain = StrategyBrain(BrainSettings(), Lively.create(BTC, {}, LABEL, (BTC, ETH)))
        if snapshot:
            brain.restore(snapshot)
        ctx = FakeContext("strategy/lively", epoch=epoch, journal=False)
        ctx.start(brain, restored=bool(snapshot), caught_up=0)
        answer(brain, ctx, "exchange/bybit")
        return brain, ctx

    def run(self, start: int, end: int) -> None:
        give(self.brain, self.ctx, *self.data[start:end])
        self.ids += [signal.id for signal in emitted(self.ctx)]
        self.ctx.clear()

    def crash(self, snapshot: bytes, at: int) -> None:
        """A successor asks for what came after its marks; the connection serves it in the order in which it came."""
        self.brain, self.ctx = self._make(self.ctx.epoch + 1, snapshot)
        after = self.ctx.sent(Watch)[-1].after
        self.ctx.clear()
        again = [piece for piece in self.data[:at] if (piece.epoch, piece.seq) > after.get(piece.symbol, (0, 0))]
        give(self.brain, self.ctx, *again)
        self.ids += [signal.id for signal in emitted(self.ctx)]
        self.ctx.clear()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 120), st.integers(0, 60))
def test_a_crash_at_any_moment_changes_neither_bars_nor_signals(seed: int, kept: int, further: int) -> None:
    source, seqs, data = random.Random(seed), {BTC: 0, ETH: 0}, []
    at_ns = START_NS
    for _ in range(160):
        symbol = source.choice((BTC, ETH))
        seqs[symbol] += 1
        at_ns += source.randrange(900_000_000)
        data.append(Trade(symbol, 1, seqs[symbol], at_ns, at_ns, 100 + source.gauss(0, 2), 1.0, "buy"))
    one, two = Feeding(data), Feeding(data)
    one.run(0, 160)
    two.run(0, kept)
    snapshot = two.brain.snapshot()
    two.run(kept, kept + further)
    two.crash(snapshot, min(kept + further, 160))
    two.run(min(kept + further, 160), 160)
    assert two.brain.strategy.bars == one.brain.strategy.bars  # type: ignore[attr-defined]
    assert set(two.ids) == set(one.ids)
