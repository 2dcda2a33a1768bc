"""What every engine is told, and what it says: plain values, since each runs in an environment of its own."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace

MINUTE_NS = 60_000_000_000


@dataclass(frozen=True)
class Task:
    """A crossover of averages on made data.

    After each price, the ``wait`` first ones aside, it holds one unit while EMA(``fast``) is above EMA(``slow``), else
    none. By then it no longer matters how an engine begins its averages: the first price weighs (29/31)^1000.

    Attributes:
        kind: ``bars`` (closes count), ``trades`` (prices) or ``quotes`` (the middle); ``grid`` runs all ``pairs``.
        data: the Parquet file.
        short: one of the same columns with few rows, to have been run once before the clock starts.
        fee: of each fill, as a fraction of its notional.
    """

    kind: str
    data: str
    short: str
    fast: int = 10
    slow: int = 30
    wait: int = 1_000
    cash: int = 10_000_000
    fee: float = 0.0006
    pairs: tuple[tuple[int, int], ...] = ()

    def brief(self) -> Task:
        """The same with two pairs at most, for the run before the clock."""
        return replace(self, pairs=self.pairs[:2])

    def encode(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def decode(cls, text: str) -> Task:
        told = json.loads(text)
        return cls(**{**told, "pairs": tuple((fast, slow) for fast, slow in told["pairs"])})


@dataclass(frozen=True)
class Outcome:
    """What a run came to, so that one sees that all did the same.

    Attributes:
        rows: data that were played.
        trips: round trips that ended; of a grid those of all pairs.
        equity: cash and what is held at the last price, before the cost of closing it; of a grid the sum.
        others_s: processor time of processes that it had work for it.
    """

    rows: int
    trips: int
    equity: float
    others_s: float = 0.0


@dataclass(frozen=True)
class Told:
    """What a process said of its run.

    Attributes:
        version: of the engine.
        start_s: what importing it and the short run took.
        read_s: from the file to what the engine wants to be given; 0 where it reads the file itself.
        run_s: from there to the outcome.
        wall_s: both, by the wall; all others are seconds of processor time, of all threads and processes.
        peak_kib: the most memory the process has had.
    """

    version: str
    outcome: Outcome
    start_s: float
    read_s: float
    run_s: float
    wall_s: float
    peak_kib: int

    def encode(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def decode(cls, text: str) -> Told:
        told = json.loads(text)
        return cls(**{**told, "outcome": Outcome(**told["outcome"])})
