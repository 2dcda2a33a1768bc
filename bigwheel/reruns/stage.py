"""Runs all brains of a session together: the order of arrival from their tapes, the messages from one another.

Each actor gets its messages in the order, and at the times, of its own tape. What came from outside (market data,
answers of venues, commands, what the kernel says) is the recorded message; what came from another brain is what that
brain has sent in this run. An actor waits until that has been sent, so it makes no difference whose turn is when.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Callable
from itertools import groupby

import msgspec

from actors.names import BUS
from bigwheel.replay import Builders
from bigwheel.reruns.effects import Pair, Told, message_of, paired, same, told
from bigwheel.reruns.log import Log
from bigwheel.reruns.mail import KEEP_NS, Mail, normal
from bigwheel.reruns.part import Fresh, Lost, Part, Reel, RerunPlayer, Turn, replaced
from exchanges.model.market import MarketData
from exchanges.model.venue import VENUE_PORT, CommandResult, FillReport, OrderReport
from runtime import codec
from runtime.host.cell import Record, Send, Timer
from runtime.journal.base import History
from runtime.journal.record import Record as Written
from runtime.lanes import Lane
from runtime.lifecycle import CaughtUp, DeadLetter, Entry, PeerDown, PeerUp, Started, Stopping
from runtime.message import Message
from runtime.supervision.assignment import CellAssignment
from runtime.tape.format import FOREVER, Frame
from runtime.tape.reader import Incarnation, Missing

WINDOW_NS = 100_000_000
PATIENCE_NS = 10_000_000_000
"""How far all others are let go on before a message that somebody waits for is taken not to come."""

KERNEL = (Started, Stopping, PeerUp, PeerDown, CaughtUp, DeadLetter)
"""What hosts and links say, whoever is named as its sender."""


class _Not(enum.Enum):
    """Why a frame is not run."""

    YET = "what it brings has not been sent"
    EVER = "what it brings there is not in this run"


class Stage:
    """One re-run.

    ``taken`` counts what was taken from the recording (``market data``, ``venue``, ``kernel``, ``outside``, and
    ``borrowed``: what a brain sent whose own tape lacks it), ``anew`` what the brains of this run gave one another
    (``messages``, ``timers``, ``records``). ``absent`` are messages that were received in the recording and not sent
    in this run, ``added`` those it was the other way round with, ``withheld`` answers of a venue to commands that
    this run did not give.
    """

    def __init__(
        self, found: list[Incarnation], recorded: History, builders: Builders, progress: Callable[[int], None]
    ) -> None:
        self.log, self._head = Log(recorded), recorded.head
        self.taken: Counter[str] = Counter()
        self.anew: Counter[str] = Counter()
        self.absent = self.added = self.withheld = 0
        self.missing: list[tuple[str, Missing]] = []
        self._mail = Mail()
        self._parts: dict[tuple[str, str], Part] = {}
        self._by_name: dict[str, list[Part]] = {}
        self._unasked: set[str] = set()
        """Client ids of orders that the recording gave commands about and this run did not."""
        self._reels = [
            Reel(
                list(lives),
                self._part,
                builders,
                numbers=lambda: self.log.next_seq,
                lost=lambda name, what: self.missing.append((name, what)),
                progress=progress,
            )
            for _, lives in groupby(found, key=lambda incarnation: incarnation.host)
        ]
        for reel in self._reels:
            reel.more()

    def _part(self, host: str, name: str, more: Callable[[], bool]) -> Part:
        part = self._parts.get((host, name))
        if part is None:
            part = self._parts[host, name] = Part(name, more)
            self._by_name.setdefault(name, []).append(part)
        return part

    @property
    def players(self) -> list[RerunPlayer]:
        """Every incarnation of every actor, by host."""
        return [player for reel in self._reels for player in reel.players]

    # -- whose turn it is ------------------------------------------------------------------

    def run(self) -> None:
        """All tapes to their ends."""
        slack = WINDOW_NS
        while (first := min((part.next_ns for part in self._parts.values()), default=FOREVER)) < FOREVER:
            if self._sweep(first + slack):
                slack = WINDOW_NS
                self._mail.forget(first - KEEP_NS)
            elif slack < PATIENCE_NS:
                slack *= 4
            else:
                self._go_without(min(self._parts.values(), key=lambda part: part.next_ns))
                slack = WINDOW_NS
        self.log.end()
        if any(part.unknown(FOREVER) for part in self._by_name.get(BUS, ())):
            self.log.reach(self._head + 1, restarted=False, lost=True)

    def _sweep(self, until: int) -> bool:
        """Let everyone go on as far as they can, up to a time; whether anyone could."""
        moved, again = False, True
        while again:
            again = False
            for part in list(self._parts.values()):
                while part.next_ns <= until and self._step(part):
                    again = moved = True
        return moved

    def _step(self, part: Part) -> bool:
        """An actor's next frame; false if what it waits for has not been sent."""
        coming = part.peek()
        if isinstance(coming, Lost):
            part.coming.popleft()
            part.lose()
            coming.player.missing(coming.missing.cause)
            return True
        if coming is None:
            return False
        player = coming.player
        if part.fresh and part.fresh[0].sent_ns <= coming.frame.now:
            self._add(part, player)
            return True
        player.come(coming.place)
        if coming.message is None or not player.live:
            self._play(part, coming, coming.frame)
            return True
        frame = self._frame(part, coming, coming.message)
        if frame is _Not.YET:
            return False
        if frame is _Not.EVER:
            self._leave_out(part, coming)
        else:
            self._play(part, coming, frame)
        return True

    # -- what it is given ------------------------------------------------------------------

    def _frame(self, part: Part, turn: Turn, message: Message) -> Frame | _Not:
        """The frame with the message of this run in it."""
        sender = turn.frame.sender
        if isinstance(message, KERNEL):
            return self._recorded(turn, "kernel")
        if isinstance(message, Entry):
            return self._entry(turn, message)
        if sender in self._by_name:
            return self._sent(part, turn, codec.encode(message))
        if sender != VENUE_PORT:
            return self._recorded(turn, "outside")
        if self._unasked and _order_of(message) in self._unasked:
            self.withheld += 1
            return _Not.EVER
        return self._recorded(turn, "market data" if isinstance(message, MarketData) else "venue")

    def _recorded(self, turn: Turn, kind: str) -> Frame:
        self.taken[kind] += 1
        return turn.frame

    def _sent(self, part: Part, turn: Turn, key: bytes) -> Frame | _Not:
        """What another brain sent, or this one: a timer that was due is recorded, that it was set is of this run."""
        sender = turn.frame.sender
        body, kind = self._mail.take(sender, part.name, key), "messages"
        if body is None and sender == part.name:
            body, kind = turn.player.armed.get(key), "timers"
            if body is None:
                return self._recorded(turn, "borrowed") if turn.player.midway else _Not.EVER
        if body is None:
            return _Not.EVER if self._mail.voided(sender, part.name, key) else _Not.YET
        self.anew[kind] += 1
        return turn.frame if body == key else replaced(turn.frame, body)

    def _entry(self, turn: Turn, entry: Entry) -> Frame | _Not:
        record = self.log.find(entry.seq)
        if record is None:
            return _Not.EVER if self.log.voided(entry.seq) else _Not.YET
        self.anew["messages"] += 1
        own = record.entry()
        return turn.frame if own == entry else replaced(turn.frame, codec.encode(own))

    def _leave_out(self, part: Part, turn: Turn) -> None:
        """Go on without a message, and without what it led to."""
        self.absent += 1
        for pair in paired((), told(bytes(turn.frame.extra)) or ()):
            if pair.told is not None:
                self._undone(turn.player, turn.frame, pair.told, pair.number)
        part.coming.popleft()
        turn.player.pass_over(turn.place)
        part.went(turn.player, turn.frame.now)

    def _go_without(self, part: Part) -> None:
        """Nobody can go on, so what ``part`` waits for does not come: find out why, and let it go on."""
        turn = part.peek()
        if not isinstance(turn, Turn) or turn.message is None:
            return
        frame, name = turn.frame, turn.frame.sender
        unknown = any(sender.unknown(frame.now) for sender in self._by_name.get(name, ()))
        if isinstance(turn.message, Entry):
            if unknown:
                self.log.reach(turn.message.seq + 1, restarted=False, lost=True)
            else:
                self.log.void(turn.message.seq)
            return
        if unknown:
            self.taken["borrowed"] += 1
            self._play(part, turn, frame)
            return
        body = self._mail.instead(name, part.name, type(turn.message))
        if body is None:
            self._leave_out(part, turn)
        else:
            self.anew["messages"] += 1
            self._play(part, turn, replaced(frame, body))

    def _play(self, part: Part, turn: Turn, frame: Frame) -> None:
        player = turn.player
        if player.journals and turn.message is not None:
            self.log.reach(frame.base, restarted=isinstance(turn.message, Started), lost=part.lost)
        part.coming.popleft()
        player.play(turn.place, frame)
        part.went(player, frame.now, mark=turn.message is None)
        if turn.message is not None and player.live:
            self._carry_out(player, frame)

    # -- what came of it -------------------------------------------------------------------

    def _carry_out(self, player: RerunPlayer, frame: Frame) -> None:
        made = player.made
        if player.same and player.exact:
            for pair in same(made) if made else ():
                self._effect(player, frame, pair)
            return
        recorded = told(bytes(frame.extra))
        for pair in same(made) if recorded is None else paired(made, recorded):
            self._effect(player, frame, pair)

    def _effect(self, player: RerunPlayer, frame: Frame, pair: Pair) -> None:
        name, effect = player.plan.name, pair.made
        if effect is None:
            if pair.told is not None:
                self._undone(player, frame, pair.told, pair.number)
            return
        recorded = pair.told.message if pair.told is not None else None
        if isinstance(effect, Record):
            self._write(player, frame, effect, frame.base + pair.number if recorded is not None else 0)
        elif isinstance(effect, Timer):
            own = message_of(effect)
            if own is not None:
                body = codec.encode(own)
                player.armed[codec.encode(recorded) if recorded is not None else body] = body
        elif isinstance(effect, Send) and effect.to in self._by_name:
            self._send(name, effect, recorded, frame.now)

    def _send(self, name: str, effect: Send, recorded: Message | None, now: int) -> None:
        body = normal(effect.message)
        if recorded is None:
            self._to_all(effect.to, Fresh(now, codec.decode(body), name))
            return
        key = body if recorded is effect.message else normal(recorded)
        self._mail.put(name, effect.to, key, body, now, lasting=effect.message.lane is not Lane.DATA)

    def _write(self, player: RerunPlayer, frame: Frame, effect: Record, number: int) -> None:
        log = self.log
        source = frame.sender or player.plan.name
        written = log.write(effect, frame.now, source, player.tally.epoch, number)
        self.anew["records"] += 1
        if number:
            log.following = max(log.following, number + 1)
            return
        for parts in self._by_name.values():
            for part in parts:
                if part.player is not None and _subscribes(part.player.plan, written):
                    self._to_all(part.name, Fresh(frame.now, written.entry(), BUS))

    def _to_all(self, name: str, fresh: Fresh) -> None:
        for part in self._by_name[name]:
            part.fresh.append(fresh)

    def _undone(self, player: RerunPlayer, frame: Frame, recorded: Told, number: int) -> None:
        """An effect on the tape that there is not in this run."""
        name, now = player.plan.name, frame.now
        if recorded.kind is Record:
            self.log.void(frame.base + number)
            self.log.following = max(self.log.following, frame.base + number + 1)
        elif recorded.kind is Send and recorded.about in self._by_name:
            key = normal(recorded.message)
            if player.exact:
                self._mail.void(name, recorded.about, key)
            else:
                self.taken["borrowed"] += 1
                lasting = recorded.message.lane is not Lane.DATA
                self._mail.put(name, recorded.about, key, key, now, lasting=lasting)
        elif recorded.kind is Send and recorded.about == VENUE_PORT and player.exact:
            self._unasked.add(str(getattr(recorded.message, "client_id", "")) or "-")

    def _add(self, part: Part, player: RerunPlayer) -> None:
        """Give an actor what this run sent it and the recording does not have."""
        fresh = part.fresh.popleft()
        if not player.live:
            return
        self.added += 1
        player.add(fresh.message, fresh.sender, fresh.sent_ns)
        bare = Frame(_NOTHING, fresh.sender, fresh.sent_ns, 0)
        for effect in player.made:
            if not (isinstance(effect, Timer) and effect.message is None):
                self._effect(player, bare, Pair(effect, None))


_NOTHING = msgspec.Raw(b"\xc0")


def _order_of(message: Message) -> str:
    """The client id of the order that an answer of a venue is about."""
    if isinstance(message, CommandResult):
        return message.client_id
    if isinstance(message, OrderReport):
        return message.order.client_id
    return message.fill.client_id if isinstance(message, FillReport) else ""


def _subscribes(plan: CellAssignment, record: Written) -> bool:
    if not plan.subscribe or (plan.kinds and record.kind not in plan.kinds):
        return False
    return not plan.index or (plan.index, plan.value) in record.keys
