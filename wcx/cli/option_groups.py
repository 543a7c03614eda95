"""Options in groups, as the help of a command shows them, each with its default; some texts come from registries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

Text = str | Callable[[], str]


class GroupedOption(click.Option):
    """An option in a group of the help.

    text: the help, or a function that is called when help is shown. usual: the default as the help shows it.
    """

    def __init__(self, *arguments: Any, group: str, text: Text, usual: str, **options: Any) -> None:  # noqa: ANN401
        super().__init__(*arguments, **options)
        self.group = group
        self._text = text
        self._usual = usual

    def get_help_record(self, context: click.Context) -> tuple[str, str] | None:
        """Return the names of the option, and its help with the default."""
        record = super().get_help_record(context)
        text = self._text if isinstance(self._text, str) else self._text()
        return record and (record[0], f"{text}  [default: {self._usual}]" if self._usual else text)


class GroupedCommand(click.Command):
    """A command whose help shows its options group by group, in the order of their first options."""

    def format_options(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the groups, and last the options of click itself."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(context):
            record = parameter.get_help_record(context) if isinstance(parameter, click.Option) else None
            if record is not None:
                groups.setdefault(getattr(parameter, "group", "Help"), []).append(record)
        for group, records in groups.items():
            with formatter.section(group):
                formatter.write_dl(records)


def option(group: str, *names: str, text: Text, usual: str = "", **options: Any) -> Callable[[Any], Any]:  # noqa: ANN401
    """Return a decorator that adds an option; usual: the default where it is not the option's own."""
    default = options.get("default")
    if not usual and default is not None and not isinstance(default, bool):
        usual = str(default)
    return click.option(*names, cls=GroupedOption, group=group, text=text, usual=usual, **options)
