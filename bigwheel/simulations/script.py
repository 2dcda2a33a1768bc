"""What of a run is wanted, as a few lines of JSON: the seed, and the faults and traders that it takes to fail."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path

import msgspec

from bigwheel.errors import UsageError


class Script(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One run. A whole one says no more than scenario and seed; a shrunk one says what is left of it."""

    scenario: str
    seed: int
    seconds: float = 0.0
    """Virtual seconds of trading with faults; 0 stands for the scenario's own."""
    only: tuple[str, ...] | None = None
    """Names of the faults that may happen (``runtime.simulation.occurrences``); all when left out."""
    without: tuple[str, ...] = ()
    """Actors that are left out, and symbols without market data."""
    end: int = 0
    """The event to end with; 0 goes on to the end, and to the checks that can only be made there."""
    broken: str = ""
    """The invariant that this broke when it was written; a run of it is expected to hold."""
    found: str = ""
    """How it broke, in words."""

    @property
    def whole(self) -> bool:
        """Whether nothing is left out, so that scenario, seed and seconds say it all."""
        return self.only is None and not self.without and not self.end

    def command(self, file: str = "FILE") -> str:
        """What runs it again in a shell; a script that is not ``whole`` has to be in ``file``."""
        if not self.whole:
            return f"bigwheel simulate --script {shlex.quote(file)} --trace"
        length = f" --duration {self.seconds:g}" if self.seconds else ""
        return f"bigwheel simulate --scenario {self.scenario} --seed {self.seed}{length} --trace"

    def text(self) -> str:
        """The script as JSON, one fault a line."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2).decode() + "\n"

    def file_name(self) -> str:
        """What its file is called: scenario, seed and what broke."""
        return "-".join((self.scenario, str(self.seed), *self.broken.split())) + ".json"


def read(path: Path, scenarios: Iterable[str]) -> Script:
    """The script in the file at ``path``.

    Raises:
        UsageError: there is none, or its scenario is unknown.
    """
    try:
        script = msgspec.json.decode(path.read_bytes(), type=Script)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise UsageError(
            f"expected a script such as a campaign writes for a seed that failed in {path}, found: {error}"
        ) from None
    known = tuple(scenarios)
    if script.scenario not in known:
        raise UsageError(f"expected a scenario of {', '.join(known)} in {path}, found {script.scenario!r}")
    return script
