"""The learner's whole state, and its snapshot."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from actors import snapshots
from actors.learner import drift
from actors.learner.attribution import GateTally, Tally
from actors.learner.experts import Expert
from actors.learner.prices import Track
from actors.learner.probability import Bins
from actors.learner.samples import Samples
from actors.learner.statistics import Moments, Record
from actors.messages.control import Control, ControlTaken
from actors.messages.learning import FeedbackIssued, Lesson, Pattern, Policy, PolicyIssued, Stage
from actors.traits import traits
from actors.window import open_windows
from exchanges.model.order import Side

VERSION = 1


class Followed(msgspec.Struct):
    """A signal that is open or waits for its horizon.

    ``entry_ns`` and ``entry_price`` are the market's when the signal was made, until it is
    executed; ``state`` is empty while it is open. ``since_ns`` is our clock's time of its end.

    ``sources`` are its opinions, ``features`` what it was made on, ``regime``, ``policy`` and ``arm``
    what risk judged it in and by. ``quantity`` is what was ordered, or would have been; ``reference``
    the price it was to meet, ``made_ns`` the time of the data it came from, ``heard`` all opinions it was
    judged by, by source, ``paid`` its fees in the quote currency (``None``: not known yet);
    ``left_ns`` when its strategy had closed again what it opened. ``reduces``: it could only close.
    """

    strategy: str
    symbol: str
    side: Side
    entry_ns: int
    entry_price: float
    state: str = ""
    gate: str = ""
    since_ns: int = 0
    conviction: float = 0.0
    sources: dict[str, float] = {}
    features: dict[str, float] = {}
    regime: str = ""
    policy: int = 0
    arm: str = ""
    code: str = ""
    reduces: bool = False
    quantity: float = 0.0
    reference: float = 0.0
    paid: float | None = None
    left_ns: int = 0
    made_ns: int = 0
    heard: dict[str, float] = {}

    @property
    def traits(self) -> dict[str, float]:
        """What patterns are found in."""
        return traits(self.features, self.conviction, self.made_ns, self.regime)


class Lot(msgspec.Struct):
    """What is left of an entry: ``quantity`` is signed, in base units."""

    signal_id: str
    quantity: float


class Step(msgspec.Struct, frozen=True):
    """A stage that a policy took at ``ns``, and on what grounds."""

    stage: Stage
    ns: int
    reason: str = ""
    evidence: dict[str, float] = {}


class Version(msgspec.Struct):
    """A policy and its way so far, the last step last. ``base`` is what it was made from and measured against."""

    policy: Policy
    base: int
    steps: list[Step] = []

    @property
    def stage(self) -> Stage:
        return self.steps[-1].stage


class Difference(NamedTuple):
    """A difference of means and its confidence interval."""

    value: float
    low: float
    high: float


class Evaluation(msgspec.Struct):
    """How the candidate does against its base.

    ``shadow`` are differences of profit, signal by signal, as reckoned; ``trial`` and ``control`` are
    the profits of the signals on each side, as measured. In the quote currency.
    """

    shadow: Moments = msgspec.field(default_factory=Moments)
    trial: Moments = msgspec.field(default_factory=Moments)
    control: Moments = msgspec.field(default_factory=Moments)
    looked: int = 0
    """At how many signals on the smaller side of the trial it was last looked at, and what was seen."""
    seen: Difference | None = None


class LearnerState(msgspec.Struct):
    """Everything the brain holds. ``opened`` and ``pending`` are by signal, ``records`` by strategy and
    symbol, ``gates`` by gate; ``lessons`` and ``feedback`` are sent and not journaled yet.
    """

    version: int = VERSION
    caught_up: bool = False
    bus_epoch: int = 0
    seq: int = 0
    opened: dict[str, Followed] = {}
    pending: dict[str, Followed] = {}
    tracks: dict[str, Track] = {}
    fees: dict[str, float] = {}
    contracts: dict[str, float] = {}
    """What one contract pays, of symbols that pay all or nothing."""
    lessons: dict[str, Lesson] = {}
    feedback: dict[str, FeedbackIssued] = {}
    records: dict[str, Record] = {}
    gates: dict[str, GateTally] = {}
    """By gate, and by ``gate:CODE``."""
    issued: dict[str, FeedbackIssued] = {}
    tables: dict[str, dict[str, Tally]] = {}
    """By dimension (source, strategy, symbol, regime) and key."""
    lots: dict[str, list[Lot]] = {}
    bases: dict[str, str] = {}
    """The base currency of each symbol, to tell fees that were paid in it."""
    equities: dict[str, float] = {}
    """By venue, to reckon what a blocked signal would have staked."""
    now_ns: int = 0
    """When the last record was written."""
    taught: int = 0
    """Lessons that taught something about entries."""
    experts: dict[str, Expert] = {}
    bins: dict[str, Bins] = {}
    samples: dict[str, Samples] = {}
    patterns: dict[str, tuple[Pattern, ...]] = {}
    versions: dict[int, Version] = {}
    full: int = 0
    """The version that decides; 0 is the empty policy, before anything was learned."""
    candidate: int = 0
    """The version in shadow or on trial; 0: none."""
    latest: int = 0
    settled: int = 0
    """``taught`` when the last candidate was decided on."""
    evaluation: Evaluation = msgspec.field(default_factory=Evaluation)
    announced: list[PolicyIssued] = []
    """Sent and not journaled yet."""
    controls: dict[str, int] = {}
    asked: list[Control] = []
    """Controls that came before the journal was known."""
    answers: list[ControlTaken] = []
    """To controls that were carried out; sent and not journaled yet."""

    def __post_init__(self) -> None:
        open_windows(self, "controls", "opened")

    def policy(self, version: int) -> Policy:
        """A remembered policy; the empty one where there is none of that version."""
        known = self.versions.get(version)
        return known.policy if known else Policy(0)


def encode(state: LearnerState) -> bytes:
    return msgspec.msgpack.encode(state)


def decode(data: bytes) -> LearnerState:
    """The state in a snapshot.

    Raises:
        SnapshotError: the bytes are no state of a learner, or one of an unknown version.
    """
    state = snapshots.decode(data, LearnerState, VERSION, "the learner")
    for track in state.tracks.values():
        track.complete()
    for expert in state.experts.values():
        if expert.detector:
            drift.revive(expert.detector)
    return state
