"""Kalshi's WebSocket: signed handshake, subscriptions, sequences. No package of the venue's has a client for it."""

from __future__ import annotations

import abc
import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple

import aiohttp

from exchanges.interface import Sink
from exchanges.kalshi.parser import ANSWERS, Frame, PrivateParser, PublicParser, decode
from exchanges.kalshi.settings import SOCKET_PATH, VENUE, KalshiSettings
from exchanges.kalshi.signer import Signer
from exchanges.model.market import Trade
from exchanges.sockets import SocketStream, refused
from exchanges.streams import StreamError

_ENDED = (10, 25)
"""Error codes after which a subscription gives nothing any more."""

_SNAPSHOT_AGAIN_S = 1.0
PRIVATE_CHANNELS = ("user_orders", "fill", "market_positions")


class Wish(NamedTuple):
    """One subscribe command; an ``optional`` one may be refused."""

    channels: tuple[str, ...]
    params: dict[str, Any]
    optional: bool = False


class KalshiStream(SocketStream[Frame]):
    """One connection: signed handshake, commands with numbers, subscriptions."""

    def __init__(
        self,
        name: str,
        settings: KalshiSettings,
        signer: Signer,
        sink: Sink,
        counters: Counter[str],
        ready: Callable[[], Awaitable[None]],
    ) -> None:
        super().__init__(VENUE, name, settings.pace(), sink, counters, ready)
        self.settings = settings
        self._signer = signer
        self._commands = 0

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

    # -- commands --------------------------------------------------------------------------

    def address(self) -> tuple[str, Mapping[str, str]]:
        url = f"{self.settings.endpoints.socket}{SOCKET_PATH}"
        return url, self._signer.create_auth_headers("GET", SOCKET_PATH)

    async def probe(self) -> None:
        await self.command("list_subscriptions", None)

    async def command(self, name: str, params: dict[str, Any] | None) -> int:
        """Send a command; returns its number, which the answer bears.

        Raises:
            StreamError: the connection is gone.
        """
        self._commands += 1
        body: dict[str, Any] = {"id": self._commands, "cmd": name}
        if params is not None:
            body["params"] = params
        await self.send(body, name)
        return self._commands

    async def subscribe(self) -> None:
        for wish in self.wishes():
            await self._subscribe(wish)

    async def _subscribe(self, wish: Wish) -> None:
        number = await self.command("subscribe", {"channels": list(wish.channels), **wish.params})
        waiting = set(wish.channels)
        while waiting:
            frame = await self.answer(f"the subscription of {', '.join(sorted(waiting))}")
            if frame.id != number:
                continue
            told = frame.msg if isinstance(frame.msg, dict) else {}
            if frame.type == "error":
                if wish.optional:
                    self.counters["channels_refused"] += 1
                    return
                raise StreamError(f"subscription refused: {told.get('code')} {str(told.get('msg'))[:200]}")
            waiting.discard(str(told.get("channel")))

    # -- what comes in ---------------------------------------------------------------------

    def take(self, text: str, recv_ns: int) -> None:
        frame = decode(text)
        if frame.type == "error":
            self._trouble(frame)
        elif frame.type in ANSWERS:
            self.answered(frame)
            self.answer_came(frame)
        else:
            self.handle(frame, recv_ns)

    def _trouble(self, frame: Frame) -> None:
        """An error: the answer to a command, or the end of a subscription."""
        told = frame.msg if isinstance(frame.msg, dict) else {}
        self.counters["errors_told"] += 1
        if told.get("code") in _ENDED:
            self.end(f"a subscription was ended by the venue: {told.get('code')} {str(told.get('msg'))[:200]}")
        self.answer_came(frame)


class PublicStream(KalshiStream):
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
        since_ns, limit = self._parser.clock_ns, self.missed_by()
        fetched: dict[str, list[Trade]] = {}
        if since_ns and set(self.settings.streams) & {"trade", "bar"}:
            for ticker in self._tickers[: self.settings.backfill_markets]:
                try:
                    async with asyncio.timeout_at(limit):
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


class PrivateStream(KalshiStream):
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
        raise refused(error.status, error.message) from error
    except (aiohttp.ClientError, TimeoutError) as error:
        raise StreamError(f"no handshake: {type(error).__name__}: {error}") from error
