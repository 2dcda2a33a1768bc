"""A taped run, for the tests that play it again."""

from __future__ import annotations

import pytest

from tests.simulation.taped import RULES, SECONDS, History, taped


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> History:
    store = tmp_path_factory.mktemp("history")
    return History(store, taped(store, 7, SECONDS, RULES))
