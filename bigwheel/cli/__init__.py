"""The command line."""

from __future__ import annotations

import sys

from runtime.errors import BigwheelError

FAULT = 2


def main() -> None:
    """Entry point of ``bigwheel``: an error the user can mend is one line, and exit status 2."""
    try:
        from bigwheel.cli.app import app

        sys.exit(app(standalone_mode=False))
    except BigwheelError as error:
        _end(str(error))
    except KeyboardInterrupt:
        _end("interrupted")
    except Exception as error:
        # Typer brings the classes of its own errors along, and moves them between versions.
        tell = getattr(error, "format_message", None)
        if tell is None:
            raise
        if text := tell():
            _end(f"{text} (see `{_command(error)} --help`)")
        sys.exit(FAULT)  # the help was asked for by giving nothing, and is printed


def _end(text: str) -> None:
    print(f"bigwheel: {text}", file=sys.stderr)
    sys.exit(FAULT)


def _command(error: Exception) -> str:
    """The command that was wrongly called, as it was typed."""
    context = getattr(error, "ctx", None)
    path = str(context.command_path) if context is not None else ""
    return " ".join(["bigwheel", *path.split()[1:]])
