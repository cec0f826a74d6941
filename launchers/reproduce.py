"""Re-runs a paper's table or figure.

    tfcaml reproduce --study=caml_figure2 --out_dir=runs/figure2 --seeds=5

Writes results.json, results.md and PNGs.
"""

import functools
import inspect
import pathlib

from absl import flags

from tfcaml import figures, settings
from tfcaml.errors import ConfigError, check, check_one_of
from tfcaml.experiments import run_directory

from . import _app
from .studies import STUDIES

_STUDY = flags.DEFINE_string("study", None, "One of " + ", ".join(STUDIES) + ".")
_OUT_DIR = flags.DEFINE_string("out_dir", None, "Directory of the results.")
_SEEDS = flags.DEFINE_integer("seeds", 5, "Number of seeds.")
_QUICK = flags.DEFINE_bool("quick", False, "Tiny sizes: checks the program, shows nothing.")
_app.define_workers()
flags.mark_flags_as_required(["study", "out_dir"])


def main(_):
    check_one_of("study", _STUDY.value, tuple(STUDIES))
    most = settings.MOST_SEEDS
    check(1 <= _SEEDS.value <= most, "seeds", _SEEDS.value, f"1 to {most}")
    out = pathlib.Path(_OUT_DIR.value)
    run_directory.check_writable(out, "out_dir")
    study = STUDIES[_STUDY.value]
    rule = f"left out: the study {_STUDY.value} has no jobs of a method and a seed"
    trains = "train" in inspect.signature(study).parameters
    check(trains or flags.FLAGS.workers is None, "workers", flags.FLAGS.workers, rule)
    with _app.workers() as workers:
        _begin(out)
        given = {} if workers is None else {"train": functools.partial(_train, workers=workers)}
        results, text, pictures = study(tuple(range(_SEEDS.value)), out, _QUICK.value, **given)
    command = f"tfcaml reproduce --study={_STUDY.value} --out_dir=DIR --seeds={_SEEDS.value}"
    command += " --quick" if _QUICK.value else ""
    if _SEEDS.value == 1:
        text += "\nOf one seed there are no intervals over seeds.\n"
    if _QUICK.value:
        text += "\n**These sizes only check the program: the numbers above mean nothing.**\n"
    results = {"study": _STUDY.value, "command": command, **results}
    run_directory.write_json(out / "results.json", results)
    run_directory.write_text(out / "results.md", f"{text}\nMade by `{command}`.\n")
    for name, figure in pictures.items():
        figures.save(figure, out / f"{name}.png")
        print(f"figure       {out / f'{name}.png'}")
    print(f"results      {out / 'results.json'}\n")
    print(text)
    return 0


def _train(experiment, workers):
    """Trains an experiment of a study by Ray workers; `KeyboardInterrupt` where it is stopped."""
    with _app.stop_signal() as experiment.should_stop:
        if not experiment.train(workers=workers):
            raise KeyboardInterrupt


def _begin(out):
    """Notes in a directory which study it is of, and refuses the directory of another one."""
    asked = {"study": _STUDY.value, "quick": _QUICK.value}
    path = out / "study.json"
    if path.exists():
        found = run_directory.read_json(path)
        if found != asked:
            quick = " run with --quick" if found.get("quick") else ""
            raise ConfigError(
                f"expected out_dir to be new or of this study; received out_dir={str(out)!r}, "
                f"which holds the study {found.get('study')}{quick}"
            )
    out.mkdir(parents=True, exist_ok=True)
    run_directory.write_json(path, asked)


if __name__ == "__main__":
    _app.run(main)
