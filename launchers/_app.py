"""What all launchers share: one clear line and an exit code for whatever ends a run early."""

import contextlib
import difflib
import itertools
import os
import re
import runpy
import shlex
import signal
import sys

import tensorflow as tf
from absl import app, flags, logging

from tfcaml.errors import ConfigError, RunError, WriteError, check, writing
from tfcaml.experiments.ray_workers import RayWorkers

from . import _configs

# Exit codes.
BAD_INPUT = 2
STOPPED = 3  # a run was told to stop; the same command goes on with it
CANNOT_WRITE = 4  # the disk is full or can't be written; the same command goes on with the run
FAILED = 5  # an environment or the updates failed too often

_LONGEST = 2000  # characters of an error that are shown
_STOPPED = "Stopped. The same command goes on with what is unfinished."
_KINDS = {int: "a whole number", float: "a number"}

flags.disclaim_key_flags()  # --help lists what is defined here with the flags of a command


def run(main):
    """Runs `main(argv)` as a program; its result is the exit code."""
    logging.set_verbosity(logging.WARNING)
    tf.get_logger().setLevel("ERROR")
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # a path may hold what is no text
    app.run(lambda argv: _main(main, argv), flags_parser=_parse)


def define_plugin():
    """The flag that names modules with learners and environments of the user's own."""
    return flags.DEFINE_multi_string(
        "plugin", [], "Module of a learner or environment of your own in the run; it is imported."
    )


def define_workers():
    """The flags of training by Ray workers; `workers` reads them."""
    flags.DEFINE_integer(
        "workers", None, "Train in so many processes of Ray's; without it, in this process."
    )
    flags.DEFINE_string(
        "ray_address", None, "HOST:PORT of a cluster made by ray start; without it, this machine."
    )
    flags.DEFINE_float(
        "worker_timeout", 900.0, "Seconds without an iteration after which a worker is replaced."
    )


@contextlib.contextmanager
def workers():
    """`RayWorkers` as the flags ask for them, None without --workers. For a `with` block."""
    values = flags.FLAGS
    if values.workers is None:
        for name in ("ray_address", "worker_timeout"):
            rule = "left out, as it acts only with --workers"
            check(not values[name].present, name, values[name].value, rule)
        yield None
        return
    found = RayWorkers(values.workers, values.ray_address, timeout=values.worker_timeout)
    try:
        yield found
        print(found.summary(), file=sys.stderr)
    finally:
        with _without_stops():
            found.close()


@contextlib.contextmanager
def _without_stops():
    """Lets Ctrl-C and SIGTERM do nothing in a `with` block of a few seconds."""
    before = {n: signal.signal(n, signal.SIG_IGN) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def stop_signal():
    """What says whether Ctrl-C or SIGTERM was received in a `with` block; a second one kills.

    With workers it raises `KeyboardInterrupt` instead, so that they and their Ray end, too: this
    process waits for them, and does nothing that could keep it from noticing.
    """
    received = []

    def receive(number, frame):
        received.append(number)
        signal.signal(number, signal.default_int_handler if _by_workers() else signal.SIG_DFL)

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, receive)
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def command_line(name):
    """The command that runs this launcher with these flags again, as lines of a shell."""
    return f"cd {shlex.quote(os.getcwd())}\n{shlex.join(['tfcaml', name, *sys.argv[1:]])}"


def print_paths(directory, paths, notice):
    """Where the results are, and what everybody has to be told of them (see `TaskFamily`)."""
    print(f"results      {directory.evaluation / 'evaluation.json'}")
    for path in paths:
        print(f"figure       {path}")
    print(f"report       {directory.root / 'report.html'}")
    print(f"TensorBoard  tensorboard --logdir {shlex.quote(str(directory.root))}")
    if notice:
        print(notice)


def _main(main, argv):
    if len(argv) > 1:
        _fail(f"expected flags only; received {argv[1]!r}")
    if not _by_workers():
        signal.signal(signal.SIGINT, _stop_at_once)
    try:
        with writing():
            return main(argv)
    except ConfigError as error:
        return _fail(str(error))
    except WriteError as error:
        return _fail(str(error), CANNOT_WRITE)
    except RunError as error:
        return _fail(str(error), FAILED)
    except KeyboardInterrupt:
        return _end(_STOPPED, STOPPED)
    except BrokenPipeError:  # whoever read what is printed has enough of it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _by_workers():
    """Whether Ray workers train, which have to be ended before this process."""
    return "workers" in flags.FLAGS and flags.FLAGS.workers is not None


def _stop_at_once(number, frame):
    """Ends the process, of which every file is whole at any time.

    A `KeyboardInterrupt` raised amid TensorFlow or Keras is lost there now and then, or comes out
    as another error.
    """
    with contextlib.suppress(RuntimeError):  # this came amid a write to that stream
        sys.stdout.flush()
    os.write(sys.stderr.fileno(), f"{_STOPPED}\n".encode())
    os._exit(STOPPED)


def _parse(argv):
    try:
        argv = _with_config_paths(argv)
    except ValueError as error:
        _fail(str(error))
    try:
        return flags.FLAGS(argv)
    except SystemExit:  # what absl ends with, as if it had failed, after it has listed the flags
        sys.exit(0)
    except flags.Error as error:
        line = _missing_flag(argv, str(error)) or _no_number(str(error))
        return _fail(line or _wrong_field(argv) or str(error))
    except Exception as error:  # whatever a flag's value brought about is the user's to mend
        return _fail(_wrong_field(argv) or f"{type(error).__name__}: {error}")


def _missing_flag(argv, message):
    """A line for a required flag that is not given, or None."""
    match = re.match(r"flag --(\w+)=None: ", message)
    if not match:
        return None
    values = re.compile("-[^=]*")  # what stands behind such a flag is its value
    stray = [
        argument
        for before, argument in itertools.pairwise(argv)
        if not argument.startswith("-") and not values.fullmatch(before)
    ]
    received = f"received {stray[0]!r}, which is no flag" if stray else "it is not given"
    return f"expected the flag --{match[1]}=VALUE; {received}"


def _no_number(message):
    """A line for a flag that is not the number it has to be, or None."""
    match = re.match(
        r"flag --(\w+)=(.*): (?:invalid literal|could not convert)", message, re.DOTALL
    )
    if not match:
        return None
    kind = {"int": "a whole number", "float": "a number"}[flags.FLAGS[match[1]].flag_type()]
    return f"expected the flag --{match[1]} to be {kind}; received {match[2]!r}"


def _wrong_field(argv):
    """A line that names the override that a config can't take, and what it can; or None.

    Also of a config file that has no config.
    """
    path, argument = _config_path(argv)
    if path is None:
        return None
    try:
        config = runpy.run_path(path)["get_config"](*argument)
    except Exception as error:
        what = f"{type(error).__name__}: {error}"
        return (
            f"expected --config to be a file with get_config(); received --config={path!r}: {what}"
        )
    for argument in argv:
        match = re.match(r"--?config\.([\w.]+)(?:=(.*))?", argument, re.DOTALL)
        if not match:
            continue
        section, known = config, ""
        for name in match[1].split("."):
            if not hasattr(section, "keys") or name not in section:
                fields = sorted(section) if hasattr(section, "keys") else []
                near = difflib.get_close_matches(name, fields, 1)
                hint = f" (did you mean {near[0]}?)" if near else ""
                return (
                    f"unknown config field {match[1]!r}{hint}; "
                    f"allowed in config{known} are {', '.join(fields) or 'no further fields'}"
                )
            section, known = section[name], f"{known}.{name}"
        if hasattr(section, "keys"):
            field = "name" if "name" in section else next(iter(section), "FIELD")
            return (
                f"expected config{known} to be changed field by field, as by "
                f"--config{known}.{field}=VALUE; received {argument!r}"
            )
        if match[2] is not None and not _is_like(match[2], section):
            kind = _KINDS[type(section)]
            return f"expected config{known} to be {kind}, such as {section}; received {match[2]!r}"
    return None


def _is_like(text, default):
    """Whether a flag's text can be of the type of a field's default."""
    if type(default) not in _KINDS:
        return True
    try:
        type(default)(text)
    except ValueError:
        return False
    return True


def _with_config_paths(argv):
    """The arguments with the name of a shipped config replaced by its file."""
    argv = list(argv)
    for i, argument in enumerate(argv):
        if re.fullmatch("--?config", argument) and i + 1 < len(argv):
            argv[i : i + 2] = [f"{argument}={argv[i + 1]}"]
    return [_with_config_path(argument) for argument in argv]


def _with_config_path(argument):
    match = re.fullmatch("(--?config=)([^:]+)(.*)", argument, re.DOTALL)
    return f"{match[1]}{_configs.path_of(match[2])}{match[3]}" if match else argument


def _config_path(argv):
    """The file of --config=FILE or --config=FILE:ARGUMENT, and () or (ARGUMENT,)."""
    matches = [re.match(r"--?config=(.+)", argument) for argument in argv]
    given = next((match[1] for match in matches if match), None)
    if given is None:
        return None, ()
    path, colon, argument = given.partition(":")
    return path, (argument,) if colon else ()


def _fail(message, code=BAD_INPUT):
    message = " ".join(message.split())
    if len(message) > _LONGEST:
        message = f"{message[:_LONGEST]} ..."
    _end(f"error: {message}", code)


def _end(message, code):
    print(message, file=sys.stderr)
    sys.stderr.flush()
    sys.stdout.flush()
    os._exit(code)  # absl would add its own usage text and code
