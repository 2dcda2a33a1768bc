"""What the connection says of itself: to the bus and to risk, on every change and every second."""

from __future__ import annotations

import hashlib
from decimal import Decimal

import msgspec

from actors.exchange.feed import Feed
from actors.exchange.settings import ExchangeSettings
from actors.exchange.state import ConnectionState
from actors.messages.orders import ExchangeState
from actors.names import BUS, RISK
from exchanges.model.instrument import ContractKind
from runtime.behavior import Context

_ZERO = Decimal(0)
_MARGINED = (ContractKind.LINEAR_PERPETUAL,)


class Account:
    """Builds and sends ``ExchangeState``."""

    def __init__(self, settings: ExchangeSettings, state: ConnectionState, feed: Feed) -> None:
        self._settings = settings
        self._state = state
        self._feed = feed
        self._found: tuple[bool, bool, bool, str, list[str], str] | None = None
        self._marked = ""

    def tell(self, ctx: Context) -> None:
        """Send the connection's state if it has changed or was last sent a while ago."""
        state = self._state
        mark = self._mark()
        if mark == state.told_state and ctx.now - state.told_ns < self._settings.state_ns - self._settings.tick_ns // 2:
            return
        state.told_state, state.told_ns = mark, ctx.now
        message = self.build()
        ctx.send(BUS, message)
        ctx.send(RISK, message)

    def build(self) -> ExchangeState:
        """The connection as it stands."""
        state = self._state
        return ExchangeState(
            self._settings.venue,
            state.public_up,
            state.private_up,
            state.reconciled,
            tuple(state.instruments.values()),
            self.cash,
            self.equity,
            tuple(state.unknown()),
        )

    @property
    def cash(self) -> Decimal:
        """The wallet in the account's currency."""
        balance = self._state.balances.get(self._settings.cash_currency)
        return balance.total if balance else _ZERO

    @property
    def equity(self) -> Decimal:
        """Cash and open positions at the last price: their profit where margined, else their worth."""
        state, total = self._state, self.cash
        for symbol, position in state.positions.items():
            if not position.quantity:
                continue
            mark = self.mark(symbol)
            instrument = state.instruments.get(symbol)
            if not mark:
                mark = position.average_price
            if instrument is None or instrument.kind in _MARGINED:
                total += position.unrealized(mark)
            elif instrument.kind is ContractKind.BINARY_EVENT:
                total += instrument.commitment(position.quantity, mark)
            else:
                total += position.quantity * mark
        return total

    def mark(self, symbol: str) -> Decimal:
        """The last price of ``symbol``: of the market, else the venue's mark, else 0."""
        last = self._feed.last.get(symbol)
        return Decimal(str(last)) if last else self._state.marks.get(symbol, _ZERO)

    def fingerprint(self) -> str:
        """Of the instruments, to notice that one has changed."""
        data = msgspec.msgpack.encode(tuple(self._state.instruments.values()))
        return hashlib.blake2b(data, digest_size=8).hexdigest()

    def _mark(self) -> str:
        state = self._state
        found = (state.public_up, state.private_up, state.reconciled, str(self.cash), state.unknown(), state.rules)
        if found != self._found:
            public_up, private_up, reconciled, cash, unknown, rules = self._found = found
            self._marked = f"{public_up}{private_up}{reconciled}|{cash}|{','.join(unknown)}|{rules}"
        return self._marked
