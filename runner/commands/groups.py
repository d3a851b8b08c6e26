"""Commands with commands of their own, and what is said of one that there is not."""

from __future__ import annotations

import click


class Group(click.Group):
    """A group that says, of a command that there is not, which one is near."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the first word names. Wrong usage if there is none."""
        if self.get_command(ctx, args[0]) is None:
            not_there(self, ctx, args[0])
        return super().resolve_command(ctx, args)


def not_there(group: click.Group, ctx: click.Context, name: str) -> None:
    """Wrong usage for a name that no command of the group has, unless it is an option, or nobody is to be told."""
    from ..errors import nearest

    if name[:1] == "-" or ctx.resilient_parsing:
        return
    above = ctx.command_path.removeprefix(ctx.find_root().command_path).strip()  # which may be "python -m runner"
    if not above and name.endswith((".yaml", ".yml")):
        ctx.fail(f"There is no command {name}. Write runner run {name}, or check, plan or graph for run.")
    ctx.fail(f"There is no command {f'{above} {name}'.strip()}. {nearest(name, group.list_commands(ctx))}")
