"""The look before the start: what ends it, what it says, and what it lets pass."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Sequence

import pytest

from exchanges import access
from exchanges.access import ensure_access
from exchanges.bybit.symbols import SymbolError
from exchanges.credentials import CredentialError
from exchanges.failures import Failure, FailureKind, VenueError
from exchanges.kalshi.signer import KeyFormatError
from exchanges.model.venue import Outcome
from exchanges.modes import Mode
from exchanges.paper import PaperExchange, PaperSettings
from exchanges.streams import AccessError, StreamError, refusal
from runtime.errors import SetupError
from tests.unit.paper_bench import BTC, Source

REFUSED = Failure(FailureKind.UNAUTHORISED, Outcome.REJECTED, "10003", "API key is invalid.")


class Strict(Source):
    """A venue with something to say before the start."""

    def __init__(self, error: Exception | None = None, wait_s: float = 0.0) -> None:
        super().__init__()
        self.error, self.wait_s = error, wait_s

    async def check(self, symbols: Sequence[str]) -> None:
        await asyncio.sleep(self.wait_s)
        if self.error is not None:
            raise self.error


def look(source: Source) -> None:
    asyncio.run(ensure_access(source, [BTC], Mode.DEMO, "BYBIT_DEMO_KEY"))


def test_a_key_that_is_refused_is_told_with_where_it_was_found_and_what_to_do() -> None:
    with pytest.raises(CredentialError) as caught:
        look(Strict(AccessError("key check", REFUSED)))
    for text in ("from BYBIT_DEMO_KEY in mode demo", "10003 API key is invalid.", "make a new one for mode demo"):
        assert text in str(caught.value)


def test_what_has_to_be_mended_elsewhere_is_told_as_it_is() -> None:
    with pytest.raises(AccessError, match="found a read-only one"):
        look(Strict(AccessError("expected a key that may trade, found a read-only one: make a new key")))
    with pytest.raises(SetupError, match="no such symbol"):
        look(Strict(SymbolError("found no such symbol")))


def test_a_venue_that_does_not_answer_does_not_keep_the_session_from_beginning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(access, "CHECK_S", 0.01)
    look(Strict(wait_s=5.0))
    assert "begins without its word" in caplog.text


def test_only_a_refused_key_of_all_failed_calls_has_to_be_mended() -> None:
    for kind in FailureKind:
        found = refusal("key check", VenueError(REFUSED._replace(kind=kind)))
        assert isinstance(found, StreamError)
        assert isinstance(found, SetupError) is (kind is FailureKind.UNAUTHORISED)
        assert str(found) == "key check: 10003 API key is invalid."


def test_the_errors_of_a_start_travel_from_the_actor_to_the_session() -> None:
    for error in (AccessError("text", REFUSED), SymbolError("text"), KeyFormatError("text")):
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again)) == (type(error), "text")
        assert isinstance(again, SetupError)


def test_on_paper_the_source_is_asked() -> None:
    paper = PaperExchange(Strict(AccessError("the venue refuses the key")), PaperSettings(balance=1))  # type: ignore[arg-type]
    with pytest.raises(AccessError, match="refuses the key"):
        look(paper)  # type: ignore[arg-type]
