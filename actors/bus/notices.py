"""What the bus journals without taking part in it: halts, repairs, restarts, exchange states."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from actors import names
from actors.bus.fold import adoption_key, payment_key, repair_key
from actors.bus.turn import Turn
from actors.messages.control import ActorRestarted, ActorStopped, ControlTaken, DeadLetter, TradingStateChanged
from actors.messages.orders import Adopted, ExchangeState, Paid, Repaired, SymbolHalted


def trading_state(turn: Turn, message: TradingStateChanged) -> None:
    """Journal what risk allows from now on."""
    if not turn.from_sender(names.RISK, "", message):
        return
    if message == turn.ledger.trading:
        turn.repeated("TradingStateChanged")
        return
    turn.record(message)


def symbol_halted(turn: Turn, message: SymbolHalted) -> None:
    """Journal a halt, or its end, once."""
    if not turn.from_sender(names.exchange(message.venue), "", message):
        return
    known = turn.ledger.halts.get(message.symbol)
    if (known is not None) == message.halted and (known is None or known.reason == message.reason):
        turn.repeated("SymbolHalted")
        return
    turn.record(message)


def repaired(turn: Turn, message: Repaired) -> None:
    """Journal a repair once."""
    if not turn.from_sender(names.exchange(message.venue), "", message):
        return
    if message.id and repair_key(message) in turn.ledger.repairs:
        turn.repeated("Repaired")
        return
    turn.record(message)


def paid(turn: Turn, message: Paid) -> None:
    """Journal a payment once."""
    if not turn.from_sender(names.exchange(message.venue), "", message):
        return
    if payment_key(message) in turn.ledger.payments:
        turn.repeated("Paid")
        return
    turn.record(message)


def adopted(turn: Turn, message: Adopted) -> None:
    """Journal an adoption once."""
    if not turn.from_sender(names.exchange(message.venue), "", message):
        return
    if adoption_key(message) in turn.ledger.adoptions:
        turn.repeated("Adopted")
        return
    turn.record(message)


def exchange_state(turn: Turn, message: ExchangeState) -> None:
    """Journal an exchange connection's state if something material has changed."""
    if not turn.from_sender(names.exchange(message.venue), "", message):
        return
    known = turn.ledger.exchanges.get(message.venue)
    if known is None or _material(known, message, turn.settings.equity_step):
        turn.record(message)
    else:
        turn.ctx.count("bus.exchange_states_unchanged")


def control_taken(turn: Turn, message: ControlTaken) -> None:
    """Journal that an actor carried out an order to the system, once for each actor."""
    if f"{message.control_id}|{message.actor}" in turn.ledger.controls:
        turn.repeated("ControlTaken")
        return
    turn.record(message)


def restarted(turn: Turn, message: ActorRestarted) -> None:
    """Journal a successor once."""
    if turn.ledger.incarnations.get(message.name) == message.epoch:
        turn.repeated("ActorRestarted")
        return
    turn.record(message)


def stopped(turn: Turn, message: ActorStopped) -> None:
    turn.record(message)


def dead_letter(turn: Turn, message: DeadLetter) -> None:
    turn.ledger.add("dead_letters")
    turn.ctx.count("bus.dead_letters")
    turn.record(message)


def _material(known: ExchangeState, new: ExchangeState, step: float) -> bool:
    if _moved(known.cash, new.cash, step) or _moved(known.equity, new.equity, step):
        return True
    return known != msgspec.structs.replace(new, cash=known.cash, equity=known.equity)


def _moved(known: Decimal, new: Decimal, step: float) -> bool:
    if known == 0 or new == 0:
        return known != new
    return abs(new - known) >= abs(known) * Decimal(str(step))
