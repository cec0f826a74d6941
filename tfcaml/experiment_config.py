"""What an experiment is of: a config file's content, checked before any work."""

import dataclasses
import inspect
import re
from typing import Any

from tfcaml import agents, nest, settings
from tfcaml.divergence_monitor import DivergenceMonitorConfig, check_can_be_followed
from tfcaml.environments import ENVIRONMENTS
from tfcaml.environments.base import check_held_out
from tfcaml.errors import check, check_acts, check_one_of, within
from tfcaml.learners import LEARNERS
from tfcaml.policies import ACTIVATIONS, mlp_policy

NO_AGENT = "none"  # of a config: learners keep their own losses
_DEFAULTS = {  # of fields that configs of earlier versions lack
    "agent": NO_AGENT,
    "log_interval": 1,
    "divergence_interval": 0,
    "divergence": {
        field.name: field.default
        for field in dataclasses.fields(DivergenceMonitorConfig)
        if field.name != "interval"
    },
}
# Of `mlp_policy`: what a policy without hidden layers, which has none, is written with.
_ACTIVATION = inspect.signature(mlp_policy).parameters["activation"].default
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")  # of a method: it names a directory


@dataclasses.dataclass(frozen=True)
class _Run:
    """config.json of a run directory."""

    config: dict
    seed: Any  # checked apart: it may be any of int32
    jit_compile: Any  # True, False or None


@dataclasses.dataclass(frozen=True)
class _Content:
    """A config file, see `configs.base`."""

    environment: dict
    policy: dict
    agent: str
    learner: dict
    baselines: dict
    num_seeds: int
    evaluation: dict
    save_interval: int
    log_interval: int
    divergence_interval: int
    divergence: dict


@dataclasses.dataclass(frozen=True)
class _Policy:
    """Arguments of `mlp_policy`."""

    fc_layer_params: tuple
    activation: str


@dataclasses.dataclass(frozen=True)
class _Evaluation:
    """How much is measured."""

    num_tasks: int
    num_updates: int
    episodes: int


def completed(run):
    """What a run is of, with the fields that were added to configs after it began.

    Args:
      run: dict with "config", as `run_directory.read_config` returns it.

    Returns:
      A dict like it, the added fields at their defaults.
    """
    if not isinstance(run.get("config"), dict):
        return run
    config = {**_DEFAULTS, **run["config"]}
    if isinstance(config["divergence"], dict):
        config["divergence"] = {**_DEFAULTS["divergence"], **config["divergence"]}
    sections = [(config, "environment", ENVIRONMENTS), (config, "learner", LEARNERS)]
    if isinstance(config.get("baselines"), dict):
        config["baselines"] = dict(config["baselines"])
        sections += [(config["baselines"], name, LEARNERS) for name in config["baselines"]]
    for parent, key, registry in sections:
        section = parent.get(key)
        if isinstance(section, dict) and section.get("name") in tuple(registry):
            entry = registry[section["name"]]
            known = entry[1] if isinstance(entry, tuple) else entry.Config
            parent[key] = {**dataclasses.asdict(known()), **section}
    return {**run, "config": config}


@dataclasses.dataclass(frozen=True)
class ExperimentConfig:
    """A config file's content, checked."""

    environment: Any  # the family's options dataclass
    environment_name: str
    policy: dict  # arguments of `mlp_policy`
    agent: str  # whose loss is learned by: a name in `agents.AGENTS`, or the learners' own
    learners: dict  # method name -> (class, config dataclass); the first is the main one
    seeds: tuple  # Python ints
    num_tasks: int  # held-out entities
    num_updates: int  # adaptation steps on each
    episodes: int  # episodes per measurement
    save_interval: int  # iterations between checkpoints
    log_interval: int  # iterations between events for TensorBoard
    divergence: Any  # `DivergenceMonitorConfig` of adapted policies over training, or None
    jit_compile: bool  # compile iterations with XLA

    @classmethod
    def from_run(cls, run, **measured):
        """Of a run directory's config.json, which anyone may have written.

        Args:
          run: dict, see `run_directory.read_config`.
          **measured: fields of its "evaluation" in place of those it was begun with.

        Raises:
          ConfigError: as `from_dict`.
        """
        settings.filled("config.json", _Run, run)
        return cls.from_dict(run["config"], run["seed"], run["jit_compile"], measured)

    @classmethod
    def from_dict(cls, config, seed=0, jit_compile=False, measured=None):
        """Checks a config (nested dict, see `configs.base`).

        Args:
          config: dict.
          seed: Python int, the first one.
          jit_compile: as of `MetaLearner`.
          measured: dict of fields of "evaluation" in place of those of the config. A setting that
            cannot act is refused by the config as it was written.

        Raises:
          ConfigError: naming the first bad field, its value and what is allowed.
        """
        config = completed({"config": config})["config"]
        settings.filled("config", _Content, config)
        name, options = _named("environment", config["environment"], ENVIRONMENTS)
        learners = _learners(config)
        _check_numbers(config, seed)
        rule = "True, False or None"
        check(jit_compile in (True, False, None), "jit_compile", jit_compile, rule)
        _check_policy(config["policy"])
        check_one_of("agent", config["agent"], (NO_AGENT, *agents.AGENTS))
        _check_steps(config, learners)
        config["evaluation"] = {**config["evaluation"], **(measured or {})}
        _check_numbers(config, seed)
        measured = config["evaluation"]
        # Entities that can't be made, and what no memory holds, are found before any work.
        family = ENVIRONMENTS[name][0](options)
        for method, (_, each) in learners.items():
            layers = config["policy"]["fc_layer_params"]
            settings.check_sizes(method, each, family, layers, measured)
        seeds = tuple(range(seed, seed + config["num_seeds"]))
        populations = [_population(name, family, each, measured["num_tasks"]) for each in seeds]
        classes = {method: LEARNERS[each] for method, (each, _) in learners.items()}
        return cls(
            environment=options,
            environment_name=name,
            policy=dict(config["policy"]),
            agent=config["agent"],
            learners={method: (classes[method], c) for method, (_, c) in learners.items()},
            seeds=seeds,
            num_tasks=measured["num_tasks"],
            num_updates=measured["num_updates"],
            episodes=measured["episodes"],
            save_interval=config["save_interval"],
            log_interval=config["log_interval"],
            divergence=_followed(config, classes.values(), populations[0].support),
            jit_compile=jit_compile,
        )


def _learners(config):
    """method -> (name of the learner, its config dataclass); the first is the main one."""
    main = config["learner"].get("name")
    check_one_of(f"learner {main} name", main, tuple(LEARNERS))
    sections = {main: config["learner"], **config["baselines"]}
    rule = "of letters, digits, '_', '-' and '.' only, 1 to 100 of them"
    for method in config["baselines"]:
        named = isinstance(method, str) and _NAME.fullmatch(method)
        check(named, "the name of a baseline", method, rule)
        check(method != main, "the name of a baseline", method, "another than the learner's")
    return {
        method: _named(f"learner {method}", section, LEARNERS)
        for method, section in sections.items()
    }


def _population(name, family, seed, num_tasks):
    """The entities of one seed, of which none is learned from and adapted to."""
    population = family.population(seed, num_tasks)
    check_held_out(family, population, f"held-out entities of {name} with seed {seed}")
    return population


def _check_numbers(config, seed):
    measured = config["evaluation"]
    settings.filled("evaluation", _Evaluation, measured)
    whole = isinstance(seed, int) and not isinstance(seed, bool)
    check(whole, "seed", seed, "a whole number")
    for field, value, least in (
        ("seed", seed, 0),
        ("num_seeds", config["num_seeds"], 1),
        ("save_interval", config["save_interval"], 1),
        ("log_interval", config["log_interval"], 1),
        ("divergence_interval", config["divergence_interval"], 0),
        ("evaluation.num_tasks", measured["num_tasks"], 1),
        ("evaluation.num_updates", measured["num_updates"], 0),
        ("evaluation.episodes", measured["episodes"], 1),
    ):
        check(value >= least, field, value, f">= {least}")
    most = settings.MOST_SEEDS
    check(config["num_seeds"] <= most, "num_seeds", config["num_seeds"], f"at most {most}")
    last = seed + config["num_seeds"] - 1
    check(last < 2**31, "the last seed", last, "below 2**31")


def _check_policy(policy):
    settings.filled("policy", _Policy, policy)
    check_one_of("policy.activation", policy["activation"], ACTIVATIONS)
    layers, most = policy["fc_layer_params"], settings.MOST_LAYERS
    positive = all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in layers)
    rule = f"0 to {most} positive integers"
    check(len(layers) <= most and positive, "policy.fc_layer_params", layers, rule)
    activation, default = policy["activation"], _ACTIVATION
    rule = f"left at {default!r}, as it acts only with hidden layers in policy.fc_layer_params"
    check(len(layers) or activation == default, "policy.activation", activation, rule)


def _check_steps(config, learners):
    """Refuses settings of methods for adaptation steps that the experiment does not take."""
    steps = config["evaluation"]["num_updates"]
    followed = config["divergence"].get("num_updates", 0)
    if config["divergence_interval"] and isinstance(followed, int):
        steps = max(steps, followed)
    for method, (_, each) in learners.items():
        with within(f"learner {method}"):
            each.check_steps(steps)


def _followed(config, learner_classes, support):
    """How adapted policies are followed, None where they are not; checked before any work."""
    options = {**config["divergence"], "interval": config["divergence_interval"] or 1}
    found = settings.filled("divergence", DivergenceMonitorConfig, options)
    with within("divergence"):
        followed = config["divergence_interval"] > 0
        check_acts(found, _DEFAULTS["divergence"], followed, "with divergence_interval > 0")
    if config["divergence_interval"] == 0:
        return None
    for each in learner_classes:
        check_can_be_followed(each)
    size, k = nest.leading(support), found.num_clusters
    check(k <= size, "divergence.num_clusters", k, f"at most {size}, the support entities")
    return found


def _named(where, section, registry):
    """{"name": ..., options} -> (name, the options as the dataclass of that name)."""
    check(isinstance(section, dict), where, section, "a dict of fields")
    options = dict(section)
    name = options.pop("name", None)
    check_one_of(f"{where} name", name, tuple(registry))
    entry = registry[name]
    config_class = entry[1] if isinstance(entry, tuple) else entry.Config
    return name, settings.filled(where, config_class, options)
