"""The risk supervisor's brain."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal

import msgspec

from actors import names
from actors.messages.control import Control, TradingState
from actors.messages.orders import ExchangeState, Watch
from actors.messages.signals import Approved, Evaluate, Verdict
from actors.names import pair
from actors.risk import book, control, ensemble, evaluation, fold, state
from actors.risk.account import drawdown_share
from actors.risk.book import Mark
from actors.risk.case import Case
from actors.risk.exposure import Worths
from actors.risk.market import Correlations, Market
from actors.risk.policy import Terms
from actors.risk.regime import UNKNOWN
from actors.risk.settings import RiskSettings
from actors.risk.sizing import Plan
from actors.risk.state import RiskState
from exchanges.model.market import Book as Depth
from exchanges.model.market import MarketData, Quote, last_price
from runtime.behavior import Context
from runtime.lanes import Delivery
from runtime.lifecycle import CaughtUp, Entry, PeerDown, PeerUp, Started, Stopping
from runtime.message import Message
from strategies.signal import Signal

KINDS = fold.KINDS
"""The event types this brain has to be subscribed to."""

_TICK = "tick"
_WATCHED = ("Trade", "Quote", "Bar", "Book")


class RiskTick(Message):
    """The risk supervisor's own timer."""


class RiskBrain:
    """Judges each signal once, holds the exposure it grants, and halts what must be halted.

    Its state is the fold of the bus's records plus what it has decided and not yet seen
    confirmed. Until the replay has ended it answers nothing, so nothing is approved.
    """

    def __init__(self, settings: RiskSettings | None = None) -> None:
        self._settings = settings or RiskSettings()
        self._state = RiskState()
        self._correlations = Correlations()
        self._worths = Worths()

    def receive(self, message: Message, ctx: Context) -> None:
        """Handle one message; see ``runtime.behavior.Behavior``."""
        if isinstance(message, MarketData):
            self._mark(message, ctx)
        elif isinstance(message, Entry):
            event = fold.fold(self._state, self._settings, message)
            if isinstance(event, Approved):
                self._answer_waiting(ctx)
        elif isinstance(message, Evaluate):
            self._evaluate(message, ctx)
        elif isinstance(message, ExchangeState):
            self._exchange(message, ctx)
        elif isinstance(message, Control):
            control.control(self._state, self._settings, message, ctx)
        elif isinstance(message, RiskTick):
            self._tick(ctx)
        elif isinstance(message, CaughtUp):
            self._caught_up(ctx)
        else:
            self._kernel(message, ctx)

    def _kernel(self, message: Message, ctx: Context) -> None:
        if isinstance(message, Started):
            self._started(ctx)
        elif isinstance(message, PeerUp):
            self._peer_up(message, ctx)
        elif isinstance(message, PeerDown):
            view = self._state.views.get(message.name.partition("/")[2])
            if view is not None and message.name.startswith("exchange/"):
                view.linked = False
        elif not isinstance(message, Stopping):
            ctx.count(f"risk.unexpected.{type(message).__name__}")

    # -- coming and going -------------------------------------------------------------------

    def _started(self, ctx: Context) -> None:
        held = self._state
        held.caught_up, held.bus_epoch, held.bus_returned = False, 0, False
        held.waiting, held.own = {}, {}
        ctx.timer(_TICK, self._settings.tick_ns, RiskTick())
        for exchange in sorted({names.exchange_of(symbol) for symbol in self._settings.symbols}):
            self._watch(exchange, ctx)

    def _watch(self, exchange: str, ctx: Context) -> None:
        symbols = tuple(s for s in self._settings.symbols if names.exchange_of(s) == exchange)
        if symbols:
            ctx.send(exchange, Watch(symbols, _WATCHED, int(Delivery.LATEST)))

    def _peer_up(self, peer: PeerUp, ctx: Context) -> None:
        if peer.name.startswith("exchange/"):
            self._watch(peer.name, ctx)
        elif peer.name == names.BUS and peer.epoch > self._state.bus_epoch:
            self._state.bus_epoch = peer.epoch
            self._state.bus_returned = True
            control.repeat(self._state, ctx)

    def _caught_up(self, ctx: Context) -> None:
        """Go live; a bus that came back has now shown every approval it had journaled."""
        held = self._state
        held.caught_up = True
        if held.bus_returned:
            held.bus_returned = False
            soon = ctx.now + self._settings.reservation_margin_ns
            for order in held.book.commitments.values():
                if not order.firm:
                    order.until_ns = min(order.until_ns, soon)
        control.watch_loss(held, self._settings, ctx)
        control.watch_drawdown(held, self._settings, ctx)
        self._answer_waiting(ctx)

    def _tick(self, ctx: Context) -> None:
        ctx.timer(_TICK, self._settings.tick_ns, RiskTick())
        if not self._state.caught_up:
            return
        control.watch_loss(self._state, self._settings, ctx)
        control.watch_drawdown(self._state, self._settings, ctx)
        for signal_id in book.lapse(self._state.book, ctx.now):
            self._state.verdicts.pop(signal_id, None)
            self._state.own.pop(signal_id, None)
            ctx.count("risk.reservations_lapsed")

    # -- what it hears ----------------------------------------------------------------------

    def _mark(self, data: MarketData, ctx: Context) -> None:
        price = last_price(data)
        if not (math.isfinite(price) and price > 0):
            ctx.count("risk.market_data_unusable")
            return
        self._priced(data, price)
        self._state.markets.setdefault(data.symbol, Market()).take(data, price, self._settings)

    def _priced(self, data: MarketData, price: float) -> None:
        """Value the symbol by a piece of data."""
        mid = Decimal(str(price))
        bid = ask = mid
        if isinstance(data, Quote):
            bid, ask = Decimal(str(data.bid)), Decimal(str(data.ask))
        elif isinstance(data, Depth):
            bid, ask = Decimal(str(data.bids[0][0])), Decimal(str(data.asks[0][0]))
        known = self._state.book.marks.get(data.symbol)
        if known is None or data.recv_ns >= known.recv_ns:
            self._state.book.marks[data.symbol] = Mark(mid, bid, ask, data.recv_ns)

    def absorb(self, data: Sequence[MarketData], looks: Sequence[int] = ()) -> None:
        """Take in market data in the order of time, as one by one would be.

        Args:
            data: of any symbols, each as of when it was received.
            looks: the places of those after which the timer came round (-1: before the first), where nothing came of
                it but a new peak; see ``bears``.
        """
        if looks:
            self._look(data, looks)
        symbols = {each.symbol for each in data}
        for symbol in symbols if len(symbols) == 1 else dict.fromkeys(each.symbol for each in data):
            own = data if len(symbols) == 1 else [each for each in data if each.symbol == symbol]
            prices = list(map(last_price, own))
            if not (min(prices) > 0 and sum(prices) < math.inf):
                own = [each for each, price in zip(own, prices, strict=True) if 0 < price < math.inf]
                prices = list(map(last_price, own))
            if own:
                self._state.markets.setdefault(symbol, Market()).extend(own, prices, self._settings)
                self._priced(own[-1], prices[-1])

    @property
    def held(self) -> dict[str, float]:
        """What is held, with the price it is valued at."""
        book = self._state.book
        return {symbol: float(book.price(symbol)) for symbol, held in book.positions.items() if held.quantity}

    def _look(self, data: Sequence[MarketData], looks: Sequence[int]) -> None:
        """Note the highest profit there was at any look."""
        book, held = self._state.book, self.held
        if len(held) == 1:
            looks = [self._best(data, looks, *held.items())]
        after = 0
        for look in looks:
            for each in {each.symbol: each for each in data[after : look + 1] if last_price(each) > 0}.values():
                self._priced(each, last_price(each))
            after = look + 1
            self._state.account.drawdown(book.profit())

    def _best(self, data: Sequence[MarketData], looks: Sequence[int], held: tuple[str, float]) -> int:
        """The look at which the price of the one symbol that is held was best."""
        symbol, price = held
        long = self._state.book.positions[symbol].quantity > 0
        found, best, at = looks[0], -math.inf, 0
        prices = [last_price(each) if each.symbol == symbol else 0.0 for each in data]
        for look in looks:
            for newer in prices[at : look + 1]:
                price = newer or price
            at = look + 1
            if (worth := price if long else -price) > best:
                found, best = look, worth
        return found

    def still_ns(self, now: int) -> int:
        """Until when its timer finds nothing to do, unless something is heard."""
        granted = (order.until_ns for order in self._state.book.commitments.values() if not order.firm)
        return min([(now // book.DAY_NS + 1) * book.DAY_NS, *granted])

    def bears(self, bands: Mapping[str, tuple[float, float]]) -> bool:
        """Whether no limit on losses is reached while the prices of what is held stay within these."""
        held, settings = self._state, self._settings
        if held.pending or held.latest.state is not TradingState.ACTIVE:
            return not held.pending
        book = held.book
        worst = best = book.profit()
        for symbol, band in bands.items():
            position, rate = book.position(symbol), book.rate(symbol)
            now = position.unrealized(book.price(symbol))
            ends = [(position.unrealized(Decimal(str(price))) - now) * rate for price in band]
            worst, best = worst + min(ends), best + max(ends)
        fallen, equity = max(held.account.peak, best) - worst, held.equity - (best - worst)
        within = drawdown_share(fallen, equity) < settings.max_drawdown
        return book.day_start - worst < settings.daily_loss and equity > 0 and within

    def _exchange(self, message: ExchangeState, ctx: Context) -> None:
        if ctx.sender in (names.exchange(message.venue), names.BUS):
            fold.heard(self._state, self._settings, message, ctx.now, direct=True)
        else:
            ctx.count("risk.impostors")

    # -- judgement --------------------------------------------------------------------------

    def _evaluate(self, message: Evaluate, ctx: Context) -> None:
        if ctx.sender != names.BUS:
            ctx.count("risk.impostors")
            return
        held = self._state
        if held.caught_up and self._knows(message.after):
            self._answer(message, ctx)
            return
        held.waiting[message.signal.id] = message
        ctx.count("risk.evaluations_waiting")
        if held.caught_up:
            self._forget(message.signal.id)

    def _knows(self, approved: str) -> bool:
        """Whether the exposure of that approval, and of all before it, is in the book.

        What this incarnation decided it knows; what an earlier one did, once its record came.
        """
        held = self._state
        return not approved or approved in held.own or approved in held.settled or approved == held.last_approved

    def _forget(self, signal_id: str) -> None:
        """Take back a decision made without knowing of an approval the question names.

        The bus asked again for that reason, and takes no answer to its earlier question.
        """
        held = self._state
        if signal_id not in held.settled and held.verdicts.pop(signal_id, None) is not None:
            book.release(held.book, signal_id)
            held.approvals.pop(signal_id, None)
            held.own.pop(signal_id, None)

    def _answer_waiting(self, ctx: Context) -> None:
        held = self._state
        if not held.caught_up or not held.waiting:
            return
        waiting, held.waiting = held.waiting, {}
        for message in waiting.values():
            if self._knows(message.after):
                self._answer(message, ctx)
            else:
                held.waiting[message.signal.id] = message

    def _answer(self, message: Evaluate, ctx: Context) -> None:
        signal, held = message.signal, self._state
        verdict = fold.recall(held, signal.id)
        if verdict is None and signal.id in held.settled:
            ctx.count("risk.evaluations_settled")
            return
        if verdict is None:
            verdict = self._decide(signal, ctx)
        elif verdict.order is not None:
            self._renew(signal, verdict.order.client_id)
        ctx.send(names.BUS, msgspec.structs.replace(verdict, attempt=message.attempt))

    def _decide(self, signal: Signal, ctx: Context) -> Verdict:
        held, settings = self._state, self._settings
        held.book.roll(ctx.now)
        case = self._case(signal, ctx.now)
        verdict = evaluation.judge(case)
        fold.spoke(held, signal.strategy, signal.symbol, ensemble.voice(signal))
        fold.decided(held, verdict, settings)
        if verdict.order is not None and case.plan is not None:
            self._reserve(signal, verdict, case.plan, ctx.now)
            ctx.count("risk.approved")
        else:
            held.denials[verdict.code] = held.denials.get(verdict.code, 0) + 1
            ctx.count(f"risk.denied.{verdict.code}")
        return verdict

    def _reserve(self, signal: Signal, verdict: Verdict, plan: Plan, now: int) -> None:
        order = verdict.order
        if order is None:
            return
        self._state.own[signal.id] = now
        book.reserve(self._state.book, order, self._until(signal), plan.worst)
        reduces = order.reduce_only or order.closes
        fold.entered(self._state, signal.id, signal.strategy, signal.symbol, now, reduces=reduces)

    def _renew(self, signal: Signal, client_id: str) -> None:
        commitment = self._state.book.commitments.get(client_id)
        if commitment is not None and not commitment.firm:
            commitment.until_ns = self._until(signal)

    def _until(self, signal: Signal) -> int:
        """After its signal's life the bus can't approve any more; the margin is for its record to arrive."""
        return signal.created_ns + signal.ttl_ns + self._settings.reservation_margin_ns

    def _case(self, signal: Signal, now: int) -> Case:
        held = self._state
        symbol, key = signal.symbol, pair(signal.strategy, signal.symbol)
        latest, arm = held.latest, held.policies.arm(signal.id)
        return Case(
            signal=signal,
            settings=self._settings,
            now=now,
            trading=latest.state,
            trading_reason=latest.reason,
            halt_reason=held.halts.get(symbol, ""),
            view=held.views.get(symbol.partition(":")[0]),
            instruments=held.instruments,
            feedback=held.feedback.get(key),
            book=held.book,
            account=held.account,
            pace=fold.pace(held, key, now),
            terms=Terms(held.policies.of(arm), arm, self._regime(symbol), self._settings, now),
            voices=held.voices.get(symbol, {}),
            markets=held.markets,
            correlations=self._correlations,
            worths=self._worths,
            equity=held.equity,
        )

    def _regime(self, symbol: str) -> str:
        market = self._state.markets.get(symbol)
        return market.regime.label(self._settings.regime) if market else UNKNOWN

    # -- the kernel's other questions -------------------------------------------------------

    def snapshot(self) -> bytes:
        """The whole state, versioned."""
        return state.encode(self._state)

    def restore(self, data: bytes) -> None:
        """Take over a state; raises ``SnapshotError`` if the bytes are none."""
        self._state = state.decode(data)
        self._correlations, self._worths = Correlations(), Worths()

    def status(self) -> dict[str, object]:
        """What is allowed, the exposure against its limits, the day's loss, denials by code."""
        held, settings = self._state, self._settings
        exposure = {symbol: str(held.book.exposure(symbol)) for symbol in held.book.symbols()}
        total = sum((held.book.exposure(symbol) for symbol in held.book.symbols()), Decimal(0))
        return {
            "caught_up": held.caught_up,
            "seq": held.seq,
            "trading_state": held.latest.state.value,
            "trading_reason": held.latest.reason,
            "exposure": exposure,
            "exposure_total": str(total),
            "exposure_limit": str(settings.total_notional),
            "daily_loss": str(held.book.loss()),
            "daily_loss_limit": str(settings.daily_loss),
            "reservations": sum(1 for order in held.book.commitments.values() if not order.firm),
            "orders": sum(1 for order in held.book.commitments.values() if order.firm),
            "halted_symbols": sorted(held.halts),
            "denials": dict(held.denials),
            "drawdown": str(held.account.drawdown(held.book.profit())),
            "budget_spent": str(held.account.spent),
            "paused": sorted(held.account.paused),
            "regimes": {symbol: self._regime(symbol) for symbol in held.markets},
            "policy": held.policies.full.version if held.policies.full else 0,
            "trial": held.policies.trial.version if held.policies.trial else 0,
            "trial_share": held.policies.share,
            "shadows": list(held.policies.shadows),
            "waiting": len(held.waiting),
        }
