"""How a command line is read: an unknown flag or verb is answered with the nearest one, and help shows what is typed.

`@app.command(cls=Verb)` for each verb, `typer.Typer(cls=Verbs)` for all of them.
"""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from gannet.errors import GannetError, did_you_mean


class Verb(TyperCommand):
    """A verb: answers an unknown flag with the nearest one, and keeps its help to what a person types."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if ctx.resilient_parsing:  # the shell completes a line that is not whole: its values matter to nobody yet
            return []
        self._refuse_unknown_flags(args)
        return super().parse_args(ctx, args)

    def _refuse_unknown_flags(self, args: Sequence[str]) -> None:
        flags = {
            name: not option.is_flag
            for option in self.params
            if isinstance(option, TyperOption)
            for name in (*option.opts, *option.secondary_opts)
        }
        is_value = False
        for text in args:
            if text == "--":
                break
            flag, equals, value = text.partition("=")
            if not is_value and flag.startswith("--") and flag not in {*flags, "--help"}:
                takes_settings = any(parameter.name == "settings" for parameter in self.params)
                raise unknown_flag(flag, value or "VALUE", flags, takes_settings)
            is_value = not is_value and not equals and flags.get(flag, False)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        return ["[FLAGS]", *(self._written(argument) for argument in self._arguments())]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        records = [option.get_help_record(ctx) for option in self.get_params(ctx) if isinstance(option, TyperOption)]
        with formatter.section("Arguments"):
            formatter.write_dl([(self._written(argument), argument.help or "") for argument in self._arguments()])
        with formatter.section("Flags"):
            formatter.write_dl([record for record in records if record is not None])

    def _arguments(self) -> list[TyperArgument]:
        return [parameter for parameter in self.params if isinstance(parameter, TyperArgument)]

    @staticmethod
    def _written(argument: TyperArgument) -> str:
        name = argument.metavar or argument.display_name_raw
        name = name if argument.required else f"[{name}]"
        return name if argument.nargs == 1 else f"{name}..."


class Verbs(TyperGroup):
    """The verbs; answers an unknown one with the nearest, and a source without a verb with the line to type."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        flags = [name for flag in self.get_params(ctx) for name in flag.opts]
        if args and args[0].startswith("--") and args[0] not in flags and not ctx.resilient_parsing:
            raise unknown_flag(args[0], "", flags, takes_settings=False)
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name = args[0]
        if name not in self.commands and not name.startswith("-") and not ctx.resilient_parsing:
            if name.startswith(("toy:", "series:")) or Path(name).exists():
                raise GannetError(f"{name!r} is no verb; to train on it: gannet train {shlex.join(args)}")
            raise GannetError(f"no verb {name!r}; {did_you_mean(name, self.commands)}")
        return super().resolve_command(ctx, args)

    def get_params(self, ctx: Any) -> list[Any]:
        """The flags of `gannet` itself; a bool as default, since reading None would load pydantic (a tenth second)."""
        flags = super().get_params(ctx)
        for flag in flags:
            flag.default = False
        return flags

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        return ["VERB", "..."]


def unknown_flag(flag: str, value: str, known: Iterable[str], takes_settings: bool) -> GannetError:
    """The error for a flag that a verb does not have: a slip, or a setting written as if it were a flag."""
    flags = [name for name in known if name.startswith("--")]
    near = difflib.get_close_matches(flag, flags, n=1, cutoff=0.75)
    if near:
        return GannetError(f"no flag {flag}; did you mean {near[0]!r}?")
    setting = f"; a setting is written {flag[2:].replace('-', '_')}={value}" if takes_settings else ""
    return GannetError(f"no flag {flag}{setting}; flags: {', '.join(flags) or 'none'}")
