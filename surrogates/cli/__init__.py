"""The command line, ``archcast``: one file a subcommand, every failure one line on stderr."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence

__all__ = ["main"]

#: Everything asked for was answered.
OK = 0
#: Something asked for failed; whatever else was asked for was still answered.
FAILED = 2
#: Stopped by Ctrl-C, as the shell counts it (128 + SIGINT).
INTERRUPTED = 130
#: The reader of our output went away (128 + SIGPIPE).
PIPE_CLOSED = 141


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: the arguments after the program's name; None takes those of the process.

    Returns:
        The exit code: 0, 2 if anything failed, 130 on Ctrl-C.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):  # a file's name may be no text at all
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = _run(argv)
        sys.stdout.flush()
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BrokenPipeError:
        # Python flushes stdout once more at exit; give it a place where that succeeds.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except SystemExit as error:  # typer's own way out when a pipe is closed
        if not isinstance(error.__context__, BrokenPipeError):
            raise
        return PIPE_CLOSED
    except Exception as error:  # the last line of defence: no traceback ever reaches a user
        code = _report_last(error)
    if code == INTERRUPTED:
        sys.stderr.write("archcast: interrupted\n")
    return code


def _run(argv: Sequence[str] | None) -> int:
    # Imported here, inside the guard: even Ctrl-C during start-up is then one line.
    from archcast.cli._app import app

    try:
        code = app(args=argv, prog_name="archcast", standalone_mode=False)
    except Exception as error:
        usage = getattr(error, "format_message", None)  # click's errors, vendored by typer or not
        if usage is None:
            raise
        return _report_usage(error, usage())
    return code if isinstance(code, int) else OK


def _report_usage(error: Exception, message: str) -> int:
    line = " ".join(message.split())
    if line:  # without one, the command was called bare and typer has shown its help
        context = getattr(error, "ctx", None)
        command = context.command_path if context is not None else "archcast"
        sys.stderr.write(f"archcast: {line} (see '{command} --help')\n")
    return FAILED


def _report_last(error: Exception) -> int:
    from archcast.cli._report import one_line

    sys.stderr.write(f"archcast: {one_line(error)}\n")
    return FAILED
