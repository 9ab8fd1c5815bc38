"""How a command line ends: every failure as one line on standard error, and an exit code.

0 done, 2 the user's mistake, 130 interrupted (and saved), 70 our mistake.
"""

from __future__ import annotations

import io
import os
import shlex
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any, TextIO

import typer
from typer.main import get_command

from gannet.errors import ExportWarning, GannetError, TrainingWarning

USER_MISTAKE, OUR_MISTAKE, INTERRUPTED = 2, 70, 130


def ended(app: typer.Typer, arguments: Sequence[str] | None) -> int:
    """Run a command line (the process's own by default) to its end; the exit code."""
    with warnings.catch_warnings():
        warnings.showwarning = _plain_warnings(warnings.showwarning)
        return _run(app, arguments)


def _run(app: typer.Typer, arguments: Sequence[str] | None) -> int:
    for stream in (sys.stdout, sys.stderr):
        _never_fail_to_encode(stream)
    given = sys.argv[1:] if arguments is None else list(arguments)
    line = shlex.join(["gannet", *given])
    try:
        code = get_command(app).main(given, prog_name="gannet", standalone_mode=False, obj=line)
        sys.stdout.flush()
    except GannetError as error:
        return _complain(str(error))
    except typer.TyperException as error:
        return _complain(_usage_mistake(error.format_message(), given))
    except BrokenPipeError:
        # whoever read our output has gone (as in `gannet list | head`); nothing is left to say, not even at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        return _bug(error) if error.filename is None else _complain(f"{error.filename}: {error.strerror}")
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:  # the last line of defence
        return _bug(error)
    return code if isinstance(code, int) else 0


def _complain(message: str) -> int:
    from gannet.console import printable

    print(f"error: {printable(' '.join(message.split()))}", file=sys.stderr)
    return USER_MISTAKE


def _bug(error: Exception) -> int:
    sys.excepthook(type(error), error, error.__traceback__)
    print("error: this is a mistake in Gannet, not yours; please report it with the lines above", file=sys.stderr)
    return OUR_MISTAKE


def _usage_mistake(message: str, given: Sequence[str]) -> str:
    """Typer's message in the style of ours, with where to read on."""
    verb = next((word for word in given if not word.startswith("-")), "VERB")
    return f"{message[:1].lower()}{message[1:].rstrip('.')}; see gannet {verb} --help"


def _never_fail_to_encode(stream: TextIO) -> None:
    """A terminal that lacks a letter of a file's name shows `?` in its place."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="replace")


def _plain_warnings(default: Callable[..., None]) -> Callable[..., None]:
    """Trouble in training and in what is written as one line; other warnings as Python shows them."""

    def showwarning(message: Warning | str, category: type[Warning], *rest: Any) -> None:
        if issubclass(category, TrainingWarning | ExportWarning):
            print(f"warning: {message}", file=sys.stderr)
        else:
            default(message, category, *rest)

    return showwarning
