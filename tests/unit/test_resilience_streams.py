"""A stream is kept up whatever happens to it, and says truthfully whether it is."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine

import pytest

from exchanges.model.venue import BalanceReport, StreamStatus
from exchanges.resilience.simulated import loop_time, simulate
from exchanges.streams import AccessError, StatusGroup, StreamError, StreamKeeper, StreamPace, UnansweredError
from runtime.lifecycle import DeadLetter
from runtime.message import Message

PACE = StreamPace(stale_after_s=15, connect_timeout_s=10, backoff_base_s=1, backoff_cap_s=16)


class Line(StreamKeeper):
    """A stream whose fate is written down: each connection fails to prepare, to open, or lives so long."""

    def __init__(self, *fates: str | float) -> None:
        self.said: list[tuple[float, Message]] = []
        self.counted: Counter[str] = Counter()
        super().__init__("venue", "private", PACE, self.take, self.counted)
        self.fates = list(fates)
        self.opened: list[float] = []
        self.closes = 0
        self.heard_s = 0.0
        self.dies_s = 0.0

    def take(self, message: Message) -> None:
        self.said.append((loop_time(), message))

    @property
    def statuses(self) -> list[tuple[bool, str]]:
        return [(message.up, message.reason) for _, message in self.said if isinstance(message, StreamStatus)]

    async def prepare(self) -> None:
        if self.fates and self.fates[0] == "prepare":
            self.fates.pop(0)
            self.opened.append(loop_time())
            raise StreamError("no key")

    async def open(self) -> None:
        self.opened.append(loop_time())
        fate = self.fates.pop(0) if self.fates else 1e9
        if fate == "open":
            raise ConnectionResetError("by peer")
        self.heard_s = loop_time() + (1e9 if fate != "mute" else 0)
        self.dies_s = loop_time() + (fate if isinstance(fate, float) else 1e9)

    async def close(self) -> None:
        self.closes += 1

    @property
    def idle_s(self) -> float:
        return loop_time() - self.heard_s

    async def look(self) -> None:
        if loop_time() >= self.dies_s:
            raise StreamError("disconnected")


def keep(line: Line, seconds: float, scenario: Callable[[], Coroutine[object, object, None]] | None = None) -> None:
    async def run() -> None:
        task = asyncio.create_task(line.run())
        if scenario is not None:
            await scenario()
        await asyncio.sleep(max(0.0, seconds - loop_time()))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await line.closed()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    simulate(run())


def test_a_stream_that_dies_is_reported_and_comes_back() -> None:
    line = Line(5.0)
    keep(line, 60)
    assert line.statuses == [(True, ""), (False, "disconnected"), (True, ""), (False, "closed")]
    assert (line.counted["connects_private"], line.counted["reconnects_private"]) == (2, 1)
    assert line.closes == 2


@pytest.mark.parametrize(("fate", "reason"), [("prepare", "no key"), ("open", "ConnectionResetError: by peer")])
def test_an_attempt_that_fails_says_why_and_is_followed_by_another(fate: str, reason: str) -> None:
    line = Line(fate, fate)
    keep(line, 60)
    assert line.statuses == [(False, reason), (False, reason), (True, ""), (False, "closed")]
    assert line.closes == (1 if fate == "prepare" else 3), "what was begun is closed, whatever came of it"


def test_the_waits_double_up_to_the_cap_and_are_spread() -> None:
    line = Line(*["open"] * 12)
    keep(line, 300)
    waits = [later - earlier for earlier, later in zip(line.opened, line.opened[1:], strict=False)]
    bounds = [min(16, 2**number) for number in range(len(waits))]
    assert len(waits) >= 10
    assert all(bound / 2 <= wait <= bound for wait, bound in zip(waits, bounds, strict=True))
    assert len({round(wait / bound, 6) for wait, bound in zip(waits, bounds, strict=True)}) > 5


def test_a_connection_that_lasted_starts_the_waits_anew() -> None:
    line = Line("open", "open", "open", "open", 40.0)
    keep(line, 120)
    assert line.opened[5] - (line.opened[4] + 40) <= 1.0 + 0.2


def test_silence_ends_a_connection() -> None:
    line = Line("mute")
    keep(line, 60)
    up, down = line.statuses[:2]
    assert up == (True, "")
    assert down[1].startswith("silent for 15.")
    assert 15 <= line.said[1][0] <= 15.5


class Asking(Line):
    """Asks the venue for something before it connects; what comes of it each time is written down."""

    def __init__(self, *answers: Exception | float) -> None:
        super().__init__(5.0)
        self.answers = list(answers)
        self.asked: list[float] = []

    async def prepare(self) -> None:
        self.asked.append(loop_time())
        answer = self.answers.pop(0) if self.answers else 0.0
        if isinstance(answer, Exception):
            raise answer
        await asyncio.sleep(answer)


def test_a_stream_comes_back_while_what_was_asked_before_is_held_up() -> None:
    line = Asking(3.0, 60.0)
    keep(line, 100)
    assert line.opened[0] == 3.0, "the first connection waits"
    assert line.opened[1] - 8.0 <= 1.2
    assert line.statuses == [(True, ""), (False, "disconnected"), (True, ""), (False, "closed")]
    assert len(line.asked) == 2


def test_what_fails_beside_a_connection_is_asked_for_again_until_it_is_answered() -> None:
    line = Asking(0.0, UnansweredError("rate limited"), OSError("no route"), UnansweredError("rate limited"))
    keep(line, 60)
    assert line.statuses[2:] == [(True, ""), (False, "closed")]
    assert line.counted["renewals_failed_private"] == 3
    assert len(line.asked) == 5


@pytest.mark.parametrize("kind", [AccessError, StreamError])
def test_what_is_found_to_be_wrong_ends_the_connection_beside_which_it_is_found_and_the_next_one_waits(
    kind: type[StreamError],
) -> None:
    line = Asking(0.0, kind("the key is gone"), UnansweredError("still gone"), 2.0)
    keep(line, 60)
    assert (False, "the key is gone") in line.statuses
    assert (False, "still gone") in line.statuses
    assert line.statuses[-2:] == [(True, ""), (False, "closed")]
    assert line.opened[-1] >= line.asked[3] + 2.0


def test_a_connection_that_is_ended_for_what_was_found_is_followed_by_one_that_waits() -> None:
    line = Asking(0.0, UnansweredError("no answer yet"), UnansweredError("no answer yet"))
    line.fates = []

    async def scenario() -> None:
        await asyncio.sleep(3)
        line.end("the clock is wrong", anew=True)

    keep(line, 60, scenario)
    assert line.statuses[1:4] == [(False, "the clock is wrong"), (False, "no answer yet"), (False, "no answer yet")]
    assert line.statuses[4:] == [(True, ""), (False, "closed")]


def test_an_end_of_the_connection_ends_what_is_asked_beside_it() -> None:
    line = Asking(0.0, 1_000.0, 1_000.0)
    line.fates = [5.0, 5.0]
    keep(line, 60)
    assert len(line.asked) == 3


def test_a_connection_is_ended_at_once_when_it_can_no_longer_be_trusted() -> None:
    line = Line()

    async def scenario() -> None:
        await asyncio.sleep(3)
        line.end("a gap in the sequence")
        line.end("another")
        await asyncio.sleep(0)

    keep(line, 30, scenario)
    assert line.statuses[:2] == [(True, ""), (False, "a gap in the sequence")]
    assert line.said[1][0] == pytest.approx(3.0)
    line.end("when nothing stands, nothing happens")


def test_what_lingers_after_a_close_is_waited_for_and_its_failure_counted() -> None:
    class Lingering(Line):
        async def close(self) -> None:
            await super().close()
            self.leave(self.linger())

        async def linger(self) -> None:
            await asyncio.sleep(1)
            raise OSError("already gone")

    line = Lingering()
    keep(line, 10)
    assert line.counted["close_failures"] == 1


def test_what_can_not_be_read_is_all_counted_and_told_once_a_second() -> None:
    line = Line()

    async def scenario() -> None:
        for _ in range(30):
            line.malformed("x" * 9_000, "no JSON")
            await asyncio.sleep(0.1)

    keep(line, 10, scenario)
    letters = [message for _, message in line.said if isinstance(message, DeadLetter)]
    assert line.counted["malformed"] == 30
    assert len(letters) == 3
    assert len(letters[0].body) == 2_000


def test_streams_that_belong_together_are_up_when_all_of_them_are() -> None:
    said: list[Message] = []
    group = StatusGroup("public", said.append)
    linear, spot = group.sink("linear"), group.sink("spot")
    linear(StreamStatus("linear", True))
    assert said == []
    spot(StreamStatus("spot", True))
    report = BalanceReport(())
    spot(report)
    linear(StreamStatus("linear", False, "gone"))
    assert not group.up
    linear(StreamStatus("linear", True))
    assert said == [
        StreamStatus("public", True),
        report,
        StreamStatus("public", False, "linear: gone"),
        StreamStatus("public", True),
    ]
