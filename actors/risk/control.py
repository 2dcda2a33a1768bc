"""Halts and their end: by hand, or because the day's loss is spent."""

from __future__ import annotations

from actors.messages.control import Control, ControlTaken, TradingState, TradingStateChanged
from actors.names import BUS, RISK
from actors.risk.account import drawdown_share
from actors.risk.settings import RiskSettings
from actors.risk.state import DRAWDOWN, RiskState
from actors.window import remember
from runtime.behavior import Context

ACTIONS: dict[str, TradingState] = {
    "halt": TradingState.HALTED,
    "panic": TradingState.HALTED,
    "reduce": TradingState.REDUCING,
    "resume": TradingState.ACTIVE,
}


def control(state: RiskState, settings: RiskSettings, message: Control, ctx: Context) -> None:
    """Carry out an order to the system, at once and only once."""
    target = ACTIONS.get(message.action)
    if target is None:
        ctx.count("risk.controls_not_mine")
        return
    if message.id in state.controls:
        ctx.count("risk.controls_repeated")
        return
    remember(state.controls, message.id, ctx.now, settings.remembered_controls)
    before = state.latest.state
    if target is TradingState.ACTIVE and state.latest.reason.startswith(DRAWDOWN):
        state.account.peak = state.book.profit()
    _change(state, TradingStateChanged(target, message.reason or message.action, message.by, message.id), ctx)
    taken = ControlTaken(message.id, message.action, message.by, RISK, f"{before.value} to {target.value}")
    ctx.send(BUS, taken)


def watch_loss(state: RiskState, settings: RiskSettings, ctx: Context) -> None:
    """Begin the new day's account, and go to REDUCING once on a day whose loss limit is reached."""
    state.book.roll(ctx.now)
    loss = state.book.loss()
    key = f"daily-loss-{state.book.day}"
    if loss < settings.daily_loss or key in state.controls or state.latest.state is not TradingState.ACTIVE:
        return
    remember(state.controls, key, ctx.now, settings.remembered_controls)
    reason = f"DAILY_LOSS: loss={loss} limit={settings.daily_loss}"
    _change(state, TradingStateChanged(TradingState.REDUCING, reason, RISK, key), ctx)


def watch_drawdown(state: RiskState, settings: RiskSettings, ctx: Context) -> None:
    """Go to REDUCING when equity has fallen too far from its peak; a resume from there begins a new peak.

    Without an equity there is nothing to measure by, and nothing is approved.
    """
    fallen, equity = state.account.drawdown(state.book.profit()), state.equity
    share = drawdown_share(fallen, equity)
    if equity <= 0 or share < settings.max_drawdown or state.latest.state is not TradingState.ACTIVE:
        return
    reason = f"{DRAWDOWN}: share={share:.6g} fallen={fallen} limit={settings.max_drawdown}"
    _change(state, TradingStateChanged(TradingState.REDUCING, reason, RISK, f"drawdown-{ctx.epoch}-{ctx.now}"), ctx)


def repeat(state: RiskState, ctx: Context) -> None:
    """Tell the bus again what its journal has not confirmed."""
    for change in state.pending:
        ctx.send(BUS, change)


def _change(state: RiskState, change: TradingStateChanged, ctx: Context) -> None:
    state.pending.append(change)
    ctx.count(f"risk.trading_state.{change.state.value}")
    ctx.send(BUS, change)
