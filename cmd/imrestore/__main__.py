"""The entry of `imrestore` and of `python -m imrestore`."""

import os
import sys
from functools import cache
from typing import Any

from imrestore.exits import (
    ExitCode,
    Stopped,
    end_on_signals,
    leave_at_once,
    raise_if_stopped,
    raise_on_signals,
)
from imrestore.output import log, print_tracebacks, say, say_bug, say_warnings
from imrestore.streams import keep_libraries_off, open_streams, show_libraries


def main() -> None:
    """Run the command line of this process and exit."""
    _leave_out_the_converter()
    open_streams()
    arguments = sys.argv[1:]
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    keep_libraries_off()
    raise_on_signals()
    say_warnings()
    if "--debug" in options:
        print_tracebacks()
        show_libraries()
    kept = [argument for argument in options if argument != "--debug"]
    try:
        code = run([*kept, *arguments[len(options) :]])
        sys.stdout.flush()
    except Stopped as stopped:
        leave_at_once(stopped.exit_code)
    except BrokenPipeError:
        # What is still buffered would raise again when the interpreter flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        leave_at_once(ExitCode.CLOSED_PIPE)
    except OSError as error:
        log.debug("", exc_info=error)
        say(f"{error.filename or 'standard output'}: {error.strerror or error}")
        leave_at_once(ExitCode.SOME_FAILED)
    end_on_signals()
    sys.exit(code)


def _leave_out_the_converter() -> None:
    """Have OpenVINO imported without its converter of models.

    It is not needed, takes as long to import as all the rest of OpenVINO, and brings along what
    reports to its makers over the network. Other programs that import ``restore`` keep it.
    """
    modules: dict[str, Any] = sys.modules
    modules["openvino.tools.ovc"] = None


def _with_resume_auto(arguments: list[str]) -> list[str]:
    """Write ``--resume auto`` as the flag that it is; Typer has no options with optional values."""
    written: list[str] = []
    for place, argument in enumerate(arguments):
        if argument == "--":
            return [*written, *arguments[place:]]
        if argument == "--resume=auto" or (argument == "auto" and written[-1:] == ["--resume"]):
            if argument == "auto":
                written.pop()
            written.append("--resume-auto")
        else:
            written.append(argument)
    return written


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit code.

    Raises:
        Stopped: a signal came.
        BrokenPipeError: nobody reads standard output any more.
        OSError: standard output cannot be written, or the like.
    """
    import typer

    from restore.errors import InputError, RestoreError

    # Typer and click, from which it grew, have their errors in different places.
    command_line_error: type[Exception] = typer.BadParameter.__mro__[2]
    try:
        code = _command().main(
            _with_resume_auto(arguments) or ["--help"],
            prog_name="imrestore",
            standalone_mode=False,
        )
        return code if isinstance(code, int) else ExitCode.DONE
    except command_line_error as error:
        _explain(error)
        return ExitCode.USAGE
    except typer.Abort as abort:
        # Typer takes the end of any file for that of its questions, which are never asked here.
        log.debug("", exc_info=abort)
        say_bug(abort.__cause__ if isinstance(abort.__cause__, Exception) else abort)
        return ExitCode.BUG
    except RestoreError as error:
        raise_if_stopped(error)
        log.debug("", exc_info=error)
        say(str(error))
        return ExitCode.SOME_FAILED if isinstance(error, InputError) else ExitCode.USAGE
    except SystemExit as error:  # so Typer answers to a closed pipe, and where a shell completes
        if isinstance(error.__context__, OSError):
            raise BrokenPipeError from error
        return error.code if isinstance(error.code, int) else ExitCode.DONE
    except OSError:
        raise
    except Exception as error:
        raise_if_stopped(error)
        log.debug("", exc_info=error)
        say_bug(error)
        return ExitCode.BUG


@cache
def _command() -> Any:
    """Return the command of all commands; to build it takes longer than to parse a line."""
    import typer

    from imrestore.app import app

    return typer.main.get_command(app)


def _explain(error: Exception) -> None:
    """Say on one line what is wrong with a command line, and where its help is."""
    if type(error).__name__ == "NoArgsIsHelpError":
        print(error, file=sys.stderr)
        return
    from imrestore.configuration import chosen_defaults

    message = error.format_message() if hasattr(error, "format_message") else str(error)
    context, parameter = getattr(error, "ctx", None), getattr(error, "param", None)
    if context and parameter and parameter.name in (defaults := chosen_defaults(context)):
        message = f"{defaults[parameter.name].origin}: {message}"
    hint = f" (see {context.command_path} --help)" if context else ""
    say(f"{message}{hint}")


if __name__ == "__main__":
    main()
