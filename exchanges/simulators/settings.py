"""Typed settings of a protocol simulator."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator


class SimulatorSettings(BaseModel):
    """Everything a simulator needs to know.

    Args:
        port: on 127.0.0.1; 0 takes a free one, then known as ``Simulator.port``.
        seed: of generated prices and synthetic depth.
        symbols: symbols without the venue (``BTCUSDT``, ``BTC/USD``); empty means every symbol of
            the replay, or the venue's choice for the generator.
        feed: ``generator``, ``replay`` or ``none`` (nothing moves unless a test moves it).
        rate: generated trades a second and symbol.
        replay_path: a Parquet file or a folder of them.
        replay_symbols: file name or stem to symbol, where neither a column nor the name says it.
        speed: multiple of recorded time, or ``max``.
        start_ns: wall-clock time at which the recording begins, so that several venues play side by
            side; it runs from then on, and catches up with what nobody was there for.
        epoch_ns: the recorded time that ``start_ns`` stands for; ``None`` is the recording's first trade.
        resume: go on with a replay that an earlier process did not finish (needs ``folder``).
        folder: where the venue's books are kept; without it they end with the process.
        api_key, api_secret: the accepted credentials of the account ``main``.
        public_key: for a venue whose requests are signed with a private key: the PEM of the key
            that ``api_key``'s are checked with; empty lets the simulator make a pair.
        more_keys: further accepted keys and their secrets (or PEMs), each with an account of its own.
        latency_ms: added before each REST call and each WebSocket request is handled.
        balance: each account's starting balance in the venue's currency.
        maker_fee, taker_fee: rates; ``None`` means the venue's own.
        order_limit, query_limit: requests (or their cost) a second and account, 0 for no limit,
            ``None`` for the venue's own.
        faults: a YAML file that says which faults come how often (see `rates`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    port: int = Field(0, ge=0, le=65535)
    seed: int = 1
    symbols: tuple[str, ...] = ()
    feed: Literal["generator", "replay", "none"] = "generator"
    rate: float = Field(4.0, gt=0, le=100_000)
    replay_path: Path | None = None
    replay_symbols: dict[str, str] = {}
    speed: float | Literal["max"] = 1.0
    start_ns: int | None = None
    epoch_ns: int | None = None
    resume: bool = True
    folder: Path | None = None
    api_key: str = "simulator-key"
    api_secret: SecretStr = SecretStr("simulator-secret")
    public_key: str = ""
    more_keys: dict[str, SecretStr] = {}
    latency_ms: float = Field(0.0, ge=0)
    balance: Decimal = Field(Decimal(100_000), gt=0)
    maker_fee: Decimal | None = None
    taker_fee: Decimal | None = None
    spread_bps: float = Field(0.05, ge=0)
    order_limit: int | None = Field(None, ge=0)
    query_limit: int | None = Field(None, ge=0)
    faults: Path | None = None

    @model_validator(mode="after")
    def _consistent(self) -> SimulatorSettings:
        if self.feed == "replay" and self.replay_path is None:
            raise ValueError("expected replay_path with feed 'replay', found none; give a Parquet file or a folder")
        if self.feed != "replay" and self.replay_path is not None:
            raise ValueError(f"expected feed 'replay' with replay_path, found feed {self.feed!r}; set feed='replay'")
        if self.speed != "max" and self.speed <= 0:
            raise ValueError(f"expected a speed above 0 or 'max', found {self.speed}")
        if self.start_ns is not None and (self.feed != "replay" or self.speed == "max"):
            raise ValueError(
                f"expected a replay at a finite speed with start_ns, found feed {self.feed!r}, {self.speed}"
            )
        if self.epoch_ns is not None and self.start_ns is None:
            raise ValueError("expected start_ns with epoch_ns, found none; give the time at which it is to be played")
        if any(symbol != symbol.upper() or ":" in symbol for symbol in self.symbols):
            raise ValueError(
                f"expected symbols in capitals and without a venue, such as BTCUSDT or BTC/USD, "
                f"found {list(self.symbols)}"
            )
        return self

    def accounts(self) -> list[str]:
        """The accounts, one for each key."""
        return [account for account, _ in self.credentials().values()]

    def credentials(self) -> dict[str, tuple[str, str]]:
        """API key to account name and secret."""
        keys = {self.api_key: ("main", self.api_secret.get_secret_value())}
        for number, (key, secret) in enumerate(self.more_keys.items(), start=2):
            keys[key] = (f"account-{number}", secret.get_secret_value())
        return keys
