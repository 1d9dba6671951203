"""The command: what is served, to whom, and within what limits."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imrestore.expansion import with_decoding_options, with_options
from imrestore.options import complete
from imrestore.output import say

if TYPE_CHECKING:
    from imrestore.serve.tasks import ServedTask

__all__ = ["serve"]

_MISSING = "the service needs more packages: pip install 'imrestore[serve]'"
_SERVED = ("denoise", "dark-enhance", "anomaly")


@with_decoding_options
@with_options
def serve(
    *,
    host: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help="Address to listen on. All but those of this machine alone, such as 0.0.0.0, need "
            "--token.",
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int,
        typer.Option(metavar="N", min=0, max=65535, help="Port to listen on; 0 takes a free one."),
    ] = 8000,
    token: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help="What requests must bear: Authorization: Bearer TEXT. Others on this machine see "
            "the options of a command; the variable IMRESTORE_TOKEN they do not.",
            show_default=False,
            hide_input=True,
        ),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME|FILE",
            help="Weights, as in the commands; may be given once for each task. Parts are "
            "inspected only if weights for that are given.",
            show_default="those of the commands",
        ),
    ] = None,
    device: Annotated[
        str,
        typer.Option(
            metavar="auto|cpu|cuda[:N|:all]|mps",
            help="Where the networks run; auto takes a GPU if there is one, cuda:all all of them.",
            autocompletion=complete("auto", "cpu", "cuda", "cuda:all", "mps"),
        ),
    ] = "auto",
    precision: Annotated[
        str,
        typer.Option(
            metavar="auto|fp32|fp16|bf16",
            help="Number format of the networks; see the commands.",
            autocompletion=complete("auto", "fp32", "fp16", "bf16"),
        ),
    ] = "auto",
    tile: Annotated[
        str, typer.Option(metavar="auto|N", help="Side of the tiles in pixels; see the commands.")
    ] = "auto",
    queue: Annotated[
        int,
        typer.Option(
            metavar="N", min=0, max=10_000,
            help="How many pictures may wait; further requests are answered with 429.",
        ),
    ] = 32,
    max_upload: Annotated[
        int,
        typer.Option(
            metavar="MB", min=1, max=100_000,
            help="Largest body of a request, in megabytes; larger ones are answered with 413.",
        ),
    ] = 256,
    max_held: Annotated[
        int,
        typer.Option(
            metavar="MB", min=1, max=1_000_000,
            help="Most bytes of uploads and answers that are held at once, for all clients, in "
            "megabytes; requests beyond it are answered with 429.",
        ),
    ] = 1024,
    timeout: Annotated[
        float,
        typer.Option(
            metavar="SECONDS", min=0.1, max=3600,
            help="How long a client may hold the service up: to send a request, or to take an "
            "answer, beside 16 kB a second.",
        ),
    ] = 30.0,
    drain: Annotated[
        float,
        typer.Option(
            metavar="SECONDS", min=0, max=86_400,
            help="How long pictures that were begun may take after SIGTERM or Ctrl-C.",
        ),
    ] = 60.0,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Print errors only.")] = False,
    verbose: Annotated[
        bool, typer.Option("-v", "--verbose", help="Print a line about every request.")
    ] = False,
) -> None:  # fmt: skip
    """Serve the networks over HTTP, and a page to try them on.

    POST a picture to /denoise, or a RAW file to /dark-enhance, as the body or in a form: the answer
    is the result, the same bytes as the command writes. The query has the options of the command:
    /denoise?strength=0.7&format=png. POST /anomaly answers with a verdict as JSON. /openapi.json
    describes all of it, /metrics is for Prometheus, / is the page. Errors are JSON.

    Exit codes: 130 and 143 stopped by a signal, after what was begun is done; 2 wrong usage.

    \b
    Examples:
      imrestore serve
      imrestore serve --model dncnn --model part.safetensors
      IMRESTORE_TOKEN=secret imrestore serve --host 0.0.0.0 --port 80
      curl --data-binary @photo.jpg 'http://127.0.0.1:8000/denoise?strength=0.7' -o clean.jpg
    """  # noqa: D301 (the escape is Typer's mark for lines to be kept)
    from restore.errors import UsageError

    try:
        import prometheus_client  # noqa: F401
        import python_multipart  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise UsageError(_MISSING) from error
    from imrestore.serve.app import Service
    from imrestore.serve.guard import State, is_loopback
    from imrestore.serve.server import Server, listening
    from imrestore.serve.upload import Limits

    token = (token or "").strip()
    if not token and not is_loopback(host):
        raise UsageError(
            f"--host {host}: others can reach it; set IMRESTORE_TOKEN to what requests must bear"
        )
    if max_held < max_upload:
        raise UsageError(
            f"--max-held {max_held}: no upload of --max-upload {max_upload} fits in; give as much "
            "or more"
        )
    with listening(host, port) as socket:
        state = State()
        service = Service(
            tasks=_tasks(model or [], device, precision, tile),
            limits=Limits(
                most_bytes=max_upload * 1_000_000,
                most_held=max_held * 1_000_000,
                grace_s=timeout,
            ),
            waiting=queue,
            token=token,
            state=state,
            told=say if verbose else lambda _: None,
        )
        if not quiet:
            names = ", ".join(task.name for task in service.tasks)
            shown = f"[{host}]" if ":" in host.strip("[]") else host
            say(f"http://{shown}:{socket.getsockname()[1]}/: {names}; Ctrl-C ends")
        server = Server(service.application(), state, timeout_s=timeout, drain_s=drain)
        server.run([socket])


def _tasks(models: list[str], device: str, precision: str, tile: str) -> "list[ServedTask]":
    """Open the networks; each model serves the task that it is for.

    Raises:
        UsageError: two models are for one task, or one is for a task that is not served.
        RestoreError: weights or device are missing.
    """
    from imrestore.denoisers import Networks, is_model_for_raw
    from imrestore.options import NetworkOptions
    from imrestore.serve.tasks import DarkTask, DenoiseTask, InspectionTask
    from restore.anomaly.runner import Detector
    from restore.dark.runner import DarkEnhancer
    from restore.errors import UsageError

    by_task: dict[str, str] = {}
    for model in models:
        task = _command_for(model)
        if task not in _SERVED:
            raise UsageError(f"--model {model}: is for {task}, which is not served")
        if task in by_task:
            raise UsageError(f"--model {by_task[task]} and --model {model} are both for {task}")
        by_task[task] = model
    denoiser, dark = (by_task.get(task, "auto") for task in ("denoise", "dark-enhance"))
    options = NetworkOptions(model=denoiser, device=device, precision=precision, tile=tile)
    tasks: list[ServedTask] = [
        DenoiseTask(Networks(options, is_model_for_raw(denoiser))),
        DarkTask(DarkEnhancer(dark, **options.placement), dark),
    ]
    if "anomaly" in by_task:
        tasks.append(InspectionTask(Detector(by_task["anomaly"], **options.placement)))
    return tasks


def _command_for(model: str) -> str:
    """Return the command that runs weights, or else their task.

    For a shipped family and networks of other projects it is denoise.
    """
    from restore.tasks import TASKS
    from restore.weights.file import is_ours_or_none, read_weight_file, shipped

    is_family = f"{model}-color" in shipped() and not Path(model).is_file()
    if is_family or not is_ours_or_none(model):
        return "denoise"
    task = read_weight_file(model).task
    return {each.name: each.command for each in TASKS}.get(task) or task
