"""Settings of where orders go: the venues' connections and the simulator that stands in for one."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal, get_args

from pydantic import Field

from conf.section import Amount, Seconds, Section

Venue = Literal["alpaca", "bybit", "kalshi"]
VENUES: tuple[Venue, ...] = get_args(Venue)
StreamName = Literal["trade", "quote", "bar", "book"]
Count = Annotated[int, Field(ge=1)]
FeeRate = Annotated[Decimal, Field(ge=Decimal("-0.01"), le=Decimal("0.1"))]


class SimulatorSettings(Section):
    """The embedded venue: the venue's own protocol on this machine, over a generator or a recording."""

    host: str = Field(default="127.0.0.1", description="the address it listens on")
    port: Annotated[int, Field(ge=0, le=65535)] = Field(
        default=0, description="the port it listens on; 0 takes a free one"
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
    maker_fee: FeeRate = Field(default=Decimal("0.0002"), description="fee of resting orders, a fraction of notional")
    taker_fee: FeeRate = Field(
        default=Decimal("0.00055"), description="fee of orders that take, a fraction of notional"
    )


class VenueSettings(Section):
    """One venue's connection. An empty address is the simulator's in ``sim`` and the venue's own elsewhere."""

    rest_url: str = Field(default="", description="base of the REST calls")
    public_url: str = Field(default="", description="base of the public stream")
    private_url: str = Field(default="", description="base of the private stream")
    key_env: str = Field(default="", description="the environment variable that holds the key; never the key itself")
    secret_env: str = Field(
        default="", description="the environment variable that holds the secret; never the secret itself"
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
    orders_per_second: Count = Field(default=10, description="order calls a second, at most")
    queries_per_second: Count = Field(default=20, description="other calls a second, at most")
    ring: Count = Field(
        default=4096, description="pieces of market data kept for each symbol, for restarted strategies"
    )
    streams: Annotated[tuple[StreamName, ...], Field(strict=False, min_length=1)] = Field(
        default=("trade", "quote", "bar"), description="what is subscribed to: trade, quote, bar, book"
    )
    bar_interval_s: Count = Field(default=60, description="the length of a bar; the venue must offer it")
    book_depth: Count = Field(default=50, description="levels of the book")


def default_venues() -> dict[Venue, VenueSettings]:
    """The connections of a session whose configuration names none."""
    return {"bybit": VenueSettings(key_env="BYBIT_API_KEY", secret_env="BYBIT_API_SECRET")}
