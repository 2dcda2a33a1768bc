"""Passes questions about the past to the venue, and the answers to who asked."""

from __future__ import annotations

from actors.exchange.state import ConnectionState
from actors.messages.history import AskHistory, HistoryTold
from exchanges.model.venue import VENUE_PORT, FetchHistory, HistoryReport
from runtime.behavior import Context


class Past:
    """A question that is under way is not asked twice. Nothing of it survives a restart: it is asked again."""

    def __init__(self, state: ConnectionState) -> None:
        self._state = state
        self._asked: set[tuple[str, str, int]] = set()

    def ask(self, wanted: AskHistory, ctx: Context) -> None:
        """Ask the venue; ``ctx.sender`` gets the answer."""
        question = (ctx.sender, wanted.symbol, wanted.interval_ns)
        if question in self._asked:
            ctx.count("exchange.history_asked_twice")
            return
        self._asked.add(question)
        mark = (ctx.epoch, self._state.seqs.get(wanted.symbol, 0))
        command = FetchHistory(ctx.sender, wanted.symbol, wanted.interval_ns, wanted.count, ctx.now, mark)
        ctx.send(VENUE_PORT, command)

    def told(self, report: HistoryReport, ctx: Context) -> None:
        """Pass the answer on."""
        self._asked.discard((report.asker, report.symbol, report.interval_ns))
        ctx.count("exchange.history_failed" if report.reason else "exchange.history_told")
        told = HistoryTold(report.symbol, report.interval_ns, report.bars, report.reason, report.mark)
        ctx.send(report.asker, told)
