"""Personalised insulin dosing: learned policies and controllers on patients never seen before.

Trains `configs/glucose/cohort.py` in a run directory of the study, so that it goes on where it
stopped. Every learner then gets ten days with each held-out patient, trials included, and all
methods are measured on the same further days. Research use only, not for dosing decisions.
"""

import numpy as np
from tfcaml.configs.glucose import cohort as glucose_cohort

from tfcaml import keys, statistics
from tfcaml.environments import glucose
from tfcaml.environments.glucose import controllers
from tfcaml.environments.glucose.figures import ambulatory_glucose_profile
from tfcaml.environments.glucose.patients import COHORTS, names_of
from tfcaml.experiments.experiment import Experiment
from tfcaml.reporting import report

from ..runs import interval, shrink

ADAPTATION_DAYS = 10
CONTROLLERS = {
    "constant basal": controllers.constant_basal,
    "PID": controllers.pid(),
    "basal-bolus": controllers.basal_bolus,
}
_PROFILES = ("constant basal", "basal-bolus", "joint", "caml")
_COLUMNS = {  # of a table: measure -> (title, factor, digits)
    "time_in_range": ("70-180, %", 100, 1),
    "time_below_70": ("< 70, %", 100, 2),
    "time_below_54": ("< 54, %", 100, 2),
    "time_above_180": ("> 180, %", 100, 1),
    "time_above_250": ("> 250, %", 100, 1),
    "low_risk": ("LBGI", 1, 2),
    "high_risk": ("HBGI", 1, 2),
}
_PAIRED = ("time_in_range", "time_below_54")  # measures whose differences are taken
_ADAPTATION, _MEASURED = 0x61, 0x62  # salts of the days learned from, and of those measured


def run(study_seeds, out_dir, quick=False, train=Experiment.train):
    """Runs the study; see `launchers.reproduce`."""
    content = glucose_cohort.get_config().to_dict()
    if quick:
        shrink(content, ["joint"])
        content["environment"] |= {"interval": 720, "sensor_interval": 180}
    content["num_seeds"] = len(study_seeds)
    jit_compile = False if quick else None
    root = out_dir / "runs" / "glucose_cohort"
    experiment = Experiment.create(root, content, study_seeds[0], jit_compile)
    train(experiment)
    learned = tuple(experiment.config.learners)
    readings = {name: _learned(experiment, name) for name in learned}
    readings |= {name: _controlled(experiment, act) for name, act in CONTROLLERS.items()}
    found = {name: glucose.measures(days) for name, days in readings.items()}
    patients = _patients(experiment, found)
    results = {
        "seeds": list(study_seeds),
        "config": "glucose/cohort",
        "settings": content,
        "adaptation_days": ADAPTATION_DAYS,
        "methods": {name: _summary(found[name]) for name in found},
        "cohorts": _cohorts(experiment, found),
        "paired": {f"caml - {name}": _paired(found, name) for name in found if name != "caml"},
        "patients": patients,
        "paired_patients": paired_patients(patients),
        "training_days": {
            name: experiment.environment_steps(name) // experiment.environment.horizon
            for name in learned
        },
    }
    profiles = {name: readings[name].reshape(-1, readings[name].shape[-1]) for name in _PROFILES}
    title = "Held-out patients after ten days of adaptation"
    pictures = {"profiles": ambulatory_glucose_profile(profiles, title)}
    return results, _text(results), pictures


def _learned(experiment, method):
    """Readings of held-out patients after adaptation: [S, Q, E, M] mg/dL."""
    rows = []
    for seed in experiment.config.seeds:
        learner = experiment.trained(method, seed)
        task = experiment.population(seed).test
        days = experiment.config.episodes
        key = keys.fold(keys.from_int(seed), _ADAPTATION)
        fast, _ = learner.choose_start(learner.meta.read(), task, keys.fold(key, 0))
        if method != "matched":  # it has lived with the patient already
            left = ADAPTATION_DAYS - learner.trial_episodes
            for update in range(left // learner.test_episodes):
                fast = learner.adapt_to(fast, task, keys.fold(key, 1, update, 1))
        trajectory = learner.measure(fast, task, days, _measured(seed))
        rows.append(experiment.environment.readings(trajectory).numpy())
    return np.stack(rows)


def _controlled(experiment, controller):
    """Readings of the same patients on the same days under a controller: [S, Q, E, M]."""
    rows = []
    for seed in experiment.config.seeds:
        task, days = experiment.population(seed).test, experiment.config.episodes
        played = controllers.play(experiment.environment, controller, task, days, _measured(seed))
        rows.append(played.readings.numpy())
    return np.stack(rows)


def _measured(seed):
    """The random key of the days that are measured."""
    return keys.fold(keys.from_int(seed), _MEASURED, 0)


def _summary(found):
    """Each measure [S, Q, E] with its interval over seeds."""
    return {name: _row(statistics.mean(found[name].mean(-1))) for name in _COLUMNS}


def _paired(found, other):
    """CAML less another, paired over seeds."""
    rows = {}
    for name in _PAIRED:
        result = statistics.paired(found["caml"][name].mean(-1), found[other][name].mean(-1))
        rows[name] = report.paired_row(result)
    return rows


def paired_patients(rows):
    """CAML less every other method over patients, who count once each however often held out.

    Args:
      rows: list of dict(seed, patient, methods), methods: dict name -> [time in range, time below
        54 mg/dL], as fractions; as many rows of each seed.

    Returns:
      dict "caml - other" -> dict measure -> dict(value, lower, upper, patients_won, num_patients,
      p_value), in fractions, see `statistics.paired_entities`.
    """
    by_seed = {}
    for row in rows:
        by_seed.setdefault(row["seed"], []).append(row)
    names = [[row["patient"] for row in held_out] for held_out in by_seed.values()]
    values = {
        method: np.array([[row["methods"][method] for row in rows] for rows in by_seed.values()])
        for method in rows[0]["methods"]
    }
    return {
        f"caml - {other}": {
            measure: _patients_row(
                statistics.paired_entities(values["caml"][..., i], values[other][..., i], names)
            )
            for i, measure in enumerate(_PAIRED)
        }
        for other in values
        if other != "caml"
    }


def _patients_row(result):
    p_value = None if np.isnan(result.p_value) else round(result.p_value, 6)
    counts = {"patients_won": result.entities_won, "num_patients": result.num_entities}
    return _row(result.difference) | counts | {"p_value": p_value}


def _row(value):
    return {key: None if np.isnan(x) else round(x, 4) for key, x in value._asdict().items()}


def _patients(experiment, found):
    """One row per seed and held-out patient: time in range and below 54 mg/dL by method."""
    rows = []
    for s, seed in enumerate(experiment.config.seeds):
        population = experiment.population(seed)
        for q, name in enumerate(names_of(population.test)):
            methods = {}
            for method, measured in found.items():
                inside, below = measured["time_in_range"][s, q], measured["time_below_54"][s, q]
                methods[method] = [round(float(inside.mean()), 4), round(float(below.mean()), 4)]
            rows.append({"seed": seed, "patient": name, "methods": methods})
    return rows


def _cohorts(experiment, found):
    """Mean time in range and below 54 mg/dL of each cohort's held-out patients, by method."""
    groups = np.stack([experiment.population(s).test_group for s in experiment.config.seeds])
    return {
        cohort: {
            method: [
                round(float(measured[name].mean(-1)[groups == index].mean()), 4)
                for name in ("time_in_range", "time_below_54", "low_risk", "high_risk")
            ]
            for method, measured in found.items()
        }
        for index, cohort in enumerate(COHORTS)
        if (groups == index).any()
    }


def _text(results):
    lines = [
        f"{glucose.Glucose.notice} Held-out patients after {results['adaptation_days']} days of "
        f"adaptation [95 % interval over {len(results['seeds'])} seeds, which are splits of one "
        "cohort]; the controllers know the "
        "patient's own basal rate, carbohydrate ratio and correction factor, `matched` was trained "
        "on the patient.",
        "",
        "| method | " + " | ".join(title for title, _, _ in _COLUMNS.values()) + " | training |",
        "|---" * (len(_COLUMNS) + 2) + "|",
    ]
    for method, row in results["methods"].items():
        cells = [
            interval(_scaled(row[name], factor), digits)
            for name, (_, factor, digits) in _COLUMNS.items()
        ]
        days = results["training_days"].get(method)
        lines.append(f"| {method} | {' | '.join(cells)} | {f'{days:,} days' if days else '-'} |")
    lines += [
        "",
        "Differences in points of %, paired over seeds (seeds won). Seeds are splits of one cohort "
        "of 30 patients, many of whom are held out by several seeds: these intervals are of other "
        "splits and learners on these patients.",
        "",
    ]
    lines += _difference_rows(results["paired"], "seeds")
    patients = next(iter(results["paired_patients"].values()))["time_in_range"]["num_patients"]
    lines += [
        "",
        f"The same over the {patients} distinct patients who were held out, each by the mean over "
        "the seeds that held the patient out (patients with more time there under CAML): these "
        "intervals are of other patients and other learners.",
        "",
    ]
    lines += _difference_rows(results["paired_patients"], "patients")
    lines += ["", "By cohort: time in range, % / time below 54, % / LBGI / HBGI.", ""]
    lines += _cohort_rows(results)
    lines += ["", *_patient_rows(results)]
    return "\n".join(lines) + "\n"


def _difference_rows(paired, units):
    """Table of differences by pair. units: "seeds" or "patients", which are counted."""
    every = [row[measure] for row in paired.values() for measure in _PAIRED]
    marks = iter(report.surviving(every))
    lines = ["| | 70-180 | < 54 |", "|---|---|---|"]
    for pair, row in paired.items():
        cells = [
            f"{interval(_scaled(row[measure], 100), digits)} "
            f"({row[measure][f'{units}_won']}/{row[measure][f'num_{units}']}){next(marks)}"
            for measure, digits in zip(_PAIRED, (1, 2))
        ]
        lines.append(f"| {pair} | {' | '.join(cells)} |")
    note = report.many_comparisons(every)
    return [*lines, "", note] if note else lines


def _cohort_rows(results):
    methods = list(results["methods"])
    lines = ["| cohort | " + " | ".join(methods) + " |", "|---" * (len(methods) + 1) + "|"]
    for cohort, row in results["cohorts"].items():
        cells = [
            f"{100 * row[m][0]:.0f} / {100 * row[m][1]:.1f} / {row[m][2]:.1f} / {row[m][3]:.1f}"
            for m in methods
        ]
        lines.append(f"| {cohort} | {' | '.join(cells)} |")
    return lines


def _patient_rows(results):
    """Every patient, with a mark where a learned policy is less safe than basal-bolus."""
    methods = list(results["methods"])
    learned = list(results["training_days"])
    rows = []
    for row in results["patients"]:
        cells = []
        for method in methods:
            inside, below = row["methods"][method]
            worse = method in learned and below > row["methods"]["basal-bolus"][1]
            cells.append(f"{100 * inside:.0f} / {100 * below:.1f}{' (!)' if worse else ''}")
        rows.append(f"| {row['seed']} | {row['patient']} | {' | '.join(cells)} |")
    counts = ", ".join(
        f"{method} on {less_safe(results['patients'], method)}" for method in learned
    )
    distinct = len({row["patient"] for row in results["patients"]})
    return [
        f"Every held-out patient: time in range, % / time below 54, %. (!): less safe than "
        f"basal-bolus, below 54 mg/dL for longer. Of {distinct} distinct patients, by their means "
        f"over seeds, less safe: {counts}.",
        "",
        "| seed | patient | " + " | ".join(methods) + " |",
        "|---" * (len(methods) + 2) + "|",
        *rows,
    ]


def less_safe(rows, method, than="basal-bolus"):
    """On how many patients a method is below 54 mg/dL for longer than another, by means over seeds.

    Args:
      rows: as of `paired_patients`.
      method, than: names of methods.
    """
    more = {}
    for row in rows:
        below, other = row["methods"][method][1], row["methods"][than][1]
        more.setdefault(row["patient"], []).append(below - other)
    return sum(np.mean(differences) > 0 for differences in more.values())


def _scaled(row, factor):
    scale = lambda x: None if x is None else factor * x
    return {key: scale(row[key]) for key in ("value", "lower", "upper")}
