"""The command `tfcaml`: `tfcaml train --help` is `python -m tfcaml.launchers.train --help`."""

import difflib
import runpy
import sys

import tfcaml

COMMANDS = {
    "train": "train a learner and what it is compared with, evaluate both, and draw the results",
    "demonstrate": "have a family's expert demonstrate tasks, to learn from",
    "evaluate": "evaluate a finished run again",
    "film": "film how a trained learner adapts, in families that MuJoCo simulates",
    "reproduce": "run a published study again",
    "benchmark": "measure speed beside plain implementations",
    "export": "save a trained learner as a SavedModel that adapts with TensorFlow alone",
    "personalise": "adapt an exported model to a gymnasium environment",
    "configs": "list the experiments that --config knows by name",
}
_USAGE = "\n".join(
    [
        "usage: tfcaml COMMAND [flags]",
        "",
        *(f"  {name:<12} {what}" for name, what in COMMANDS.items()),
        "",
        "tfcaml COMMAND --help lists the flags of a command; tfcaml --version prints the version.",
    ]
)


def main():
    """Runs a command; exits as it does, and with 2 where there is no such command."""
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in ("--help", "-h", "help"):
        print(_USAGE)
    elif name == "--version":
        print(f"tfcaml {tfcaml.__version__}")
    elif name in COMMANDS:
        del sys.argv[1]
        sys.path.append("")  # the current folder, for a user's own MODULE:CLASS
        # As `python -m` runs it, so that --help lists its flags and worker processes find it.
        runpy.run_module(f"{__package__}.{name}", run_name="__main__", alter_sys=True)
    else:
        near = difflib.get_close_matches(name, COMMANDS, 1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        print(
            f"error: expected a command, one of {', '.join(COMMANDS)}; received {name!r}{hint}",
            file=sys.stderr,
        )
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
