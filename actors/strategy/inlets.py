"""Where a strategy's market data comes in: how far each symbol is, and which answers to wait for."""

from __future__ import annotations

from collections.abc import Mapping

from actors.messages.orders import Watch
from actors.names import exchange_of
from actors.strategy.settings import BrainSettings
from exchanges.model.market import MarketData


class Gate:
    """One exchange connection. ``closed``: what comes answers an earlier request and is passed over."""

    __slots__ = ("closed", "name", "symbols", "ticket")

    def __init__(self, name: str) -> None:
        self.name = name
        self.symbols: list[str] = []
        self.ticket = 0
        self.closed = True


class Inlet:
    """One symbol: the last piece of data seen, and the gate it comes through."""

    __slots__ = ("epoch", "gate", "seq", "symbol")

    def __init__(self, symbol: str, gate: Gate) -> None:
        self.symbol, self.gate = symbol, gate
        self.epoch = self.seq = 0

    @property
    def mark(self) -> tuple[int, int]:
        return self.epoch, self.seq


class Inlets:
    """All symbols of one strategy. ``kinds`` is what it watches; empty: everything."""

    def __init__(self, symbols: tuple[str, ...], kinds: tuple[str, ...], settings: BrainSettings) -> None:
        self.kinds = kinds
        self._settings = settings
        self.gates: dict[str, Gate] = {}
        self.by_symbol: dict[str, Inlet] = {}
        for symbol in symbols:
            name = exchange_of(symbol)
            gate = self.gates.setdefault(name, Gate(name))
            gate.symbols.append(symbol)
            self.by_symbol[symbol] = Inlet(symbol, gate)

    def close(self) -> None:
        """Pass over what comes until it is asked for anew."""
        for gate in self.gates.values():
            gate.closed = True

    def watch(self, name: str, epoch: int) -> Watch:
        """The request for what one connection has and the strategy has not; its gate is closed until the answer.

        Tickets begin anew with each ``epoch`` of the strategy, above all of the epochs before.
        """
        gate = self.gates[name]
        gate.closed = True
        gate.ticket = max(max(each.ticket for each in self.gates.values()) + 1, epoch << 20)
        marks = {symbol: self.by_symbol[symbol].mark for symbol in gate.symbols}
        after = {symbol: mark for symbol, mark in marks.items() if mark != (0, 0)}
        return Watch(tuple(gate.symbols), self.kinds, int(self._settings.delivery), after, gate.ticket)

    def watching(self, ticket: int) -> None:
        """The answer to the request with this ticket begins."""
        for gate in self.gates.values():
            if gate.ticket == ticket:
                gate.closed = False

    def seen(self, tick_id: str) -> bool:
        """Whether a piece of market data has been shown already; anything else: not."""
        symbol, at, number = tick_id.rpartition("@")
        epoch, dot, seq = number.partition(".")
        inlet = self.by_symbol.get(symbol)
        if inlet is None or not (at and dot and epoch.isdigit() and seq.isdigit()):
            return False
        return (int(epoch), int(seq)) <= inlet.mark

    def lost(self, data: MarketData) -> int:
        """How many pieces of the symbol are missing before this one; with some kinds left out it isn't known."""
        inlet = self.by_symbol[data.symbol]
        return data.seq - inlet.seq - 1 if data.epoch == inlet.epoch and not self.kinds else 0

    def marks(self) -> dict[str, tuple[int, int]]:
        return {symbol: inlet.mark for symbol, inlet in self.by_symbol.items()}

    def tickets(self) -> dict[str, tuple[int, bool]]:
        return {name: (gate.ticket, gate.closed) for name, gate in self.gates.items()}

    def restore(self, marks: Mapping[str, tuple[int, int]], tickets: Mapping[str, tuple[int, bool]]) -> None:
        """Go on where an earlier incarnation was; symbols it did not have begin at nothing."""
        for symbol, mark in marks.items():
            if symbol in self.by_symbol:
                self.by_symbol[symbol].epoch, self.by_symbol[symbol].seq = mark
        for name, (ticket, closed) in tickets.items():
            if name in self.gates:
                self.gates[name].ticket, self.gates[name].closed = ticket, closed
