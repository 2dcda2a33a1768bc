"""Whatever is said to the bus, twice, late or out of order, and however often it restarts."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from actors.bus.brain import BusBrain
from actors.bus.lifecycle import TABLE
from actors.messages.learning import Lesson
from actors.messages.orders import Filled
from actors.messages.signals import Approved, Emit, Generated, Unsent, Verdict
from exchanges.model.order import OrderStatus
from runtime.lifecycle import CaughtUp, PeerUp, Started
from strategies.signal import SignalState, client_order_id
from tests.unit.brain_context import SECOND, FakeContext
from tests.unit.brain_samples import EXCHANGE, make_approved, make_filled, make_signal, order_changed

_STATUSES = [s for s in OrderStatus if s is not OrderStatus.PENDING]


class World:
    """A bus whose peers say whatever they like about four signals."""

    def __init__(self) -> None:
        self.ctx = FakeContext("bus")
        self.brain = BusBrain()
        self.signals = [make_signal(ordinal) for ordinal in range(4)]
        self.stored: tuple[bytes, int] | None = None
        self.ctx.start(self.brain, caught_up=0)

    def emit(self, which: int, _: int) -> None:
        self.ctx.deliver(self.brain, Emit(self.signals[which]), "strategy/trend/bybit:BTCUSDT")

    def approve(self, which: int, _: int) -> None:
        signal = self.signals[which]
        self.ctx.deliver(self.brain, Verdict(signal.id, (), make_approved(signal)), "risk")

    def block(self, which: int, _: int) -> None:
        self.ctx.deliver(self.brain, Verdict(self.signals[which].id, (), None, "gate", "CODE", "x=1"), "risk")

    def order(self, which: int, detail: int) -> None:
        status = _STATUSES[detail % len(_STATUSES)]
        filled = "1" if status is OrderStatus.FILLED else "0"
        self.ctx.deliver(self.brain, order_changed(self.signals[which], status, filled=filled), EXCHANGE)

    def fill(self, which: int, detail: int) -> None:
        execution = f"{which}-{detail % 2}"
        self.ctx.deliver(self.brain, make_filled(self.signals[which], execution, "0.5"), EXCHANGE)

    def unsent(self, which: int, detail: int) -> None:
        signal = self.signals[which]
        message = Unsent(signal.id, client_order_id(signal.id), bool(detail % 2), "gate", "CODE", "x=1")
        self.ctx.deliver(self.brain, message, EXCHANGE)

    def lesson(self, which: int, _: int) -> None:
        signal = self.signals[which]
        said = Lesson(signal.id, signal.strategy, signal.symbol, "EXECUTED", 1.0, 1.0, 0.0, 1, False)
        self.ctx.deliver(self.brain, said, "learner")

    def peer(self, _: int, detail: int) -> None:
        self.ctx.deliver(self.brain, PeerUp("risk", detail))

    def wait(self, which: int, detail: int) -> None:
        self.ctx.advance(self.brain, (1 + which * detail) * SECOND)

    def store(self, _: int, __: int) -> None:
        self.stored = (self.brain.snapshot(), len(self.ctx.records))

    def restart(self, _: int, detail: int) -> None:
        """From the last snapshot, or, every other time, from the journal alone."""
        before = self.brain.status()
        self.brain, cursor = BusBrain(), 0
        if self.stored is not None and detail % 2:
            data, cursor = self.stored
            self.brain.restore(data)
        self.ctx.epoch += 1
        self.ctx.deliver(self.brain, Started(self.ctx.epoch, cursor > 0))
        for entry in self.ctx.entries(cursor):
            self.ctx.deliver(self.brain, entry)
        after = self.brain.status()
        for key in ("signals", "open", "stuck", "violations", "seq"):
            assert after[key] == before[key]
        self.ctx.deliver(self.brain, CaughtUp(len(self.ctx.records)))

    def check(self) -> None:
        records = self.ctx.records
        for signal in self.signals:
            path = [SignalState(r.keys["state"]) for r in records if r.correlation == signal.id and "state" in r.keys]
            for before, after in pairwise(path):
                repeated = before is after is SignalState.EVALUATING
                assert repeated or TABLE.allows(before, after), path
            assert path[:1] in ([], [SignalState.GENERATED])
            assert sum(isinstance(r.event, Approved) for r in records if r.correlation == signal.id) <= 1
            assert sum(isinstance(r.event, Generated) for r in records if r.correlation == signal.id) <= 1
        executions = Counter(r.event.fill.execution_id for r in records if isinstance(r.event, Filled))
        assert all(count == 1 for count in executions.values())


_NAMES = ["emit", "approve", "block", "order", "fill", "unsent", "lesson", "peer", "wait", "store", "restart"]


@settings(max_examples=80, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([*_NAMES, "emit", "approve", "order", "fill"]), st.integers(0, 3), st.integers(0, 9)),
        min_size=15,
        max_size=60,
    )
)
def test_no_signal_ever_takes_a_step_the_lifecycle_does_not_have(steps: list[tuple[str, int, int]]) -> None:
    world = World()
    for name, which, detail in steps:
        getattr(world, name)(which, detail)
    world.check()
