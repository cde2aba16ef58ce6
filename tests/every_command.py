"""Every command of the command line, for tests that walk over all of them."""

from kzoo.cli import main


def every_command(app=main.app, before=""):
    """(what is typed behind `kzoo`, the function behind it) of every command."""
    for one in app.registered_commands:
        yield f"{before}{one.name or one.callback.__name__}", one.callback
    for group in app.registered_groups:
        yield from every_command(group.typer_instance, f"{before}{group.name} ")
