"""Settings of where orders go: the venues' connections, and what stands in for them in sim and paper."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Annotated, ClassVar, Literal, get_args

from pydantic import Field, field_validator

from conf.modes import KeyNames, Mode, address_faults, name_faults
from conf.section import Amount, Seconds, Section

Venue = Literal["alpaca", "bybit", "hyperliquid", "kalshi"]
VENUES: tuple[Venue, ...] = get_args(Venue)
StreamName = Literal["trade", "quote", "bar", "book"]
KeySource = Literal["env", "file", "pass", "keyring"]
Count = Annotated[int, Field(ge=1)]
FeeRate = Annotated[Decimal, Field(ge=Decimal("-0.01"), le=Decimal("0.1"))]
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class SimulatorSettings(Section):
    """The embedded venues: each venue's own protocol on this machine, over a generator or a recording."""

    port: Annotated[int, Field(ge=0, le=65535)] = Field(
        default=0, description="the port of 127.0.0.1 it listens on; 0 takes a free one"
    )
    seed: Annotated[int, Field(ge=0)] = Field(
        default=7, description="the seed of the generated market: same seed, same prices"
    )
    rate: Annotated[float, Field(gt=0)] = Field(default=20.0, description="generated trades a second, for each symbol")
    replay: str = Field(default="", description="a recording to replay in place of the generator; empty generates")
    speed: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        default=1.0, description="how fast a replay runs: 2 is twice real time, 0 as fast as it is followed"
    )
    latency_ms: Annotated[float, Field(ge=0)] = Field(
        default=5.0, description="milliseconds an order takes to the engine"
    )
    starting_balance: Amount = Field(
        default=Decimal(100000), description="the account's cash at the start, quote currency"
    )
    maker_fee: FeeRate = Field(
        default=Decimal("0.0002"), description="Bybit's fee of resting orders, a fraction of notional"
    )
    taker_fee: FeeRate = Field(
        default=Decimal("0.00055"), description="Bybit's fee of orders that take, a fraction of notional"
    )
    faults: str = Field(
        default="", description="a plan of faults the venues commit: a name or a YAML file; empty: none"
    )


class PaperSettings(Section):
    """Mode paper: our own matching engine against the venue's real prices."""

    latency_ms: Annotated[float, Field(ge=0)] = Field(
        default=50.0, description="milliseconds an order takes to the engine, as to a real venue"
    )
    starting_balance: Amount = Field(
        default=Decimal(100000), description="each venue's cash at the start, quote currency"
    )


class MarginTierSettings(Section):
    """A step of a venue's table of maintenance margins."""

    above: Annotated[Decimal, Field(ge=0)] = Field(description="the position value from which it holds, quote currency")
    rate: Annotated[Decimal, Field(gt=0, lt=1)] = Field(description="maintenance margin of what is above, a fraction")


class BacktestSettings(Section):
    """What a backtest can't know from its data. Commands take ``simulator.latency_ms``."""

    feed_latency_ms: Annotated[float, Field(ge=0)] = Field(
        default=0.0, description="milliseconds market data take from the venue to us"
    )
    answer_latency_ms: Annotated[float, Field(ge=0)] | None = Field(
        default=None, description="milliseconds answers and reports take back; none: as long as a command"
    )
    jitter_ms: Annotated[float, Field(ge=0)] = Field(
        default=0.0, description="up to so many milliseconds more for each of them, by the seed"
    )
    funding_rate: Annotated[Decimal, Field(gt=-1, lt=1)] | None = Field(
        default=None, description="of perpetuals whose data have no rates, for each interval; none: not funded"
    )
    margin_tiers: dict[str, Annotated[tuple[MarginTierSettings, ...], Field(strict=False)]] = Field(
        default_factory=dict, description="maintenance margin of perpetuals by symbol and position value, from 0 up"
    )
    insurance: bool = Field(
        default=True, description="whether a fund pays what a liquidation loses beyond the account's equity"
    )

    @field_validator("margin_tiers")
    @classmethod
    def _rising(cls, value: dict[str, tuple[MarginTierSettings, ...]]) -> dict[str, tuple[MarginTierSettings, ...]]:
        for symbol, tiers in value.items():
            rising = all(a.above < b.above and a.rate < b.rate for a, b in pairwise(tiers))
            if not tiers or tiers[0].above != 0 or not rising:
                told = [f"{tier.above}: {tier.rate}" for tier in tiers]
                raise ValueError(f"expected tiers of {symbol} that begin at 0 and rise in value and rate, found {told}")
        return value


class CredentialSettings(Section):
    """Where an API key is found. Only names stand here: never the key, never the secret."""

    sources: Annotated[tuple[KeySource, ...], Field(strict=False, min_length=1)] = Field(
        default=("env", "file"), description="where the key is looked for, in this order: env, file, pass, keyring"
    )
    key_env: str = Field(default="", description="the environment variable with the key; empty: VENUE_MODE_KEY")
    secret_env: str = Field(
        default="", description="the environment variable with the secret; empty: VENUE_MODE_SECRET"
    )
    file: str = Field(
        default="", description="a TOML or JSON file of mode 600 with key and secret; empty: ~/.config/bigwheel/..."
    )
    secret_file: str = Field(
        default="", description="a file of mode 600 that holds the secret alone, such as a PEM; the key is still found"
    )
    pass_entry: str = Field(default="", description="the entry of the password store; empty: bigwheel/VENUE-MODE")
    keyring_service: str = Field(default="", description="the keyring's service; empty: bigwheel/VENUE-MODE")
    timeout_s: Seconds = Field(default=20.0, description="how long pass and the keyring may take to answer")

    @field_validator("key_env", "secret_env")
    @classmethod
    def _variable(cls, value: str) -> str:
        if value and not _VARIABLE.fullmatch(value):
            # Somebody may have put the key itself here: nothing of it is shown.
            raise ValueError(
                "expected the name of an environment variable (letters, digits, '_'), found something else; "
                "put the key into a variable and its name here"
            )
        return value

    @property
    def names(self) -> dict[str, str]:
        """What was given in place of the default names."""
        return {name: getattr(self, name) for name in KeyNames._fields}


class VenueSettings(Section):
    """One venue's connection. An empty address is the simulator's in ``sim`` and the venue's own elsewhere."""

    addresses: ClassVar[tuple[str, ...]]
    """The settings that hold addresses."""

    rest_url: str = Field(default="", description="base of the REST calls; empty: the mode's own")
    live_account: str = Field(default="", description="mode live: the account's id, typed out; it must be the key's")
    credentials: CredentialSettings = Field(
        default_factory=CredentialSettings, description="where the API key is found"
    )
    request_timeout_s: Seconds = Field(default=5.0, description="a call without an answer after this is UNKNOWN")
    connect_timeout_s: Seconds = Field(default=10.0, description="a stream that is not up after this is tried again")
    stale_after_s: Seconds = Field(default=15.0, description="a stream silent for this long is reconnected")
    backoff_base_s: Seconds = Field(
        default=0.25, description="the wait before the second attempt; it doubles from there"
    )
    backoff_cap_s: Seconds = Field(default=15.0, description="the longest wait between two attempts")
    reconcile_s: Seconds = Field(
        default=30.0, description="how often orders and positions are compared with the venue's"
    )
    native_stops: bool = Field(
        default=True, description="true: stops of flows rest at the venue where it has orders for that; false: here"
    )
    keep_stops: bool = Field(
        default=True, description="true: they stay there when the session ends, to protect what stays open"
    )
    ring: Count = Field(
        default=4096, description="pieces of market data kept for each symbol, for restarted strategies"
    )
    record: str = Field(
        default="", description="folder the market's data and our orders and fills are recorded to; empty: none"
    )
    streams: Annotated[tuple[StreamName, ...], Field(strict=False, min_length=1)] = Field(
        default=("trade", "quote", "bar"), description="what is subscribed to: trade, quote, bar, book"
    )
    bar_interval_s: Count = Field(default=60, description="the length of a bar; the venue must offer it")

    @field_validator("record")
    @classmethod
    def _absolute(cls, value: str) -> str:
        return str(Path(value).expanduser().absolute()) if value else ""

    @property
    def urls(self) -> dict[str, str]:
        """The addresses by setting, as given."""
        return {name: getattr(self, name) for name in self.addresses}


class BybitSection(VenueSettings):
    """Bybit: linear perpetuals (``bybit:BTCUSDT``) and spot (``bybit:BTCUSDT.SPOT``)."""

    addresses = ("rest_url", "public_url", "private_url")

    public_url: str = Field(default="", description="base of the public stream")
    private_url: str = Field(default="", description="base of the private stream")
    orders_per_second: Count = Field(default=10, description="order calls a second, at most")
    queries_per_second: Count = Field(default=20, description="other calls a second, at most")
    leverage: Annotated[Decimal, Field(ge=1, le=200)] | None = Field(
        default=None, description="of every perpetual, set on connecting; none leaves the account's own"
    )
    book_depth: Literal[50, 200, 1000] = Field(default=50, description="levels of the book: 50, 200 or 1000")


class AlpacaSection(VenueSettings):
    """Alpaca: US equities (``alpaca:AAPL``) and crypto (``alpaca:BTC/USD``)."""

    addresses = ("rest_url", "stream_url", "data_url", "data_stream_url")

    stream_url: str = Field(default="", description="base of the account's stream")
    data_url: str = Field(default="", description="base of the market data calls")
    data_stream_url: str = Field(default="", description="base of the market data stream")
    streams: Annotated[tuple[Literal["trade", "quote", "bar"], ...], Field(strict=False, min_length=1)] = Field(
        default=("trade", "quote", "bar"), description="what is subscribed to: trade, quote, bar"
    )
    bar_interval_s: Literal[60] = Field(default=60, description="the length of a bar; the venue streams minutes alone")
    feed: Literal["iex", "sip", "delayed_sip"] = Field(
        default="iex", description="whose prices of stocks: iex (one exchange, free), sip (all), delayed_sip"
    )
    extended_hours: bool = Field(
        default=False, description="true: stocks trade from 04:00 to 20:00 New York time, outside 09:30-16:00 by limit"
    )
    crypto_maker_fee: FeeRate = Field(
        default=Decimal("0.0015"), description="the account's fee of resting crypto orders, a fraction of notional"
    )
    crypto_taker_fee: FeeRate = Field(
        default=Decimal("0.0025"), description="the account's fee of crypto orders that take, a fraction of notional"
    )
    hours_refresh_s: Seconds = Field(default=60.0, description="how often clock and calendar are asked for")
    calls_per_minute: Annotated[int, Field(ge=20)] = Field(default=200, description="trading calls a minute, at most")
    data_calls_per_minute: Annotated[int, Field(ge=20)] = Field(
        default=200, description="market data calls a minute, at most"
    )


class KalshiSection(VenueSettings):
    """Kalshi: binary event contracts (``kalshi:KXHIGHNY-24AUG08-T85``)."""

    addresses = ("rest_url", "socket_url")

    socket_url: str = Field(default="", description="base of the stream")
    lifecycle: bool = Field(default=True, description="true: the channel of markets' lifecycles is listened to as well")
    market_poll_s: Seconds = Field(default=30.0, description="how often the markets' state is asked for")
    market_slippage: Annotated[Decimal, Field(ge=0, lt=1)] = Field(
        default=Decimal("0.05"), description="how far through the best price a market order may go, in dollars"
    )
    self_trade_prevention: Literal["taker_at_cross", "maker"] = Field(
        default="taker_at_cross", description="which of two of our own orders that meet is cancelled"
    )
    direct_member: bool = Field(default=False, description="true: fees are rounded to $0.0001 in place of $0.01")
    read_tokens_s: Annotated[float, Field(gt=0)] = Field(
        default=200.0, description="the account's read tokens a second; a call costs 10"
    )
    write_tokens_s: Annotated[float, Field(gt=0)] = Field(
        default=100.0, description="the account's write tokens a second; an order costs 10, a cancel 2"
    )


class HyperliquidSection(VenueSettings):
    """Hyperliquid: perpetuals (``hyperliquid:BTC``). The key is the account's address, the secret a private key."""

    addresses = ("rest_url", "socket_url")

    socket_url: str = Field(default="", description="base of the stream")
    leverage: Annotated[int, Field(ge=1, le=100)] | None = Field(
        default=None, description="of every perpetual (cross), set on connecting; none leaves the account's own"
    )
    market_slippage: Annotated[Decimal, Field(ge=0, lt=1)] = Field(
        default=Decimal("0.02"), description="how far through the best price a market order may go, as a fraction"
    )
    order_life_s: Seconds = Field(
        default=7.0, description="how long after it was signed the venue may still take an order"
    )
    orders_per_second: Annotated[float, Field(ge=1)] = Field(default=10.0, description="order calls a second, at most")
    weight_per_minute: Annotated[float, Field(ge=200)] = Field(
        default=1200.0, description="weight of all calls a minute, at most; an order costs 1, a list 20"
    )


class VenueSections(Section):
    """One section for each venue; those of venues that aren't traded do nothing."""

    bybit: BybitSection = Field(default_factory=BybitSection, description="the connection to Bybit")
    alpaca: AlpacaSection = Field(default_factory=AlpacaSection, description="the connection to Alpaca")
    kalshi: KalshiSection = Field(default_factory=KalshiSection, description="the connection to Kalshi")
    hyperliquid: HyperliquidSection = Field(
        default_factory=HyperliquidSection, description="the connection to Hyperliquid"
    )

    def __getitem__(self, venue: str) -> VenueSettings:
        return dict(self.items())[venue]

    def items(self) -> Iterator[tuple[str, VenueSettings]]:
        """Venue and section, as a mapping gives them."""
        for venue in type(self).model_fields:
            yield venue, getattr(self, venue)

    def faults(self, venue: str, mode: Mode) -> Iterator[str]:
        """What in a venue's section does not belong to ``mode``."""
        section = self[venue]
        yield from address_faults(venue, mode, section.urls)
        yield from name_faults(venue, mode, section.credentials.names)
