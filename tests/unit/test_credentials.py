"""Where API keys come from, what is refused, and that nothing of a key is ever shown."""

from __future__ import annotations

import copy
import json
import os
import pickle
import time
from collections.abc import Iterator
from pathlib import Path

import keyring
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keyring.backend import KeyringBackend
from keyring.backends.fail import Keyring as NoKeyring
from keyring.errors import KeyringLocked
from ray import cloudpickle

from conf.modes import Mode, ModeError
from conf.venues import CredentialSettings
from exchanges.credentials import CredentialError, Credentials, Secret, refused, resolve
from exchanges.failures import Failure, FailureKind
from exchanges.keyfile import KeyEntry, permission_fault
from exchanges.model.venue import Outcome
from runtime.errors import SetupError

KEY, SECRET = "THEKEY4711", "THESECRET0815"
PEM = "-----BEGIN PRIVATE KEY-----\nTHESECRET0815\n-----END PRIVATE KEY-----"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def private(path: Path, text: str, mode: int = 0o600) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def told(*sources: str, **values: object) -> CredentialSettings:
    return CredentialSettings.model_validate({"sources": sources or ("env", "file"), **values})


def ask(venue: str, mode: Mode, wanted: CredentialSettings, **environ: str) -> Credentials:
    found = resolve(venue, mode, wanted, environ)
    assert found is not None
    return found


def problem(venue: str, mode: Mode, wanted: CredentialSettings, **environ: str) -> str:
    with pytest.raises(SetupError) as caught:
        resolve(venue, mode, wanted, environ)
    error: BaseException | None = caught.value
    while error is not None:
        assert SECRET not in f"{error!s}{error!r}{vars(error)}"
        assert KEY not in f"{error!s}{error!r}{vars(error)}"
        error = error.__cause__ or error.__context__
    return str(caught.value)


# -- a secret --------------------------------------------------------------------------------


@pytest.mark.parametrize("show", [str, repr, "{}".format, "{!s:>40}".format, lambda s: f"{[s]}"])
def test_a_secret_shows_in_no_text(show: object) -> None:
    assert callable(show)
    assert SECRET not in show(Secret(SECRET))
    assert SECRET not in show(Credentials(Secret(KEY), Secret(SECRET), "somewhere"))


@pytest.mark.parametrize("send", [pickle.dumps, cloudpickle.dumps, copy.copy, copy.deepcopy])
def test_a_secret_can_not_be_sent_to_another_process(send: object) -> None:
    assert callable(send)
    for thing in (Secret(SECRET), Credentials(Secret(KEY), Secret(SECRET), ""), {"inside": [Secret(SECRET)]}):
        if send is copy.copy and not isinstance(thing, Secret):
            continue
        with pytest.raises(TypeError, match="resolve credentials in the process that uses them") as caught:
            send(thing)
        assert SECRET not in str(caught.value)


@pytest.mark.parametrize("encode", [msgspec.json.encode, msgspec.msgpack.encode, msgspec.to_builtins, json.dumps])
def test_a_secret_can_not_be_encoded(encode: object) -> None:
    assert callable(encode)
    with pytest.raises(TypeError) as caught:
        encode({"secret": Secret(SECRET)})
    assert SECRET not in str(caught.value)


def test_a_secret_is_revealed_to_whom_asks_for_it_by_name() -> None:
    assert Secret(SECRET).reveal() == SECRET
    assert Secret(SECRET) == Secret(SECRET)
    assert Secret(SECRET) != Secret(KEY)
    assert Secret(SECRET) != SECRET
    assert not Secret("")
    assert not hasattr(Secret(SECRET), "__dict__")
    with pytest.raises(TypeError):
        hash(Secret(SECRET))


def test_an_entry_that_was_read_does_not_show_itself() -> None:
    assert SECRET not in repr(KeyEntry(KEY, SECRET))


# -- the environment -------------------------------------------------------------------------


def test_a_key_is_found_under_the_modes_own_names() -> None:
    environ = {"BYBIT_DEMO_KEY": KEY, "BYBIT_DEMO_SECRET": SECRET, "BYBIT_LIVE_KEY": "x", "BYBIT_LIVE_SECRET": "y"}
    found = ask("bybit", Mode.DEMO, told(), **environ)
    assert (found.key.reveal(), found.secret.reveal()) == (KEY, SECRET)
    assert found.source == "BYBIT_DEMO_KEY and BYBIT_DEMO_SECRET in the environment"


def test_a_live_key_is_never_used_for_demo() -> None:
    said = problem("bybit", Mode.DEMO, told(), BYBIT_LIVE_KEY=KEY, BYBIT_LIVE_SECRET=SECRET)
    assert "set BYBIT_DEMO_KEY and BYBIT_DEMO_SECRET" in said
    assert "environment variables BYBIT_DEMO_KEY and BYBIT_DEMO_SECRET; the file ~/.config/bigwheel/bybit-demo" in said


def test_names_of_ones_own_are_read_in_place_of_the_default_ones() -> None:
    found = ask("bybit", Mode.LIVE, told(key_env="MINE", secret_env="MINE_TOO"), MINE=KEY, MINE_TOO=SECRET)
    assert found.key.reveal() == KEY


@pytest.mark.parametrize(("given", "missing"), [("KEY", "SECRET"), ("SECRET", "KEY")])
def test_half_a_pair_is_an_error_and_not_passed_over(given: str, missing: str, home: Path) -> None:
    private(home / ".config/bigwheel/bybit-live.toml", f'key = "{KEY}"\nsecret = "{SECRET}"\n')
    said = problem("bybit", Mode.LIVE, told(), **{f"BYBIT_LIVE_{given}": SECRET})
    assert f"expected BYBIT_LIVE_{missing} beside BYBIT_LIVE_{given} in the environment, found none" in said


def test_without_a_key_where_none_is_needed_there_is_none() -> None:
    assert resolve("bybit", Mode.PAPER, told(), {}) is None
    assert resolve("alpaca", Mode.SIM, told(), {}) is None


def test_a_key_of_the_venues_other_environment_is_refused() -> None:
    with pytest.raises(ModeError, match="begins with PK as those of the paper account do"):
        resolve("alpaca", Mode.LIVE, told(), {"ALPACA_LIVE_KEY": f"PK{KEY}", "ALPACA_LIVE_SECRET": SECRET})


@pytest.mark.parametrize("secret", [f"{SECRET} ", f"{SECRET}\n", f"é{SECRET}"])
def test_a_secret_that_was_copied_badly_is_refused(secret: str) -> None:
    assert "copy it anew" in problem("bybit", Mode.LIVE, told(), BYBIT_LIVE_KEY="k", BYBIT_LIVE_SECRET=secret)


@pytest.mark.parametrize("pem", [PEM, PEM.replace("\n", "\\n"), PEM.replace("PRIVATE", "RSA PRIVATE")])
def test_kalshis_secret_is_a_private_key(pem: str) -> None:
    found = ask("kalshi", Mode.DEMO, told(), KALSHI_DEMO_KEY=KEY, KALSHI_DEMO_SECRET=pem)
    assert found.secret.reveal() == pem.replace("\\n", "\n")


@pytest.mark.parametrize(
    ("pem", "said"),
    [
        (SECRET, "found 1 lines of something else"),
        (PEM.replace("PRIVATE", "PUBLIC"), "found 3 lines of something else"),
        (PEM[:40], "cut short"),
    ],
)
def test_a_private_key_that_is_none_is_refused(pem: str, said: str) -> None:
    assert said in problem("kalshi", Mode.DEMO, told(), KALSHI_DEMO_KEY="k", KALSHI_DEMO_SECRET=pem)


# -- files -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("k.toml", f'key = "{KEY}"\nsecret = "{SECRET}"\n'),
        ("k.toml", f'mode = "live"\n[bybit]\nkey = "{KEY}"\nsecret = "{SECRET}"\n[kalshi]\nkey = "other"\n'),
        ("k.toml", f'venue = "bybit"\nmode = "live"\nkey = "{KEY}"\nsecret = "{SECRET}"\n'),
        ("k.json", json.dumps({"key": KEY, "secret": SECRET})),
        ("k.json", json.dumps({"bybit": {"key": KEY, "secret": SECRET, "mode": "live"}}, indent=2)),
    ],
)
def test_a_key_file_is_toml_or_json(home: Path, name: str, text: str) -> None:
    file = private(home / name, text)
    found = ask("bybit", Mode.LIVE, told(file=str(file)))
    assert (found.key.reveal(), found.secret.reveal(), found.source) == (KEY, SECRET, str(file))


def test_the_default_file_is_the_modes_own(home: Path) -> None:
    private(home / ".config/bigwheel/bybit-live.toml", f'key = "{KEY}"\nsecret = "{SECRET}"\n')
    assert ask("bybit", Mode.LIVE, told()).key.reveal() == KEY
    assert "found none in" in problem("bybit", Mode.DEMO, told())


def test_the_environment_comes_before_the_file_unless_told_otherwise(home: Path) -> None:
    private(home / ".config/bigwheel/bybit-live.toml", 'key = "filed"\nsecret = "filed"\n')
    environ = {"BYBIT_LIVE_KEY": KEY, "BYBIT_LIVE_SECRET": SECRET}
    assert ask("bybit", Mode.LIVE, told(), **environ).key.reveal() == KEY
    assert ask("bybit", Mode.LIVE, told("file", "env"), **environ).key.reveal() == "filed"


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o620, 0o602, 0o700, 0o610, 0o601, 0o777, 0o200])
def test_a_key_file_that_others_may_touch_is_refused_with_the_command_that_mends_it(home: Path, mode: int) -> None:
    file = private(home / "k.toml", f'key = "{KEY}"\nsecret = "{SECRET}"\n', mode)
    said = problem("bybit", Mode.LIVE, told(file=str(file)))
    assert f"found {mode:03o}; run: chmod 600 {file}" in said
    file.chmod(0o600)
    assert ask("bybit", Mode.LIVE, told(file=str(file))).key.reveal() == KEY


def test_a_key_file_that_not_even_its_owner_may_write_is_fine(home: Path) -> None:
    file = private(home / "k.toml", f'key = "{KEY}"\nsecret = "{SECRET}"\n', 0o400)
    assert ask("bybit", Mode.LIVE, told(file=str(file))).key.reveal() == KEY


def test_a_key_file_of_another_user_is_refused(home: Path) -> None:
    file = private(home / "k.toml", "")
    foreign = list(file.stat())
    foreign[4] = os.geteuid() + 1
    assert f"run: chown {os.geteuid()} {file}" in permission_fault(file, os.stat_result(foreign))


def test_a_folder_or_a_pipe_is_no_key_file(home: Path) -> None:
    (home / "folder.toml").mkdir(mode=0o600)
    assert "found a folder" in problem("bybit", Mode.LIVE, told(file=str(home / "folder.toml")))
    os.mkfifo(home / "pipe.toml", 0o600)
    assert "found a pipe" in problem("bybit", Mode.LIVE, told(file=str(home / "pipe.toml")))


def test_a_file_that_is_far_too_large_is_no_key_file(home: Path) -> None:
    file = private(home / "k.toml", f"# {'x' * 70_000}\n")
    assert "expected a key file of at most 65536 bytes" in problem("bybit", Mode.LIVE, told(file=str(file)))


@pytest.mark.parametrize(
    ("name", "text", "where"),
    [
        ("k.toml", f'key = "{KEY}"\nsecret = {SECRET}\n', "line 2, column 10: expected TOML"),
        ("k.toml", f'key = "{KEY}"\n\nsecret "{SECRET}"\n', "line 3, column 8: expected TOML"),
        ("k.toml", f'key = "{KEY}"\nsecret = "{SECRET}', "line 2, column 24: expected TOML"),
        ("k.toml", f'key = "{KEY}"\nkey = "{SECRET}"\n', "expected TOML"),
        ("k.toml", f'key = "{KEY}"\nsecrte = "{SECRET}"\n', "line 2: expected one of key, secret, secret_file"),
        ("k.toml", f'secret = "{SECRET}"\nkey = 4711\n', "line 2: expected text for key, found int"),
        (
            "k.toml",
            f'key = "{KEY}"\nsecret = "{SECRET}"\nsecret_file = "x"\n',
            "line 3: expected secret or secret_file",
        ),
        ("k.json", f'{{\n "key": "{KEY}",\n "secret": "{SECRET}",\n}}', "line 4, column 1: expected JSON"),
        ("k.json", f'{{"key": "{KEY}"\n "secret": "{SECRET}"}}', "line 2, column 2: expected JSON"),
        ("k.json", f'{{"key": "{KEY}",\n "secret": ["{SECRET}"]}}', "line 2: expected text for secret, found list"),
        ("k.json", f'["{KEY}", "{SECRET}"]', "line 1: expected key and secret in braces, found list"),
        ("k.toml", "", "found no key; add it"),
        ("k.toml", f'key = "{KEY}"\n', "found no secret; add it"),
    ],
)
def test_a_malformed_key_file_is_told_by_its_line_and_not_by_what_is_on_it(
    home: Path, name: str, text: str, where: str
) -> None:
    file = private(home / name, text)
    said = problem("bybit", Mode.LIVE, told(file=str(file)))
    assert str(file) in said
    assert where in said


def test_bytes_that_are_no_text_are_told_by_their_line(home: Path) -> None:
    file = private(home / "k.toml", "")
    file.write_bytes(f'key = "{KEY}"\nsecret = "'.encode() + b"\xff\xfe" + SECRET.encode())
    assert f"{file}: line 2: expected UTF-8 text" in problem("bybit", Mode.LIVE, told(file=str(file)))


@pytest.mark.parametrize(
    ("line", "said"),
    [('mode = "demo"', "found one for mode demo"), ('venue = "alpaca"', "found one for venue alpaca")],
)
def test_a_file_that_says_it_is_for_another_mode_or_venue_is_refused(home: Path, line: str, said: str) -> None:
    file = private(home / "k.toml", f'{line}\nkey = "{KEY}"\nsecret = "{SECRET}"\n')
    assert said in problem("bybit", Mode.LIVE, told(file=str(file)))


def test_a_pem_may_lie_beside_the_key_file_or_where_the_settings_say(home: Path) -> None:
    pem = private(home / "kalshi.pem", PEM + "\n")
    file = private(home / "k.toml", f'key = "{KEY}"\nsecret_file = "kalshi.pem"\n')
    assert ask("kalshi", Mode.LIVE, told(file=str(file))).secret.reveal() == PEM
    found = ask("kalshi", Mode.LIVE, told(secret_file="~/kalshi.pem"), KALSHI_LIVE_KEY=KEY)
    assert found.secret.reveal() == PEM
    assert found.source.endswith("and ~/kalshi.pem")
    pem.chmod(0o644)
    assert f"chmod 600 {pem}" in problem("kalshi", Mode.LIVE, told(file=str(file)))
    pem.unlink()
    assert "expected a file with the secret" in problem("kalshi", Mode.LIVE, told(file=str(file)))


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=40), st.sampled_from(["k.toml", "k.json"]))
def test_whatever_a_key_file_holds_its_secret_is_not_in_the_error(noise: str, name: str) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        text = f'{noise}\nkey = "{KEY}"\nsecret = "{SECRET}"\n'
        file = Path(folder) / name
        file.write_bytes(text.encode("utf-8", "surrogatepass"))
        file.chmod(0o600)
        try:
            found = resolve("bybit", Mode.LIVE, told(file=str(file)), {})
        except CredentialError as error:
            chain: BaseException | None = error
            while chain is not None:
                assert SECRET not in f"{chain}{vars(chain)}"
                chain = chain.__cause__ or chain.__context__
        else:
            assert found is not None
            assert found.secret.reveal() == SECRET


# -- pass ------------------------------------------------------------------------------------


@pytest.fixture
def store(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program called pass that runs the script written to it."""
    folder = home / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder / "pass"


def shows(store: Path, script: str) -> None:
    store.write_text(f"#!/bin/sh\n{script}\n")
    store.chmod(0o755)


@pytest.mark.parametrize(
    ("venue", "lines", "secret"),
    [
        ("bybit", f"{SECRET}\nkey: {KEY}", SECRET),
        ("bybit", f"{SECRET}\nurl: https://bybit.com\nLogin: {KEY}\nmode: live", SECRET),
        ("kalshi", f"{PEM}\nkey: {KEY}", PEM),
        ("kalshi", f"key: {KEY}\n{PEM}", PEM),
    ],
)
def test_pass_shows_the_secret_first_and_the_key_below(store: Path, venue: str, lines: str, secret: str) -> None:
    shows(store, f'[ "$1 $2" = "show bigwheel/{venue}-live" ] || exit 3\ncat <<END\n{lines}\nEND')
    found = ask(venue, Mode.LIVE, told("pass"))
    assert (found.key.reveal(), found.secret.reveal()) == (KEY, secret)
    assert found.source == f"bigwheel/{venue}-live in the password store"


def test_an_entry_that_pass_does_not_have_is_passed_over(store: Path) -> None:
    shows(store, "echo 'Error: bigwheel/bybit-live is not in the password store.' >&2; exit 1")
    found = ask("bybit", Mode.LIVE, told("pass", "env"), BYBIT_LIVE_KEY=KEY, BYBIT_LIVE_SECRET=SECRET)
    assert found.source.endswith("in the environment")
    assert "pass show bigwheel/bybit-live" in problem("bybit", Mode.LIVE, told("pass"))


def test_an_entry_that_can_not_be_decrypted_is_an_error(store: Path) -> None:
    shows(store, f"echo {SECRET}; echo 'gpg: decryption failed: No secret key' >&2; exit 2")
    said = problem("bybit", Mode.LIVE, told("pass", "env"))
    assert "it failed with 2: gpg: decryption failed: No secret key" in said


def test_a_pass_that_waits_for_somebody_is_ended_with_all_it_started(store: Path, home: Path) -> None:
    shows(store, f"echo {SECRET}; (sleep 60; touch {home}/alive) & echo $! > {home}/child; sleep 60")
    began = time.monotonic()
    said = problem("bybit", Mode.LIVE, told("pass", timeout_s=1.5))
    assert "expected pass to show bigwheel/bybit-live within 1.5 s, found no answer" in said
    assert time.monotonic() - began < 40
    child = int((home / "child").read_text())
    for _ in range(1_000):
        if not _runs(child):
            break
        time.sleep(0.02)
    assert not _runs(child)


def _runs(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_without_pass_the_error_says_how_to_do_without(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setenv("PATH", str(home))
    assert "install it, or take it out of the credentials' sources" in problem("bybit", Mode.LIVE, told("pass"))


def test_an_entrys_name_is_never_read_by_a_shell_or_as_an_option(store: Path, home: Path) -> None:
    shows(store, f"touch {home}/called; exit 1")
    for name in ("-c", "a;touch x", "$(touch x)", "../other", "a\nb", "`x`"):
        assert "expected the name of a pass entry" in problem("bybit", Mode.LIVE, told("pass", pass_entry=name))
    assert not (home / "called").exists()


# -- the keyring -----------------------------------------------------------------------------


class Ring(KeyringBackend):
    """A keyring in memory, which may be locked or slow."""

    priority = 1  # type: ignore[assignment]

    def __init__(self, fault: Exception | None = None, wait_s: float = 0.0, **entries: str) -> None:
        super().__init__()
        self.fault, self.wait_s, self.entries = fault, wait_s, entries

    def get_password(self, service: str, username: str) -> str | None:
        time.sleep(self.wait_s)
        if self.fault is not None:
            raise self.fault
        return self.entries.get(username) if service == "bigwheel/bybit-live" else None

    def set_password(self, service: str, username: str, password: str) -> None:
        raise NotImplementedError

    def delete_password(self, service: str, username: str) -> None:
        raise NotImplementedError


@pytest.fixture
def rings() -> Iterator[None]:
    before = keyring.get_keyring()
    yield
    keyring.set_keyring(before)


@pytest.mark.usefixtures("rings")
def test_the_keyring_holds_key_and_secret_under_the_modes_service() -> None:
    keyring.set_keyring(Ring(key=KEY, secret=SECRET))
    found = ask("bybit", Mode.LIVE, told("keyring"))
    assert (found.key.reveal(), found.secret.reveal()) == (KEY, SECRET)
    assert "the keyring's service bigwheel/bybit-demo" in problem("bybit", Mode.DEMO, told("keyring"))


@pytest.mark.usefixtures("rings")
def test_half_an_entry_of_the_keyring_is_an_error() -> None:
    keyring.set_keyring(Ring(key=KEY))
    assert "in bigwheel/bybit-live in the keyring, found no secret" in problem("bybit", Mode.LIVE, told("keyring"))


@pytest.mark.usefixtures("rings")
@pytest.mark.parametrize(
    ("ring", "said"),
    [
        (NoKeyring(), "found no keyring on this machine; unlock it, use a key file of mode 600 instead"),
        (Ring(KeyringLocked("locked")), "found KeyringLocked: locked"),
        (Ring(RuntimeError(SECRET)), "found RuntimeError;"),
        (Ring(wait_s=5.0), "found no answer within 0.2 s"),
    ],
)
def test_a_keyring_that_can_not_answer_is_an_error_that_says_what_to_do(ring: KeyringBackend, said: str) -> None:
    keyring.set_keyring(ring)
    assert said in problem("bybit", Mode.LIVE, told("keyring", timeout_s=0.2 if isinstance(ring, Ring) else 20.0))


# -- refused by the venue --------------------------------------------------------------------


def test_a_revoked_key_is_told_with_its_source_and_what_to_do() -> None:
    failure = Failure(FailureKind.UNAUTHORISED, Outcome.REJECTED, "10003", "API key is invalid.")
    said = refused("bybit", Mode.DEMO, "BYBIT_DEMO_KEY and BYBIT_DEMO_SECRET in the environment", failure)
    assert said.startswith("expected bybit to take the key from BYBIT_DEMO_KEY and BYBIT_DEMO_SECRET")
    assert "(10003 API key is invalid.)" in said
    assert "make a new one for mode demo" in said
