"""Flags of `redraft server`, made from the settings: same names, same order, grouped as in the docs."""

from __future__ import annotations

import click

from redraft.base.config import SETTINGS
from redraft.base.setting import Setting


class SectionedCommand(click.Command):
    """A command whose help shows its settings under the sections they belong to."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options that are no settings first, then a list for each section."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                section = parameter.section if isinstance(parameter, SettingOption) else "Options"
                sections.setdefault(section, []).append(record)
        for section in sorted(sections, key="Options".__ne__):
            with formatter.section(section):
                formatter.write_dl(sections[section])


class SettingOption(click.Option):
    """The flag of one setting: text as given, to be read by the setting itself."""

    def __init__(self, setting: Setting) -> None:
        shown = setting.show(setting.default)
        super().__init__(
            [setting.flag],
            metavar=_metavar(setting),
            help=setting.doc.replace("`", "") + (f"  [default: {shown}]" if shown not in ("", "0") else ""),
        )
        self.section = setting.section


def setting_flags() -> list[click.Parameter]:
    """Return a flag for every setting but the secret ones, which others could read in a process list."""
    return [SettingOption(each) for each in SETTINGS if not each.secret]


def _metavar(setting: Setting) -> str:
    return "|".join(setting.choices) if setting.choices else setting.kind.placeholder
