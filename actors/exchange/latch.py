"""Halt, reduce, resume: latched here, whatever the bus or the risk supervisor are doing."""

from __future__ import annotations

from actors.exchange.admission import Admission
from actors.exchange.execution import Execution
from actors.exchange.flows.runner import Flows
from actors.exchange.outbox import Outbox
from actors.exchange.settings import ExchangeSettings
from actors.exchange.state import ConnectionState, PanicState
from actors.messages.control import Control, ControlTaken, TradingState, TradingStateChanged
from actors.messages.orders import SymbolHalted
from runtime.behavior import Context

FLAT = "/flat"
"""Ends the id of the ``ControlTaken`` that reports a panic's end."""

_ACTIONS = ("halt", "reduce", "resume", "panic")


class Latch:
    """Takes controls, each id once; only a later ``resume`` lifts what a control has latched."""

    def __init__(
        self,
        settings: ExchangeSettings,
        state: ConnectionState,
        outbox: Outbox,
        admission: Admission,
        execution: Execution,
        flows: Flows,
    ) -> None:
        self._settings = settings
        self._state = state
        self._outbox = outbox
        self._admission = admission
        self._execution = execution
        self._flows = flows

    def control(self, control: Control, ctx: Context) -> None:
        """Carry out a control meant for exchange connections; others and repeats are counted."""
        if control.action not in _ACTIONS:
            ctx.count("exchange.controls_not_ours")
            return
        if control.id in self._state.controls:
            ctx.count("exchange.controls_again")
            return
        self._latch(control.id, control.action, control.by, control.reason, ctx)
        if control.action == "resume":
            lifted = self._lift(control.target, ctx)
            detail = f"trading={self._admission.trading.value} symbols_lifted={lifted}"
        else:
            detail = f"trading={self._admission.trading.value} orders_cancelled={self.enforce(ctx)}"
        self._outbox.report(ControlTaken(control.id, control.action, control.by, ctx.name, detail), ctx)

    def taken(self, event: ControlTaken, ctx: Context) -> None:
        """Fold one of our own reports from the journal."""
        if event.actor != ctx.name:
            return
        self._outbox.confirm(event)
        if self._state.live or event.control_id in self._state.controls:
            return
        if event.control_id.endswith(FLAT):
            self.remember(event.control_id)
            self._state.panic = None
        elif event.action in _ACTIONS:
            self._latch(event.control_id, event.action, event.by, event.detail, ctx)
        else:
            self.remember(event.control_id)

    def allow(self, event: TradingStateChanged, ctx: Context) -> None:
        """Take over what the risk supervisor allows from now on."""
        self._state.allowed = event.state
        self._flows.restrict(self._admission.trading, event.reason)
        if self._state.live:
            self.enforce(ctx)

    def enforce(self, ctx: Context) -> int:
        """Cancel what the present state does not allow; returns how many orders that were."""
        trading = self._admission.trading
        if trading is TradingState.HALTED:
            return self._execution.cancel_working("trading is halted", ctx)
        if trading is TradingState.REDUCING:
            return self._execution.cancel_working("trading is reducing", ctx, adding_only=True)
        return 0

    def _latch(self, control_id: str, action: str, by: str, reason: str, ctx: Context) -> None:
        state = self._state
        self.remember(control_id)
        if action == "resume":
            state.latch, state.latch_reason, state.panic = TradingState.ACTIVE, "", None
            return
        if action == "panic":
            state.panic = PanicState(control_id, by, ctx.now, ctx.now)
        halted = action != "reduce" or state.panic is not None
        state.latch = TradingState.HALTED if halted else TradingState.REDUCING
        state.latch_reason = f"{action} by {by}" + (f": {reason}" if reason else "")
        self._flows.restrict(self._admission.trading, state.latch_reason)
        if action == "panic":
            self._flows.panic()

    def _lift(self, target: str, ctx: Context) -> int:
        """End the halts of all symbols, or of the one the control names."""
        lifted = [symbol for symbol in self._state.halted if target in ("", symbol)]
        for symbol in lifted:
            del self._state.halted[symbol]
            self._outbox.report(SymbolHalted(self._settings.venue, symbol, False, "resumed"), ctx)
        return len(lifted)

    def remember(self, control_id: str) -> None:
        """Note a control as carried out."""
        controls = self._state.controls
        controls.append(control_id)
        del controls[: -self._settings.controls_kept]
