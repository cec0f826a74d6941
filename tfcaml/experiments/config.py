"""What an experiment is of: a config file's content, checked before any work.

A learner or an environment is named in a config by its name in `learners.LEARNERS` and
`environments.ENVIRONMENTS`, or, if it is a class of the user's own, as MODULE:CLASS, such as
"my_package.my_learner:MyLearner". Such a name imports the module, which runs its code. A config
that the user wrote may do that; the config.json of a run directory, which may be anyone's, only
with the modules that the user names in addition (`plugins`).
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from tfcaml import agents, nest, settings
from tfcaml.environments import ENVIRONMENTS, TaskFamily
from tfcaml.environments.base import check_held_out
from tfcaml.errors import ConfigError, check, check_acts, check_one_of, renamed, within
from tfcaml.learners import LEARNERS, LearnerConfig, MetaLearner
from tfcaml.policies import ACTIVATIONS, mlp_policy
from tfcaml.reporting.divergence_monitor import DivergenceMonitorConfig, check_can_be_followed
from tfcaml.types import Task

if TYPE_CHECKING:
    from tfcaml.environments.base import Population

NO_AGENT = "none"  # of a config: learners keep their own losses
# Of `mlp_policy`: what a policy without hidden layers, which has none, is written with.
_ACTIVATION = inspect.signature(mlp_policy).parameters["activation"].default
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")  # of a method: it names a directory
_PLUGIN = re.compile(r"((?:[A-Za-z_]\w*\.)*[A-Za-z_]\w*):([A-Za-z_]\w*)", re.ASCII)  # MODULE:CLASS
# What the loss of an agent has in place of a learner's: its own returns, advantages and ratios.
_OF_OWN_LOSSES = (
    *("advantage.return_type", "advantage.baseline", "advantage.gae_lambda"),
    *("advantage.normalize", "inner_estimator", "outer.clip_ratio"),
)


@dataclasses.dataclass(frozen=True)
class _Run:
    """config.json of a run directory."""

    config: dict
    seed: Any  # checked apart: it may be any of int32
    jit_compile: Any  # True, False or None


@dataclasses.dataclass(frozen=True)
class _Content:
    """A config file, see `configs.base`.

    Attributes:
      environment: The task family and its options: a dict with "name", a name in
        `environments.ENVIRONMENTS` or MODULE:CLASS, and the fields of the family's config.
      policy: The network: a dict of the units of its layers and their activation.
      agent: Whose loss is learned by: a name in `agents.AGENTS`, or "none" for the learners' own.
      learner: The main method: a dict with "name", a name in `learners.LEARNERS` or MODULE:CLASS,
        and the fields of the learner's config.
      compared: Methods that it is compared with: a dict of method name to such a section.
      num_seeds: Seeds that are run, each with entities of its own.
      evaluation: How much is measured: a dict of numbers of tasks, updates and episodes.
      save_interval: Iterations between two checkpoints.
      log_interval: Iterations between two events for TensorBoard.
      divergence_interval: Iterations between two records of the divergence of adapted policies; 0
        is never.
      divergence: How that divergence is measured: fields of `DivergenceMonitorConfig`.
    """

    environment: dict
    policy: dict
    agent: str
    learner: dict
    compared: dict
    num_seeds: int
    evaluation: dict
    save_interval: int
    log_interval: int
    divergence_interval: int
    divergence: dict


@dataclasses.dataclass(frozen=True)
class _Policy:
    """Arguments of `mlp_policy`.

    Attributes:
      fc_layer_params: Units of each hidden layer; none is a linear policy.
      activation: Activation of hidden layers, a name in `policies.ACTIVATIONS`.
    """

    fc_layer_params: tuple
    activation: str


@dataclasses.dataclass(frozen=True)
class _Evaluation:
    """How much is measured.

    Attributes:
      num_tasks: Held-out entities of each seed.
      num_updates: Updates on each of them.
      episodes: Episodes of each measurement, before and after each update.
    """

    num_tasks: int
    num_updates: int
    episodes: int


def completed(run: dict[str, Any], plugins: Sequence[str] = ()) -> dict[str, Any]:
    """What a run is of, with the options of environments and learners that it leaves out.

    Args:
      run: dict with "config", as `run_directory.read_config` returns it.
      plugins: modules that may be imported, see `ExperimentConfig.from_run`. Sections that name
        classes of other modules stay as they are.

    Returns:
      A dict like it, the missing fields at their defaults.
    """
    if not isinstance(run.get("config"), dict):
        return run
    config = dict(run["config"])
    if isinstance(config.get("compared"), dict):
        config["compared"] = dict(config["compared"])
    for parent, key, registry, base in _sections(config):
        section: Any = parent.get(key)
        name = section.get("name") if isinstance(section, dict) else None
        if name in tuple(registry) or module_of(name) in (plugins or ()):
            _, options = _found(key, name, registry, base, plugins)
            parent[key] = settings.merged(dataclasses.asdict(options()), section)
    return {**run, "config": config}


def plugins_of(config: dict[str, Any]) -> tuple[str, ...]:
    """The modules that a config names classes of: tuple of their names."""
    config = config if isinstance(config, dict) else {}
    sections = [parent.get(key) for parent, key, _, _ in _sections(config)]
    names = [section.get("name") for section in sections if isinstance(section, dict)]
    modules = (module_of(name) for name in names)
    return tuple({module: None for module in modules if module})


def module_of(name: Any) -> str | None:
    """The module of a name MODULE:CLASS; None of anything else."""
    match = _PLUGIN.fullmatch(name) if isinstance(name, str) else None
    return match and match[1]


def _sections(config: dict[str, Any]) -> Iterator[tuple[Any, str, dict[str, Any], type]]:
    """(parent, key, registry, base class) of each section of a config that names a class."""
    yield config, "environment", ENVIRONMENTS, TaskFamily
    yield config, "learner", LEARNERS, MetaLearner
    compared = config.get("compared")
    for name in compared if isinstance(compared, dict) else ():
        yield compared, name, LEARNERS, MetaLearner


@settings.documented
@dataclasses.dataclass(frozen=True)
class ExperimentConfig:
    """A config file's content, checked.

    Attributes:
      environment: Options of the family, a dataclass.
      environment_name: Name of the family, as the config has it.
      family: The class of that name.
      policy: Arguments of `mlp_policy`.
      agent: Whose loss is learned by: a name in `agents.AGENTS`, or "none" for the learners' own.
      learners: Dict of method name to (class, config dataclass); the first is the main one.
      seeds: The seeds, Python ints.
      num_tasks: Held-out entities of each seed.
      num_updates: Updates on each of them.
      episodes: Episodes of each measurement.
      save_interval: Iterations between two checkpoints.
      log_interval: Iterations between two events for TensorBoard.
      divergence: `DivergenceMonitorConfig` of adapted policies over training, or None.
      jit_compile: Whether iterations are compiled with XLA: True, False, or None (automatic).
    """

    environment: Any
    environment_name: str
    family: Any
    policy: dict
    agent: str
    learners: dict
    seeds: tuple
    num_tasks: int
    num_updates: int
    episodes: int
    save_interval: int
    log_interval: int
    divergence: Any
    jit_compile: Any

    @classmethod
    def from_run(
        cls, run: dict[str, Any], plugins: Sequence[str] = (), **measured: int
    ) -> ExperimentConfig:
        """Of a run directory's config.json, which anyone may have written.

        Args:
          run: dict, see `run_directory.read_config`.
          plugins: names of the modules that may be imported for it. Importing a module runs it, so
            these come from the user and never from the run directory.
          **measured: fields of its "evaluation" in place of those it was begun with.

        Raises:
          ConfigError: as `from_dict`; or the run names a class of another module than `plugins`.
        """
        settings.filled("config.json", _Run, run)
        config = completed(run, plugins)["config"]
        return cls.from_dict(config, run["seed"], run["jit_compile"], plugins, measured)

    @classmethod
    def from_dict(
        cls,
        config: dict[str, Any],
        seed: int = 0,
        jit_compile: bool | None = None,
        plugins: Sequence[str] | None = None,
        measured: dict[str, int] | None = None,
    ) -> ExperimentConfig:
        """Checks a config (nested dict, see `configs.base`).

        Args:
          config: nested dict.
          seed: Python int, the first seed.
          jit_compile: whether iterations are compiled with XLA, see `MetaLearner`.
          plugins: names of the modules that may be imported for learners and environments that are
            named MODULE:CLASS; None: those that the config names, since it is the caller's own.
          measured: dict of fields of "evaluation" in place of those of the config. A setting that
            cannot act is refused by the config as it was written.

        Raises:
          ConfigError: naming the first bad field, its value and what is allowed.
        """
        plugins = plugins_of(config) if plugins is None else plugins
        config = completed({"config": config}, plugins)["config"]
        settings.filled("config", _Content, config)
        name, family, options = _named(
            "environment", config["environment"], ENVIRONMENTS, TaskFamily, plugins
        )
        learners = _learners(config, plugins)
        _check_numbers(config, seed)
        settings.check_switch("jit_compile", jit_compile)
        _check_policy(config["policy"])
        check_one_of("agent", config["agent"], (NO_AGENT, *agents.AGENTS))
        _check_steps(config, learners)
        config["evaluation"] = {**config["evaluation"], **(measured or {})}
        _check_numbers(config, seed)
        counts = config["evaluation"]
        # Entities that can't be made, and what no memory holds, are found before any work.
        environment = family(options)
        most, episodes = environment.most_episodes, counts["episodes"]
        rule = f"at most {most}, the episodes of a task of {name}"
        check(most is None or episodes <= most, "evaluation.episodes", episodes, rule)
        for method, (learner_class, each) in learners.items():
            if config["agent"] != NO_AGENT:
                _check_loss_is_the_agents(method, each, config["agent"])
            layers = config["policy"]["fc_layer_params"]
            place = learner_class.plays_in(environment, each)
            settings.check_sizes(method, each, place, layers, counts)
        seeds = tuple(range(seed, seed + config["num_seeds"]))
        populations = [_population(name, environment, each, counts["num_tasks"]) for each in seeds]
        classes = [learner_class for learner_class, _ in learners.values()]
        return cls(
            environment=options,
            environment_name=name,
            family=family,
            policy=dict(config["policy"]),
            agent=config["agent"],
            learners=learners,
            seeds=seeds,
            num_tasks=counts["num_tasks"],
            num_updates=counts["num_updates"],
            episodes=counts["episodes"],
            save_interval=config["save_interval"],
            log_interval=config["log_interval"],
            divergence=_followed(config, classes, populations[0].train),
            jit_compile=jit_compile,
        )


def _learners(
    config: dict[str, Any], plugins: Sequence[str]
) -> dict[str, tuple[type[MetaLearner], Any]]:
    """method -> (class, its config dataclass); the first is the main one."""
    main = config["learner"].get("name")
    rule = "of letters, digits, '_', '-' and '.' only, 1 to 100 of them"
    if module_of(main):
        main = main.partition(":")[2]
        check(_NAME.fullmatch(main), "the name of the learner's class", main, rule)
    else:
        _check_registered(f"learner {main}", main, LEARNERS)
    sections = {main: config["learner"], **config["compared"]}
    for method in config["compared"]:
        named = isinstance(method, str) and _NAME.fullmatch(method)
        check(named, "the name of a compared method", method, rule)
        check(method != main, "the name of a compared method", method, "another than the learner's")
    return {
        method: _named(f"learner {method}", section, LEARNERS, MetaLearner, plugins)[1:]
        for method, section in sections.items()
    }


def _check_loss_is_the_agents(method: str, config: Any, agent: str) -> None:
    """Settings of the losses that an agent's loss stands in for are as they were: they do nothing.

    The discount is not among them: it becomes the agent's own.
    """
    rule = f"{NO_AGENT!r} with {method}, which learns from no rewards"
    check(hasattr(config, "advantage"), "agent", agent, rule)
    given, default = (settings.flat(dataclasses.asdict(each)) for each in (config, type(config)()))
    for name, value in given.items():
        if name in _OF_OWN_LOSSES:
            rule = f"{default[name]!r}, its default: the loss of agent={agent!r} has its own"
            check(value == default[name], f"{name} of {method}", value, rule)


def _population(name: str, family: TaskFamily, seed: int, num_tasks: int) -> Population:
    """The entities of one seed, of which none is learned from and adapted to."""
    with renamed("num_test", "evaluation.num_tasks"):
        population = family.population(seed, num_tasks)
    check_held_out(family, population, f"held-out entities of {name} with seed {seed}")
    return population


def _check_numbers(config: dict[str, Any], seed: int) -> None:
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


def _check_policy(policy: Any) -> None:
    settings.filled("policy", _Policy, policy)
    check_one_of("policy.activation", policy["activation"], ACTIVATIONS)
    layers, most = policy["fc_layer_params"], settings.MOST_LAYERS
    positive = all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in layers)
    rule = f"0 to {most} positive integers"
    check(len(layers) <= most and positive, "policy.fc_layer_params", layers, rule)
    activation, default = policy["activation"], _ACTIVATION
    rule = f"left at {default!r}, as it acts only with hidden layers in policy.fc_layer_params"
    check(len(layers) or activation == default, "policy.activation", activation, rule)


def _check_steps(
    config: dict[str, Any], learners: dict[str, tuple[type[MetaLearner], Any]]
) -> None:
    """Refuses settings of methods for adaptation steps that the experiment does not take."""
    steps = config["evaluation"]["num_updates"]
    followed = config["divergence"].get("num_updates", 0)
    if config["divergence_interval"] and isinstance(followed, int):
        steps = max(steps, followed)
    for method, (_, each) in learners.items():
        with within(f"learner {method}"):
            each.check_steps(steps)


def _followed(config: dict[str, Any], learner_classes: Iterable[type], support: Task) -> Any:
    """How adapted policies are followed, None where they are not; checked before any work."""
    options = {**config["divergence"], "interval": config["divergence_interval"] or 1}
    found = settings.filled("divergence", DivergenceMonitorConfig, options)
    with within("divergence"):
        followed = config["divergence_interval"] > 0
        names = tuple(config["divergence"])
        check_acts(found, names, followed, "with divergence_interval > 0")
    if config["divergence_interval"] == 0:
        return None
    for each in learner_classes:
        check_can_be_followed(each)
    size, k = nest.leading(support), found.num_clusters
    check(k <= size, "divergence.num_clusters", k, f"at most {size}, the training entities")
    return found


def _named(
    where: str,
    section: dict[str, Any],
    registry: dict[str, Any],
    base: type,
    plugins: Sequence[str],
) -> tuple[str, type, Any]:
    """{"name": ..., options} -> (name, its class, the options as the dataclass of that class)."""
    check(isinstance(section, dict), where, section, "a dict of fields")
    options = dict(section)
    name = options.pop("name", None)
    found, config_class = _found(where, name, registry, base, plugins)
    return name, found, settings.filled(where, config_class, options)


def _check_registered(where: str, name: Any, registry: dict[str, Any]) -> None:
    rule = f"one of {', '.join(registry)}; or MODULE:CLASS of a class of your own"
    check(name in tuple(registry), f"{where} name", name, rule)


def _found(
    where: str, name: Any, registry: dict[str, Any], base: type, plugins: Sequence[str]
) -> tuple[type, type]:
    """(class, dataclass of its options) that a name in a config stands for.

    Args:
      where: what has the name, for messages.
      name: of `registry`, or MODULE:CLASS.
      registry: dict name -> (class, options), or name -> class with the options `Config`.
      base: what a class of the user's own is a subclass of; its `Config` is the dataclass of its
        options, all with defaults.
      plugins: names of the modules that may be imported.

    Raises:
      ConfigError: no such name, module or class; or a module that is not of `plugins`.
    """
    module = module_of(name)
    if module is None:
        _check_registered(where, name, registry)
        entry = registry[name]
        return entry if isinstance(entry, tuple) else (entry, entry.Config)
    if module not in plugins:
        raise ConfigError(
            f"{where} is {name}, and importing {module} would run its code; if you trust it, "
            f"name it yourself with --plugin={module}"
        )
    try:
        found: Any = getattr(importlib.import_module(module), name.partition(":")[2], None)
    except Exception as error:  # whatever the module does
        what = " ".join(f"{type(error).__name__}: {error}".split())
        raise ConfigError(f"{where} is {name}, but {module} can't be imported: {what}") from None
    rule = f"a subclass of {base.__name__}"
    check(isinstance(found, type) and issubclass(found, base), f"{where} {name}", found, rule)
    options: Any = getattr(found, "Config", None)
    kind = LearnerConfig if base is MetaLearner else object
    fits = isinstance(options, type) and issubclass(options, kind)
    fits = fits and dataclasses.is_dataclass(options)
    rule = f"a dataclass of its options{'' if kind is object else ', a subclass of LearnerConfig'}"
    check(fits, f"Config of {name}", options, rule)
    for field in dataclasses.fields(options):
        known = any(x is not dataclasses.MISSING for x in (field.default, field.default_factory))
        check(known, f"{field.name} in Config of {name}", "(no default)", "a field with a default")
    return found, options
