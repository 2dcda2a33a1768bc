"""What can be wrong with a configuration."""

from __future__ import annotations

from collections.abc import Sequence

from runtime.errors import SetupError


class ConfigError(SetupError):
    """The configuration can't be used; ``problems`` holds every reason found, not only the first."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        if len(self.problems) == 1:
            super().__init__(f"the configuration can't be used: {self.problems[0]}")
            return
        lines = [f"  - {problem}" for problem in self.problems]
        super().__init__("\n".join([f"the configuration has {len(lines)} problems:", *lines]))

    def __reduce__(self) -> tuple[type[ConfigError], tuple[tuple[str, ...]]]:
        return type(self), (self.problems,)
