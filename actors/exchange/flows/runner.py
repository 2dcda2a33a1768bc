"""Runs flows: asks their rules for the next move, has it journaled, carries it out, tells how they end."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from actors.exchange.admission import Admission, Refusal
from actors.exchange.execution import Execution
from actors.exchange.flows import exits
from actors.exchange.flows.guard import distance_of, exit_side, resting_level, stop_level
from actors.exchange.flows.moves import (
    WAIT,
    Amend,
    Cancel,
    End,
    LegView,
    Move,
    Send,
    StopTerms,
    View,
    Wait,
    executed,
    wind_down,
    working,
)
from actors.exchange.flows.prices import NEVER_NS, Prices
from actors.exchange.flows.rules import next_move
from actors.exchange.flows.state import FlowState, Leg, Stop
from actors.exchange.flows.watching import Watched, concerns, watched
from actors.exchange.ledger import FillLedger
from actors.exchange.outbox import Outbox
from actors.exchange.settings import ExchangeSettings
from actors.exchange.state import ConnectionState, TrackedOrder
from actors.messages.control import TradingState
from actors.messages.orders import FlowEnded, LegPlanned, LegRefused
from actors.messages.signals import ApprovedOrder, Withdraw
from exchanges.model.flow import Bracket, Chase, Conditional, Iceberg, Oco, Rest, Role, protects
from exchanges.model.instrument import Instrument
from exchanges.model.market import MarketData
from exchanges.model.order import Order, TimeInForce
from runtime.behavior import Context
from runtime.message import Message
from strategies.signal import client_order_id

_ZERO = Decimal(0)
_MOVES_AT_ONCE = 8
_ENDED_KEPT = 512


class Flows:
    """Every flow of one connection.

    A flow plans one order at a time: it is sent when its ``LegPlanned`` comes back from the journal.
    What a successor plans anew under the same number and attempt is the same order, whose journaled
    form counts.
    """

    def __init__(
        self,
        settings: ExchangeSettings,
        state: ConnectionState,
        outbox: Outbox,
        ledger: FillLedger,
        admission: Admission,
        execution: Execution,
    ) -> None:
        self._settings = settings
        self._state = state
        self._outbox = outbox
        self._ledger = ledger
        self._admission = admission
        self._execution = execution
        self._prices = Prices(settings.price_age_ns)
        self._crowd: tuple[dict[str, set[str]], dict[str, set[str]]] | None = None
        """Who is in which symbol, for the flows that look at one message."""

    # -- the journal -----------------------------------------------------------------------

    def open(self, approved: ApprovedOrder, ctx: Context) -> None:
        """Take an approved flow from the journal."""
        state = self._state
        if approved.signal_id in state.flows or approved.signal_id in state.ended_flows:
            ctx.count("exchange.approved_again")
            return
        state.flows[approved.signal_id] = FlowState(approved)
        ctx.count("exchange.flows")

    def take(self, event: Message, ctx: Context) -> None:
        """Take in what the journal says of a flow, replayed or live."""
        if isinstance(event, LegPlanned):
            self._leg(event, ctx)
        elif isinstance(event, LegRefused):
            flow = self._state.flows.get(event.signal_id)
            if flow is not None:
                flow.asked = ""
                flow.stop = flow.stop or Stop("bus", "LEG_REFUSED", event.reason, expired=False, whole=False)
        elif isinstance(event, FlowEnded):
            self._ended(event)
        elif isinstance(event, Withdraw):
            self._withdrawn(event, ctx)

    def _leg(self, event: LegPlanned, ctx: Context) -> None:
        state, order = self._state, event.order
        flow = state.flows.get(event.signal_id)
        if flow is not None and flow.asked == order.client_id:
            flow.asked = ""
        if flow is None or state.find(order.client_id) is not None:
            ctx.count("exchange.legs_again")
            return
        flow.legs.append(Leg(order.client_id, event.role, event.number, event.attempt))
        tracked = self._tracked(flow, event)
        state.active[order.client_id] = tracked
        if not state.live:
            tracked.outstanding = True
            return
        refusal = None
        if flow.stop is not None:
            refusal = Refusal("flow", flow.stop.code, flow.stop.detail)
        self._execution.admit(tracked, ctx, refusal)

    def _tracked(self, flow: FlowState, event: LegPlanned) -> TrackedOrder:
        frame, first = flow.frame, len(flow.legs) <= 1
        return TrackedOrder(
            event.order,
            signal_id=event.signal_id,
            strategy=event.strategy,
            reference_price=frame.reference_price,
            approved_ns=event.planned_ns,
            expires_ns=event.expires_ns,
            tick_recv_ns=frame.tick_recv_ns if first else 0,
            signal_ns=frame.signal_ns if first else 0,
            role=event.role.value,
        )

    def _ended(self, event: FlowEnded) -> None:
        flow = self._state.flows.get(event.signal_id)
        if flow is None:
            return
        if event.lives_on:
            flow.entered_ns = flow.entered_ns or 1
            # What had ended the entry alone does not concern the exits.
            flow.stop = flow.stop if flow.stop is not None and flow.stop.whole else None
            return
        del self._state.flows[event.signal_id]
        self._state.ended_flows.append(event.signal_id)
        del self._state.ended_flows[:-_ENDED_KEPT]

    def _withdrawn(self, event: Withdraw, ctx: Context) -> None:
        flow = self._state.flows.get(event.signal_id)
        why = f"by={event.by} reason={event.reason or 'none'}"
        if flow is not None:
            flow.stop = Stop("flow", "WITHDRAWN", why)
            return
        for tracked in list(self._state.active.values()):
            if tracked.signal_id == event.signal_id and self._state.live:
                self._execution.cancel(tracked, f"withdrawn {why}", ctx)

    # -- what ends them --------------------------------------------------------------------

    def panic(self) -> None:
        """A panic closes everything, so nothing of a flow is wanted any more."""
        for flow in self._state.flows.values():
            flow.stop = Stop("latch", "PANIC", self._state.latch_reason)

    def restrict(self, trading: TradingState, reason: str) -> None:
        """End what the present state does not allow to go on; exits wait until they may."""
        if trading is TradingState.ACTIVE:
            return
        for flow in self._state.flows.values():
            exits_now = protects(flow.frame.flow) or flow.entered_ns > 0
            closes = flow.frame.reduce_only and trading is TradingState.REDUCING
            if not exits_now and not closes and flow.stop is None:
                flow.stop = Stop("latch", f"TRADING_{trading.value}", reason or "by risk", expired=False, whole=False)

    # -- running ---------------------------------------------------------------------------

    def market(self, data: MarketData, ctx: Context) -> None:
        """Take in market data; flows that look at the market look now."""
        self._crowd = None
        self._prices.take(data, ctx.now)
        for flow in list(self._state.flows.values()) if self._state.flows else ():
            if _watches(flow, data.symbol) and self._state.live:
                self._step(flow, ctx)

    def priced(self, symbol: str, price: float, ctx: Context) -> None:
        """Remember a last price that came without market data, for the next ``run``."""
        self._prices.last(symbol, price, ctx.now)

    def watched(self, symbol: str) -> list[Watched]:
        """What the flows under way that concern a symbol wait for in its last price."""
        flows, rest = self._state.flows.values(), self._settings.exits_rest
        return [watched(flow, symbol, exits_rest=rest) for flow in flows if concerns(flow, symbol)]

    def absorb(self, data: Sequence[MarketData]) -> None:
        """Take in data of one symbol while there is no flow."""
        self._prices.absorb(data)

    def still_ns(self, now: int) -> int:
        """Until when no flow does anything, unless something is heard; 0 if that isn't known."""
        flows = self._state.flows.values()
        if not flows:
            return NEVER_NS
        if not all(map(self._waits, flows)):
            return 0
        return min(self._prices.stale_ns(now), *(flow.frame.ends_ns for flow in flows))

    def _waits(self, flow: FlowState) -> bool:
        """Whether it has an order in the book, or a price to wait for, and else nothing to do."""
        kind = flow.frame.flow
        if flow.asked or flow.done or flow.fired or flow.stop is not None:
            return False
        rests = bool(flow.legs) and self._stands(flow.legs[-1])
        if protects(kind) or flow.entered_ns:
            if self._guarded(flow):
                # The clock asks for the next step of what trails, and for another stop after a refusal.
                stops = filter(lambda leg: leg.role is Role.STOP, flow.legs)
                return distance_of(flow) is None and any(map(self._stands, stops))
            return rests or (not isinstance(kind, Bracket | Oco) or kind.take_profit is None)
        return rests if isinstance(kind, Rest | Iceberg) else isinstance(kind, Conditional) and not flow.legs

    def _stands(self, leg: Leg) -> bool:
        tracked = self._state.find(leg.client_id)
        return tracked is not None and not tracked.status.final

    def _guarded(self, flow: FlowState) -> bool:
        """Whether its stop belongs at the venue."""
        instrument = self._state.instruments.get(flow.frame.symbol)
        return instrument is not None and self._stop_terms(instrument) is not None and stop_level(flow) is not None

    def run(self, ctx: Context) -> None:
        """Bring every flow on as far as it goes now."""
        self._crowd = None
        if self._state.live:
            for flow in list(self._state.flows.values()):
                self._step(flow, ctx)

    def _step(self, flow: FlowState, ctx: Context) -> None:
        self._watch(flow, ctx)
        for _ in range(_MOVES_AT_ONCE):
            legs = None if flow.asked or flow.done else self._legs(flow)
            if legs is None or not self._carry_out(flow, self._next(flow, legs, ctx), legs, ctx):
                return

    def _watch(self, flow: FlowState, ctx: Context) -> None:
        """Remember what of the market must not be forgotten: best prices, triggers met."""
        frame = flow.frame
        kind = frame.flow
        if self._admission.trading is TradingState.HALTED:
            return
        if isinstance(kind, Conditional) and not flow.fired and ctx.now < frame.ends_ns:
            met = [self._prices.met(trigger, frame.symbol, ctx.now) for trigger in kind.triggers]
            if all(met) if kind.every else any(met):
                flow.fired = ", ".join(text for text in met if text)
        elif protects(kind) or flow.entered_ns:
            stops = [leg for leg in self._legs(flow) or () if leg.stands] if flow.legs else []
            if not flow.fired and any(leg.order.triggered for leg in stops):
                exits.fire(flow, "the venue has met it", ctx.now)
            exits.watch(flow, self._prices, ctx.now, resting_level(flow, stops))

    def _next(self, flow: FlowState, legs: Sequence[LegView], ctx: Context) -> Move:
        instrument = self._state.instruments.get(flow.frame.symbol)
        if instrument is not None:
            return next_move(self._view(flow, legs, instrument, ctx))
        # Without its rules nothing can be ordered, but it can be ended.
        over = Stop("flow", "LIFETIME_OVER", "no instrument") if ctx.now >= flow.frame.ends_ns else None
        stop = flow.stop or over
        return wind_down(legs, stop) if stop is not None else WAIT

    def _carry_out(self, flow: FlowState, move: Move, legs: Sequence[LegView], ctx: Context) -> bool:
        """Do it; whether there may be another move at once."""
        if isinstance(move, Wait):
            return False
        if isinstance(move, Send):
            return not self._state.stopping and self._plan(flow, move, ctx)
        if isinstance(move, End):
            return self._end(flow, move.stop, legs, ctx)
        tracked = self._state.find(move.client_id)
        if tracked is None:
            return False
        if isinstance(move, Cancel):
            self._execution.cancel(tracked, move.reason, ctx)
        elif isinstance(move, Amend):
            flow.moves, flow.moved_ns = flow.moves + 1, ctx.now
            asked = {"price": move.price, "quantity": move.quantity, "trigger_price": move.trigger_price}
            self._execution.amend(tracked, ctx, **asked)
        return True

    def _plan(self, flow: FlowState, send: Send, ctx: Context) -> bool:
        """Ask the journal for the next order, unless it could not leave anyhow."""
        leg = self._leg_of(flow, send, ctx)
        refusal = self._admission.refusal(self._tracked(flow, leg), ctx)
        if refusal is not None:
            ctx.count("exchange.legs_waiting")
            if refusal.passing or send.role is not Role.ENTRY:
                return False
            flow.stop = Stop(refusal.gate, refusal.code, refusal.detail, refusal.expired, whole=False)
            return True
        flow.asked = leg.order.client_id
        ctx.count("exchange.legs")
        self._outbox.report(leg, ctx)
        return False

    def _leg_of(self, flow: FlowState, send: Send, ctx: Context) -> LegPlanned:
        frame = flow.frame
        attempt = sum(leg.number == send.number for leg in flow.legs)
        exit_leg = send.role is not Role.ENTRY
        side = exit_side(flow) if exit_leg else frame.side
        rests = send.time_in_force in (TimeInForce.GTC, TimeInForce.POST_ONLY)
        order = Order(
            client_order_id(frame.signal_id, send.number, attempt),
            frame.symbol,
            side,
            send.type,
            send.quantity,
            send.price,
            send.time_in_force,
            frame.reduce_only or exit_leg,
            trigger=send.trigger,
        )
        return LegPlanned(
            frame.signal_id,
            frame.strategy,
            frame.symbol,
            order,
            send.role,
            send.number,
            attempt,
            send.reason,
            ctx.now,
            frame.ends_ns if rests else ctx.now + self._settings.leg_ns,
        )

    def _end(self, flow: FlowState, stop: Stop, legs: Sequence[LegView], ctx: Context) -> bool:
        """Tell the end; of a bracket whose entry has got something, go on with its exits."""
        frame = flow.frame
        mine = [leg for leg in legs if leg.order.side is frame.side]
        filled, value = executed(mine), sum((leg.value for leg in mine), _ZERO)
        whole = flow.stop is None or flow.stop.whole
        bracket = isinstance(frame.flow, Bracket)
        goes_on = bracket and not flow.entered_ns and filled > 0 and not (flow.stop is not None and whole)
        exited = executed([leg for leg in legs if leg.order.side is not frame.side])
        average = value / filled if filled else _ZERO
        ended = FlowEnded(
            frame.signal_id,
            frame.strategy,
            frame.symbol,
            filled,
            average,
            stop.gate,
            stop.code,
            stop.detail,
            stop.expired,
            goes_on,
            exited,
        )
        if goes_on:
            flow.entered_ns, flow.stop = ctx.now, None
        else:
            flow.done = True
            ctx.count("exchange.flows_ended")
        self._outbox.report(ended, ctx)
        return goes_on

    # -- looking ---------------------------------------------------------------------------

    def _view(self, flow: FlowState, legs: Sequence[LegView], instrument: Instrument, ctx: Context) -> View:
        settings = self._settings
        closable, reducible = self._closable(flow)
        return View(
            flow,
            legs,
            ctx.now,
            self._prices,
            instrument,
            closable,
            reducible,
            self._admission.trading,
            settings.leg_retry_ns,
            settings.leg_tries,
            settings.exits_rest,
            self._stop_terms(instrument),
            self._alone(flow),
        )

    def _alone(self, flow: FlowState) -> bool:
        """Whether nobody else of ours holds or orders its symbol."""
        if self._crowd is None:
            self._crowd = self._gather()
        signals, strategies = self._crowd
        symbol = flow.frame.symbol
        return signals.get(symbol, set()) <= {flow.frame.signal_id} and strategies.get(symbol, set()) <= {
            flow.frame.strategy
        }

    def _gather(self) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
        """By symbol, the signals that have a flow or an order there, and the strategies that hold it."""
        state = self._state
        signals: dict[str, set[str]] = {}
        strategies: dict[str, set[str]] = {}
        for signal_id, flow in state.flows.items():
            signals.setdefault(flow.frame.symbol, set()).add(signal_id)
        for tracked in state.active.values():
            signals.setdefault(tracked.symbol, set()).add(tracked.signal_id)
        for key in state.shares:
            strategy, _, symbol = key.partition("|")
            strategies.setdefault(symbol, set()).add(strategy)
        return signals, strategies

    def _stop_terms(self, instrument: Instrument) -> StopTerms | None:
        settings, offered = self._settings, instrument.stops
        if offered is None or not settings.native_stops:
            return None
        return StopTerms(offered, settings.stop_wait_ns, settings.trail_ns, settings.trail_step)

    def _legs(self, flow: FlowState) -> list[LegView] | None:
        """Its orders; ``None`` if one is not known any more, without which nothing may be sent."""
        found = [(leg, self._state.find(leg.client_id)) for leg in flow.legs]
        legs = [_seen(leg, tracked) for leg, tracked in found if tracked is not None]
        return legs if len(legs) == len(found) else None

    def _closable(self, flow: FlowState) -> tuple[Decimal, Decimal]:
        """What its exits may close, and what of it the account's position allows now."""
        frame = flow.frame
        if not protects(frame.flow) and not flow.entered_ns:
            return _ZERO, _ZERO
        sign = -exit_side(flow).sign
        share = self._ledger.share(frame.strategy, frame.symbol) * sign
        held = max(self._ledger.position(frame.symbol).quantity * sign, _ZERO)
        if flow.own is None:
            flow.own = share > 0
        return (max(share, _ZERO) if flow.own else held), held

    def _at_venue(self, flow: FlowState) -> list[dict[str, str]]:
        """Its stops that rest at the venue, with or without us."""
        legs = [leg for leg in self._legs(flow) or () if leg.stands and leg.resting]
        return [
            {"client_id": leg.order.client_id, "quantity": str(leg.left), "trigger_price": str(leg.order.trigger.price)}
            for leg in legs
            if leg.order.trigger is not None
        ]

    def status(self) -> list[dict[str, object]]:
        """One line for each flow under way."""
        return [
            {
                "signal": signal_id,
                "strategy": flow.frame.strategy,
                "symbol": flow.frame.symbol,
                "kind": type(flow.frame.flow).__name__,
                "orders": len(flow.legs),
                "working": len(working(self._legs(flow) or [])),
                "exits": flow.entered_ns > 0 or protects(flow.frame.flow),
                "fired": flow.fired,
                "at_venue": self._at_venue(flow),
                "stop": flow.stop.code if flow.stop else "",
            }
            for signal_id, flow in self._state.flows.items()
        ]


def _seen(leg: Leg, tracked: TrackedOrder) -> LegView:
    return LegView(
        leg.role,
        leg.number,
        leg.attempt,
        tracked.order,
        tracked.executed,
        tracked.value,
        tracked.status.final and not tracked.waits_for_fills,
        tracked.cancel_reason,
        tracked.amended,
        tracked.amend_refused,
        tracked.touched_ns,
    )


def _watches(flow: FlowState, symbol: str) -> bool:
    """Whether this symbol's prices may change what the flow wants."""
    kind = flow.frame.flow
    if isinstance(kind, Conditional):
        return symbol in (flow.frame.symbol, *(trigger.symbol for trigger in kind.triggers))
    looks = protects(kind) or isinstance(kind, Chase) or flow.entered_ns > 0
    return looks and symbol == flow.frame.symbol
