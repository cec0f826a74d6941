"""What an experiment is of: a config file's content, checked before any work."""

import dataclasses
from typing import Any

from tfcaml import agents, nest
from tfcaml.divergence_monitor import DivergenceMonitorConfig, check_can_be_followed
from tfcaml.environments import ENVIRONMENTS
from tfcaml.errors import ConfigError, check, check_one_of
from tfcaml.learners import LEARNERS
from tfcaml.policies import ACTIVATIONS

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
        if isinstance(section, dict) and section.get("name") in registry:
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
    def from_dict(cls, config, seed=0, jit_compile=False):
        """Checks a config (nested dict, see `configs.base`).

        Raises:
          ConfigError: naming the first bad field, its value and what is allowed.
        """
        config = completed({"config": config})["config"]
        name, options = _named("environment", config["environment"], ENVIRONMENTS)
        learners = {}
        sections = {config["learner"]["name"]: config["learner"], **config["baselines"]}
        for method, section in sections.items():
            learners[method] = _named(f"learner {method}", section, LEARNERS)
        _check_numbers(config, seed)
        _check_policy(config["policy"])
        measured = config["evaluation"]
        seeds = tuple(range(seed, seed + config["num_seeds"]))
        # Entities that can't be made are found before any work.
        family = ENVIRONMENTS[name][0](options)
        populations = [family.population(each, measured["num_tasks"]) for each in seeds]
        classes = {method: LEARNERS[each] for method, (each, _) in learners.items()}
        check_one_of("agent", config["agent"], (NO_AGENT, *agents.AGENTS))
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


def _check_numbers(config, seed):
    measured = config["evaluation"]
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


def _check_policy(policy):
    check_one_of("policy.activation", policy["activation"], ACTIVATIONS)
    layers = policy["fc_layer_params"]
    positive = all(isinstance(n, int) and n > 0 for n in layers)
    rule = "one or more positive integers"
    check(len(layers) > 0 and positive, "policy.fc_layer_params", layers, rule)


def _followed(config, learner_classes, support):
    """How adapted policies are followed, None where they are not; checked before any work."""
    options = {**config["divergence"], "interval": config["divergence_interval"] or 1}
    found = _filled("divergence", DivergenceMonitorConfig, options)
    if config["divergence_interval"] == 0:
        return None
    for each in learner_classes:
        check_can_be_followed(each)
    size, k = nest.leading(support), found.num_clusters
    check(k <= size, "divergence.num_clusters", k, f"at most {size}, the support entities")
    return found


def _named(where, section, registry):
    """{"name": ..., options} -> (name, the options as the dataclass of that name)."""
    options = dict(section)
    name = options.pop("name")
    check_one_of(f"{where} name", name, tuple(registry))
    entry = registry[name]
    config_class = entry[1] if isinstance(entry, tuple) else entry.Config
    return name, _filled(where, config_class, options)


def _filled(where, config_class, options):
    """A dataclass of the config's options."""
    try:
        return config_class(**options)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None
    except TypeError:
        fields = [field.name for field in dataclasses.fields(config_class)]
        unknown = next(key for key in options if key not in fields)
        raise ConfigError(
            f"{where}: unknown field {unknown!r}; allowed are {', '.join(fields)}"
        ) from None
