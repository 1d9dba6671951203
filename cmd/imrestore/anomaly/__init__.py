"""`imrestore anomaly`: parts inspected, and detectors calibrated anew."""

from typing import Any

import typer
from typer.core import TyperGroup

from imrestore.anomaly.calibrate import calibrate
from imrestore.anomaly.inspect import anomaly
from imrestore.anomaly.join import join
from imrestore.anomaly.options import ThresholdOptions

__all__ = ["ThresholdOptions", "app"]


_Context: Any = TyperGroup.context_class


class _Below(_Context):  # type: ignore[misc]
    """The context of a command below the inspection, whose name holds none of its arguments."""

    @property
    def command_path(self) -> str:
        """The words that call the command."""
        return f"{self.parent.command_path} {self.info_name}"


class _Inspection(TyperGroup):
    """A group that inspects its arguments where the first is none of its commands."""

    allow_interspersed_args = True

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for command in self.commands.values():
            command.context_class = _Below

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Leave the arguments of a command to it; take all others as those of an inspection."""
        if not args or args[0] not in self.commands:
            return super().parse_args(ctx, args)
        ctx.invoked_subcommand, ctx.args = args[0], args
        return args

    def invoke(self, ctx: Any) -> Any:
        """Run the command, or inspect."""
        if ctx.invoked_subcommand is None:
            return super().invoke(ctx)
        with ctx:
            name, command, rest = self.resolve_command(ctx, ctx.args)
            assert command is not None  # parse_args found it
            with command.make_context(name, rest, parent=ctx) as inner:
                return command.invoke(inner)


app = typer.Typer(
    cls=_Inspection,
    invoke_without_command=True,
    subcommand_metavar="| COMMAND ...",
)
app.callback()(anomaly)
app.command("calibrate")(calibrate)
app.command("join")(join)
