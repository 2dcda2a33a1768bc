"""Kalshi's WebSocket under supervision: signed handshake, subscriptions, sequences, signs of life.

No package of the venue's has a WebSocket client: this one is aiohttp's. Market data and the
account have a connection each, so that holding back the one does not hold back the other.
"""

from __future__ import annotations

import abc
import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

import aiohttp
import msgspec

from exchanges.interface import Sink
from exchanges.kalshi.amounts import WireError
from exchanges.kalshi.parser import ANSWERS, Frame, PrivateParser, PublicParser, decode
from exchanges.kalshi.settings import SOCKET_PATH, VENUE, KalshiSettings
from exchanges.kalshi.signer import Signer
from exchanges.model.market import Trade
from exchanges.streams import AccessError, StreamError, StreamKeeper
from exchanges.tasks import end

_BATCH = 256
"""Frames read in one turn of the event loop."""

_LARGEST_FRAME = 32 * 1024 * 1024
_ENDED = (10, 25)
"""Error codes after which a subscription gives nothing any more."""

_SNAPSHOT_AGAIN_S = 1.0
PRIVATE_CHANNELS = ("user_orders", "fill", "market_positions")


class Wish(NamedTuple):
    """One subscribe command; an ``optional`` one may be refused."""

    channels: tuple[str, ...]
    params: dict[str, Any]
    optional: bool = False


class SocketStream(StreamKeeper):
    """One connection's life: open, subscribe, read, notice silence."""

    def __init__(
        self,
        name: str,
        settings: KalshiSettings,
        signer: Signer,
        sink: Sink,
        counters: Counter[str],
        ready: Callable[[], Awaitable[None]],
    ) -> None:
        super().__init__(VENUE, name, settings.pace(), sink, counters)
        self.settings = settings
        self._signer = signer
        self._ready = ready
        self._http: aiohttp.ClientSession | None = None
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._reader: asyncio.Task[None] | None = None
        self._going = asyncio.Event()
        self._going.set()
        self._answers: asyncio.Queue[Frame] = asyncio.Queue()
        self._asking = False
        """Whether somebody waits for answers to commands."""
        self._commands = 0
        self._heard_s = self._probed_s = time.monotonic()

    # -- what the two streams differ in ----------------------------------------------------

    @abc.abstractmethod
    def wishes(self) -> list[Wish]:
        """What to subscribe to."""

    @abc.abstractmethod
    def handle(self, frame: Frame, recv_ns: int) -> None:
        """Take a data frame; raises ``WireError`` if it can't be read."""

    def answered(self, frame: Frame) -> None:
        """Take the answer to a command, before who waits for it does."""
        return

    async def caught_up(self) -> None:
        """Called once everything is subscribed to: make good what was missed."""
        return

    # -- one connection --------------------------------------------------------------------

    @property
    def idle_s(self) -> float:
        return 0.0 if self.paused else time.monotonic() - self._heard_s

    def on_pause(self) -> None:
        if self.paused:
            self._going.clear()
        else:
            self._heard_s = time.monotonic()
            self._going.set()

    async def prepare(self) -> None:
        await self._ready()

    async def open(self) -> None:
        """Shake hands, subscribe, and wait for the venue's consent to every channel."""
        url = f"{self.settings.endpoints.socket}{SOCKET_PATH}"
        self._answers = asyncio.Queue()
        self._http = aiohttp.ClientSession()
        headers = self._signer.create_auth_headers("GET", SOCKET_PATH)
        try:
            async with asyncio.timeout(self.pace.connect_timeout_s):
                # Control frames come to us: the venue's heartbeat must be answered, but is no sign that data flows.
                self._socket = await self._http.ws_connect(
                    url, headers=headers, autoping=False, max_msg_size=_LARGEST_FRAME
                )
        except aiohttp.WSServerHandshakeError as error:
            raise _refused(error.status, error.message) from error
        except TimeoutError as error:
            raise StreamError(f"no handshake within {self.pace.connect_timeout_s:g} s") from error
        self._heard_s = self._probed_s = time.monotonic()
        self._reader = asyncio.get_running_loop().create_task(
            self._read(self._socket), name=f"kalshi {self.name} reader"
        )
        self._asking = True
        try:
            for wish in self.wishes():
                await self._subscribe(wish)
        finally:
            self._asking = False
        await self.caught_up()

    async def close(self) -> None:
        reader, self._reader = self._reader, None
        socket, self._socket = self._socket, None
        http, self._http = self._http, None
        if reader is not None:
            await end([reader])
        if http is not None:
            self.leave(_goodbye(socket, http), "goodbye")

    async def look(self) -> None:
        """Ask for a sign of life after a while without; any answer will do."""
        now, every = time.monotonic(), self.pace.stale_after_s / 3
        if self.idle_s > every and now - self._probed_s > every:
            self._probed_s = now
            await self.command("list_subscriptions", None)

    async def command(self, name: str, params: dict[str, Any] | None) -> int:
        """Send a command; returns its number, which the answer bears.

        Raises:
            StreamError: the connection is gone.
        """
        socket = self._socket
        if socket is None or socket.closed:
            raise StreamError("disconnected: closed by the venue")
        self._commands += 1
        body: dict[str, Any] = {"id": self._commands, "cmd": name}
        if params is not None:
            body["params"] = params
        try:
            async with asyncio.timeout(self.pace.connect_timeout_s):
                await socket.send_str(msgspec.json.encode(body).decode())
        except (TimeoutError, aiohttp.ClientError, ConnectionError) as error:
            raise StreamError(f"disconnected: {type(error).__name__} while sending {name}") from error
        return self._commands

    # -- subscriptions ---------------------------------------------------------------------

    async def _subscribe(self, wish: Wish) -> None:
        number = await self.command("subscribe", {"channels": list(wish.channels), **wish.params})
        waiting = set(wish.channels)
        while waiting:
            frame = await self._answer(f"the subscription of {', '.join(sorted(waiting))}")
            if frame.id != number:
                continue
            told = frame.msg if isinstance(frame.msg, dict) else {}
            if frame.type == "error":
                if wish.optional:
                    self.counters["channels_refused"] += 1
                    return
                raise StreamError(f"subscription refused: {told.get('code')} {str(told.get('msg'))[:200]}")
            waiting.discard(str(told.get("channel")))

    async def _answer(self, what: str) -> Frame:
        """The next answer to a command; the time we don't read is not counted."""
        deadline = time.monotonic() + self.pace.connect_timeout_s
        while True:
            try:
                return await asyncio.wait_for(self._answers.get(), self.pace.look_s)
            except TimeoutError:
                reader = self._reader
                if reader is None or reader.done():
                    raise StreamError(f"the socket died before the answer to {what}") from None
                if self.paused:
                    deadline = time.monotonic() + self.pace.connect_timeout_s
                elif time.monotonic() > deadline:
                    raise StreamError(f"no answer to {what} within {self.pace.connect_timeout_s:g} s") from None

    # -- what comes in ---------------------------------------------------------------------

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Take every frame until the connection ends; then end the session."""
        taken = 0
        while True:
            message, recv_ns = await socket.receive(), time.time_ns()
            if not self._going.is_set():
                await self._going.wait()
            if message.type is aiohttp.WSMsgType.PING:
                await socket.pong(message.data)
            elif message.type is aiohttp.WSMsgType.TEXT:
                self._text(message.data, recv_ns)
            elif message.type is aiohttp.WSMsgType.BINARY:
                self.malformed(repr(message.data[:200]), "expected text, found a binary frame")
            elif message.type is not aiohttp.WSMsgType.PONG:
                self.end(f"disconnected: {_ending(message, socket)}")
                return
            taken += 1
            if taken % _BATCH == 0:
                await asyncio.sleep(0)

    def _text(self, text: str, recv_ns: int) -> None:
        """One text frame."""
        self._heard_s = time.monotonic()
        self.counters[f"messages_{self.name}"] += 1
        self.counters[f"bytes_{self.name}"] += len(text)
        try:
            frame = decode(text)
            if frame.type == "error":
                self._trouble(frame)
            elif frame.type in ANSWERS:
                self.answered(frame)
                self._answer_came(frame)
            else:
                self.handle(frame, recv_ns)
        except WireError as error:
            self.malformed(text, f"{type(error).__name__}: {error}")

    def _trouble(self, frame: Frame) -> None:
        """An error: the answer to a command, or the end of a subscription."""
        told = frame.msg if isinstance(frame.msg, dict) else {}
        self.counters["errors_told"] += 1
        if told.get("code") in _ENDED:
            self.end(f"a subscription was ended by the venue: {told.get('code')} {str(told.get('msg'))[:200]}")
        self._answer_came(frame)

    def _answer_came(self, frame: Frame) -> None:
        if self._asking:
            self._answers.put_nowait(frame)


class PublicStream(SocketStream):
    """Market data of the subscribed markets."""

    def __init__(
        self,
        tickers: Sequence[str],
        parser: PublicParser,
        missed: Callable[[str, int], Awaitable[list[Trade]]],
        *common: Any,
    ) -> None:
        super().__init__("public", *common)
        self._tickers = tuple(tickers)
        self._parser = parser
        self._missed = missed
        self._asked: dict[str, tuple[float, float]] = {}
        """By ticker, when a snapshot was first and last asked for."""

    def wishes(self) -> list[Wish]:
        """The channels the wanted streams are made of."""
        streams = set(self.settings.streams)
        markets: dict[str, Any] = {"market_tickers": list(self._tickers)}
        made = []
        if streams & {"quote", "book"}:
            # Without the flag prices of NO come on NO's own scale, until the venue flips its default.
            made.append(Wish(("orderbook_delta",), {**markets, "use_yes_price": True}))
        rest = [channel for channel, wanted in _CHANNELS.items() if streams & wanted]
        if rest:
            made.append(Wish(tuple(rest), markets))
        if self.settings.lifecycle:
            made.append(Wish(("market_lifecycle_v2",), {}, optional=True))
        return made

    async def open(self) -> None:
        self._parser.reset()
        self._asked.clear()
        await super().open()

    async def caught_up(self) -> None:
        """Fetch the trades of the time without a connection, so that bars stay whole."""
        since_ns = self._parser.clock_ns
        fetched: dict[str, list[Trade]] = {}
        if since_ns and set(self.settings.streams) & {"trade", "bar"}:
            for ticker in self._tickers[: self.settings.backfill_markets]:
                try:
                    fetched[ticker] = await self._missed(ticker, since_ns)
                except Exception as error:
                    # Data alone is lost: the bars it would have been in are not given, and that is counted.
                    self.counters["backfills_failed"] += 1
                    self.malformed(ticker, f"trades missed since {since_ns} could not be had: {error}")
        for message in self._parser.release(fetched):
            self.sink(message)

    def answered(self, frame: Frame) -> None:
        self._parser.numbered(frame)

    def handle(self, frame: Frame, recv_ns: int) -> None:
        for message in self._parser.take(frame, recv_ns):
            self.sink(message)

    async def look(self) -> None:
        await super().look()
        await self._snapshots()

    async def _snapshots(self) -> None:
        """Ask for the books that can't be trusted any more; give the connection up if they don't come."""
        if not self.paused:
            self._parser.overdue(time.time_ns())
        now, wanted = time.monotonic(), self._parser.wanted
        self._asked = {ticker: times for ticker, times in self._asked.items() if ticker in wanted}
        due: dict[int, list[str]] = {}
        for ticker, sid in wanted.items():
            first, last = self._asked.get(ticker, (now, 0.0))
            if not self.paused and now - first > self.settings.snapshot_timeout_s:
                raise StreamError(f"no usable book of {ticker} within {self.settings.snapshot_timeout_s:g} s")
            if now - last > _SNAPSHOT_AGAIN_S:
                self._asked[ticker] = (first, now)
                due.setdefault(sid, []).append(ticker)
        for sid, tickers in due.items():
            self.counters["snapshots_asked"] += 1
            params = {"sids": [sid], "market_tickers": tickers, "action": "get_snapshot"}
            await self.command("update_subscription", params)


class PrivateStream(SocketStream):
    """Orders, fills and positions of the account."""

    def __init__(self, parser: PrivateParser, *common: Any) -> None:
        super().__init__("private", *common)
        self._parser = parser

    def wishes(self) -> list[Wish]:
        return [Wish(PRIVATE_CHANNELS, {})]

    def handle(self, frame: Frame, recv_ns: int) -> None:
        for message in self._parser.take(frame):
            self.sink(message)


_CHANNELS = {"trade": {"trade", "bar"}, "ticker": {"ticker"}}


async def shake_hands(settings: KalshiSettings, signer: Signer) -> None:
    """Open a signed socket and close it again: whether the venue takes the key, without asking for an account.

    Raises:
        StreamError: it can't be opened; an ``AccessError`` where the key is refused.
    """
    headers = signer.create_auth_headers("GET", SOCKET_PATH)
    try:
        async with (
            asyncio.timeout(settings.request_timeout_s),
            aiohttp.ClientSession() as http,
            http.ws_connect(f"{settings.endpoints.socket}{SOCKET_PATH}", headers=headers),
        ):
            return
    except aiohttp.WSServerHandshakeError as error:
        raise _refused(error.status, error.message) from error
    except (aiohttp.ClientError, TimeoutError) as error:
        raise StreamError(f"no handshake: {type(error).__name__}: {error}") from error


def _refused(status: int, message: str) -> StreamError:
    if status in (401, 403):
        return AccessError(
            f"the venue refuses the key (HTTP {status} {message}); check key, mode and this machine's clock"
        )
    return StreamError(f"handshake refused: HTTP {status} {message}")


def _ending(message: aiohttp.WSMessage, socket: aiohttp.ClientWebSocketResponse) -> str:
    if message.type is aiohttp.WSMsgType.ERROR:
        return f"{type(socket.exception()).__name__}: {socket.exception()}"
    return f"closed by the venue with code {socket.close_code}"


async def _goodbye(socket: aiohttp.ClientWebSocketResponse | None, http: aiohttp.ClientSession) -> None:
    try:
        if socket is not None:
            async with asyncio.timeout(1.0):
                await socket.close()
    finally:
        await http.close()
