"""Commands carried out by our own engine, answered as a venue answers them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from exchanges.commands import CommandRunner, result
from exchanges.failures import Failure, FailureKind, VenueError
from exchanges.interface import Sink
from exchanges.matching.record import Changes, Funding
from exchanges.matching.rejection import OrderRejectedError, Reject
from exchanges.model.order import Fill, Order
from exchanges.model.position import Balance
from exchanges.model.venue import (
    AmendOrder,
    CancelAll,
    CancelOrder,
    CommandResult,
    Outcome,
    PaymentReport,
    PlaceOrder,
    QueryOrder,
    VenuePosition,
)
from exchanges.paper.books import PaperBooks

_ABSENT = (Reject.UNKNOWN_ORDER, Reject.ALREADY_CLOSED)


def classify(error: BaseException) -> Failure:
    """What an error of the engine means for the command."""
    if not isinstance(error, OrderRejectedError):
        return Failure(FailureKind.UNKNOWN_OUTCOME, Outcome.UNKNOWN, type(error).__name__, str(error)[:200])
    code = error.code.value.upper()
    if error.code in _ABSENT:
        return Failure(FailureKind.NOT_FOUND, Outcome.NOT_FOUND, code, str(error))
    return Failure(FailureKind.REJECTED, Outcome.REJECTED, code, str(error))


class PaperCommands(CommandRunner):
    """Runs commands against the books.

    Args:
        books: The account.
        heard: Whether the venue's prices are coming in.
        changed: Gets what each command changed, to report it.
        sink: Takes the answers.
        counters: See ``CommandRunner``.
    """

    stops = True

    def __init__(
        self,
        books: PaperBooks,
        heard: Callable[[], bool],
        changed: Callable[[Changes], None],
        sink: Sink,
        counters: Counter[str],
    ) -> None:
        super().__init__(sink, counters, classify)
        self._books = books
        self._heard = heard
        self._changed = changed

    async def place(self, command: PlaceOrder) -> CommandResult:
        self._ensure_market(command.symbol)
        changes = self._books.place(command)
        self._changed(changes)
        return result(command, Outcome.ACCEPTED, venue_id=_id_of(changes))

    async def amend(self, command: AmendOrder) -> CommandResult:
        self._ensure_market(command.symbol)
        changes = self._books.amend(command)
        self._changed(changes)
        return result(command, Outcome.ACCEPTED, venue_id=_id_of(changes))

    async def cancel(self, command: CancelOrder) -> CommandResult:
        changes = self._books.cancel(command)
        self._changed(changes)
        return result(command, Outcome.ACCEPTED, venue_id=_id_of(changes))

    async def cancel_all(self, command: CancelAll) -> CommandResult:
        self._changed(self._books.cancel_all(command))
        return result(command, Outcome.ACCEPTED)

    async def query(self, command: QueryOrder) -> CommandResult:
        found = self._books.find(command.client_id)
        if found is None:
            return result(command, Outcome.NOT_FOUND)
        return result(command, Outcome.ACCEPTED, venue_id=found.id, order=found.order())

    async def orders(self) -> tuple[Order, ...]:
        self._ensure_account()
        return self._books.working()

    async def fills(self, since_ns: int, until_ns: int) -> tuple[Fill, ...]:
        self._ensure_account()
        for payment in self._books.payments(since_ns):
            self.sink(report_of(payment, self._books.currency))
        return self._books.fills(since_ns)

    async def positions(self) -> tuple[VenuePosition, ...]:
        self._ensure_account()
        return self._books.positions()

    async def balances(self) -> tuple[Balance, ...]:
        self._ensure_account()
        return self._books.balances()

    def _ensure_market(self, symbol: str) -> None:
        """Without prices of now there is nothing an order could be matched against."""
        if not self._heard() or not self._books.priced(symbol):
            raise VenueError(
                Failure(
                    FailureKind.UNAVAILABLE,
                    Outcome.NOT_SENT,
                    "NO_MARKET_DATA",
                    f"expected prices of {symbol} to match an order on paper against, found none since the stream came "
                    "up; wait for them",
                )
            )

    def _ensure_account(self) -> None:
        if not self._books.opened:
            reason = "expected the venue's instruments before the account on paper is opened, found none yet; wait"
            raise VenueError(Failure(FailureKind.UNAVAILABLE, Outcome.NOT_SENT, "NO_INSTRUMENTS", reason))


def report_of(payment: Funding, currency: str) -> PaymentReport:
    """A payment as a venue tells it: positive when received."""
    return PaymentReport(payment.execution_id, payment.kind, payment.symbol, -payment.amount, currency, payment.ts_ns)


def _id_of(changes: Changes) -> str:
    return changes.subject.id if changes.subject is not None else ""
