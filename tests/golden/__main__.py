"""``python -m tests.golden`` adds the bytes of today's events to the file of those that must decode forever."""

from __future__ import annotations

from tests.golden.samples import FILE, update

print(f"{update()} lines added to {FILE}")
