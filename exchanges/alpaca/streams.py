"""Alpaca's streams, read with aiohttp under our own supervision.

The SDK's own stream classes lose data: a message that can't be read loses the rest of its frame, an
unknown order status drops the update, a refused key is tried for ever in silence, a reconnect is
not told to anyone, a socket that says nothing is not noticed. So the same protocol is spoken here.

Neither stream has a heartbeat. A quiet one is asked again for what it was asked for at the beginning
(``listen``, ``subscribe``); the venue answers with the list, which changes nothing.
"""

from __future__ import annotations

import abc
import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec

from exchanges.alpaca.frames import Control, Frames
from exchanges.alpaca.line import Line
from exchanges.alpaca.reporter import Reporter, message
from exchanges.alpaca.settings import AlpacaSettings
from exchanges.alpaca.values import VENUE, WireError, is_crypto
from exchanges.interface import Sink
from exchanges.streams import StreamError, StreamKeeper

_LOOK_S = 0.1
_PROBES = 3
"""How often a stream that has fallen silent is spoken to before it is given up."""

_SYMBOLS_A_REQUEST = 200
_CHANNELS = {"trade": "trades", "quote": "quotes", "bar": "bars"}
_MSGPACK = {"Content-Type": "application/msgpack"}

Prepare = Callable[[], Awaitable[None]]


class AlpacaStream(StreamKeeper):
    """What both streams do alike: lines, answers to wait for, probes of a quiet socket."""

    def __init__(
        self, name: str, settings: AlpacaSettings, sink: Sink, counters: Counter[str], prepare: Prepare
    ) -> None:
        super().__init__(VENUE, name, settings.pace(_LOOK_S), sink, counters)
        self.settings = settings
        self.lines: list[Line] = []
        self._prepare = prepare
        self._flow = asyncio.Event()
        self._flow.set()
        self._probed_s = 0.0

    async def prepare(self) -> None:
        await self._prepare()

    @property
    def received(self) -> int:
        """Bytes received on the present connection."""
        return sum(line.bytes for line in self.lines)

    @property
    def idle_s(self) -> float:
        return max((line.idle_s for line in self.lines), default=0.0)

    def on_pause(self) -> None:
        if self.paused:
            self._flow.clear()
        else:
            self._flow.set()

    async def look(self) -> None:
        """Speak to a line that has been quiet for a while."""
        wait = self.pace.stale_after_s / _PROBES
        if self.idle_s < wait or time.monotonic() - self._probed_s < wait:
            return
        self._probed_s = time.monotonic()
        for line in self.lines:
            if line.idle_s >= wait:
                self.counters[f"probes_{self.name}"] += 1
                await self.probe(line)

    @abc.abstractmethod
    async def probe(self, line: Line) -> None:
        """Say something that the venue answers."""

    async def close(self) -> None:
        lines, self.lines = self.lines, []
        for line in lines:
            self.counters[f"bytes_{self.name}"] += line.bytes
            self.leave(line.close())

    async def _line(
        self, url: str, take: Callable[[str | bytes, int], None], headers: Mapping[str, str] | None = None
    ) -> Line:
        line = Line(url, self._flow, take, self.end)
        self.lines.append(line)
        await line.open(self.pace.connect_timeout_s, headers)
        return line

    async def _answer(self, line: Line, answers: asyncio.Queue[Any], what: str) -> Any:
        """The next answer on ``line``.

        Raises:
            StreamError: the line is over, or there is none in time.
        """
        deadline = time.monotonic() + self.pace.connect_timeout_s
        while time.monotonic() < deadline or self.paused:
            try:
                return await asyncio.wait_for(answers.get(), _LOOK_S)
            except TimeoutError:
                if line.over:
                    raise StreamError(f"disconnected before the answer to {what}: {line.over}") from None
        raise StreamError(f"no answer to {what} within {self.pace.connect_timeout_s:g} s")


class PrivateStream(AlpacaStream):
    """``trade_updates``: JSON, in binary frames."""

    def __init__(
        self, settings: AlpacaSettings, sink: Sink, counters: Counter[str], prepare: Prepare, reporter: Reporter
    ) -> None:
        super().__init__("private", settings, sink, counters, prepare)
        self._reporter = reporter
        self._answers: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def open(self) -> None:
        """Connect, authenticate, ask for trade updates, and wait for the venue's consent."""
        self._answers = asyncio.Queue()
        line = await self._line(f"{self.settings.endpoints.stream}/stream", self._take)
        keys = {"key_id": self.settings.key, "secret_key": self.settings.secret}
        await self._say(line, {"action": "authenticate", "data": keys})
        status = ""
        while status != "authorized":
            said = await self._answer(line, self._answers, "authenticate")
            status = str(said["data"].get("status", "")) if said["stream"] == "authorization" else ""
            if said["stream"] == "authorization" and status != "authorized":
                raise StreamError(f"unauthorised: the venue refused the key ({status or 'no status'})")
        await self.probe(line)
        while True:
            said = await self._answer(line, self._answers, "listen")
            if said["stream"] == "listening" and "trade_updates" in said["data"].get("streams", ()):
                return
            if said["stream"] == "listening":
                raise StreamError(f"expected trade_updates among the streams, found {said['data'].get('streams')}")

    async def probe(self, line: Line) -> None:
        await self._say(line, {"action": "listen", "data": {"streams": ["trade_updates"]}})

    async def _say(self, line: Line, request: dict[str, Any]) -> None:
        await line.send(msgspec.json.encode(request).decode(), self.pace.connect_timeout_s)

    def _take(self, frame: str | bytes, recv_ns: int) -> None:
        self.counters["messages_private"] += 1
        try:
            said = message(frame)
            stream, data = said.get("stream"), said.get("data")
            if stream == "trade_updates":
                for report in self._reporter.take(data):
                    self.sink(report)
            elif stream in ("authorization", "listening") and isinstance(data, dict):
                self._answered(said)
            else:
                raise WireError(f"expected a known stream, found {str(stream)[:80]!r}")
        except WireError as error:
            self.malformed(_readable(frame), str(error))

    def _answered(self, said: dict[str, Any]) -> None:
        if self.up and said["stream"] == "authorization" and said["data"].get("status") != "authorized":
            self.end(f"unauthorised: the venue withdrew its consent ({said['data'].get('status')})")
        elif not self.up:
            self._answers.put_nowait(said)


class _Feed:
    """The symbols of one of the two market data endpoints."""

    def __init__(self, path: str, natives: Sequence[str], streams: Sequence[str]) -> None:
        self.path = path
        groups = [natives[n : n + _SYMBOLS_A_REQUEST] for n in range(0, len(natives), _SYMBOLS_A_REQUEST)]
        self.requests = [{_CHANNELS[stream]: list(group) for stream in streams} for group in groups]
        self.wanted = {(_CHANNELS[stream], name) for stream in streams for name in natives}
        self.answers: asyncio.Queue[Control] = asyncio.Queue()
        self.line: Line | None = None


class PublicStream(AlpacaStream):
    """Trades, quotes and minute bars, in MessagePack. Equities and crypto are two sockets, up or down together."""

    def __init__(
        self,
        settings: AlpacaSettings,
        natives: Sequence[str],
        sink: Sink,
        counters: Counter[str],
        prepare: Prepare,
    ) -> None:
        super().__init__("public", settings, sink, counters, prepare)
        self._frames = Frames(counters, self.malformed)
        stocks = [name for name in natives if not is_crypto(name)]
        crypto = [name for name in natives if is_crypto(name)]
        feeds = ((f"/v2/{settings.feed}", stocks), ("/v1beta3/crypto/us", crypto))
        self._feeds = [_Feed(path, names, settings.streams) for path, names in feeds if names]

    async def open(self) -> None:
        """Connect, authenticate, subscribe, and wait for the venue's consent to each symbol."""
        for feed in self._feeds:
            feed.answers = asyncio.Queue()
            take = self._taker(feed)
            line = feed.line = await self._line(f"{self.settings.endpoints.data_stream}{feed.path}", take, _MSGPACK)
            await self._success(feed, line, "connected", "connect")
            keys = {"action": "auth", "key": self.settings.key, "secret": self.settings.secret}
            await self._say(line, keys)
            await self._success(feed, line, "authenticated", "auth")
            await self._subscribe(feed, line)

    async def probe(self, line: Line) -> None:
        feed = next(feed for feed in self._feeds if feed.line is line)
        await self._say(line, {"action": "subscribe", **feed.requests[-1]})

    async def _subscribe(self, feed: _Feed, line: Line) -> None:
        for request in feed.requests:
            await self._say(line, {"action": "subscribe", **request})
        missing = set(feed.wanted)
        while missing:
            said = await self._said(feed, line, "subscribe")
            if said.T == "subscription":
                for channel in _CHANNELS.values():
                    missing -= {(channel, name) for name in getattr(said, channel)}

    async def _success(self, feed: _Feed, line: Line, expected: str, what: str) -> None:
        while True:
            said = await self._said(feed, line, what)
            if said.T == "success" and said.msg == expected:
                return

    async def _said(self, feed: _Feed, line: Line, what: str) -> Control:
        said: Control = await self._answer(line, feed.answers, what)
        if said.T == "error":
            raise StreamError(f"{what} refused: {said.code} {said.msg}")
        return said

    async def _say(self, line: Line, request: dict[str, Any]) -> None:
        await line.send(msgspec.msgpack.encode(request), self.pace.connect_timeout_s)

    def _taker(self, feed: _Feed) -> Callable[[str | bytes, int], None]:
        def take(frame: str | bytes, recv_ns: int) -> None:
            self.counters["messages_public"] += 1
            data, controls = self._frames.read(frame, recv_ns)
            for piece in data:
                self.sink(piece)
            for control in controls:
                self._controlled(feed, control)

        return take

    def _controlled(self, feed: _Feed, control: Control) -> None:
        if control.T not in ("success", "subscription", "error"):
            self.counters["kinds_unknown"] += 1
        elif not self.up:
            feed.answers.put_nowait(control)
        elif control.T == "error":
            self.end(f"the venue reports error {control.code}: {control.msg}")


def _readable(frame: str | bytes) -> str:
    return frame if isinstance(frame, str) else frame.decode("utf-8", "replace")
