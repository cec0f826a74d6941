"""Every setting of every learner changes a number, or is refused where it cannot act.

A field without an entry in the tables below fails. Learners run eagerly and at the smallest sizes:
numbers are compared, nothing is learned.
"""

import dataclasses
import functools
from typing import Any, NamedTuple

import pytest
import tensorflow as tf

import tfcaml
from tests.eager import PlainPolicy, differ, eagerly
from tfcaml import environments, keys, learners, nest
from tfcaml.errors import ConfigError
from tfcaml.learners import LEARNERS
from tfcaml.policies import ContextPolicy, with_context
from tfcaml.rollouts import sampling

NUM_TASKS, NUM_UPDATES = 2, 2  # of the evaluation
TINY = {"num_iterations": 2, "meta_batch_size": 2, "inner_updates": 2, "episodes_per_update": 3}
GRADIENT = {
    **{**TINY, "num_iterations": 1, "inner_updates": 1},
    **{"outer_optimizer": "adam", "outer_learning_rate": 0.1},
}
HINDSIGHT = {
    **{**GRADIENT, "meta_batch_size": 3, "similarity_steps": 2},
    # All that was played may guide in all tasks.
    **{"best": 1.0, "min_similarity": 0.0},
}
REGRESSION = {**TINY, "inner_updates": 1, "inner_learning_rate": 0.1}
TINY_OF = {
    **dict.fromkeys(("maml", "fomaml", "meta_sgd", "e_maml", "pretrained", "oracle"), GRADIENT),
    **dict.fromkeys(("anil", "cavia"), GRADIENT),
    "natural_policy_gradient": GRADIENT,
    "promp": {**GRADIENT, "outer_optimizer": "ppo", "outer_steps": 2},
    "hindsight_maml": HINDSIGHT,
    "hindsight_relabelling": HINDSIGHT,
    "hindsight_cloning": {**HINDSIGHT, "cloning_steps": 2},
    "caml": {
        **{**TINY, "num_iterations": 3, "policies_per_clustering": 4, "num_medoids": 2},
        **{"trial_episodes": 4, "num_states": 10, "inner_learning_rate": 0.1},
    },
    "joint": {**TINY, "meta_batch_size": 1},
    "joint_mixed": {**TINY, "meta_batch_size": 1},
    "random": {"test_episodes_per_update": 3, "inner_learning_rate": 0.1},
    "maml_regression": REGRESSION,
    "pretrained_regression": REGRESSION,
}


class Acts(NamedTuple):
    """A number changes when a field takes `value`, beside `company`, other settings."""

    value: Any
    company: dict = {}


class Refused(NamedTuple):
    """`value` of a field cannot act in any company, and is refused."""

    value: Any
    company: dict = {}


class Tied(NamedTuple):
    """`value` of a field does not go with the `NUM_TASKS` tasks, and training refuses it."""

    value: Any
    company: dict = {}


class SameNumbers(NamedTuple):
    """The two values of a field are two ways to the same numbers."""

    value: Any
    company: dict
    why: str


PPO = {"outer_optimizer": "ppo"}
TRPO = {"outer_optimizer": "trpo", "outer_learning_rate": 1e-3, "outer_steps": 5}
# Far steps along noise: of three iterations' line searches one at least refuses its first trial.
SEARCHED = {**TRPO, "max_kl": 1.0, "baseline": "none", "num_iterations": 3}
# Where the products are far from singular, so that rounding does not grow.
WELL_CONDITIONED = {**TRPO, "cg_iterations": 2, "damping": 0.1}
FIELDS = {
    "num_iterations": Acts(3),
    "meta_batch_size": Acts(4),
    "inner_updates": Acts(3),
    "episodes_per_update": Acts(2),
    "test_episodes_per_update": Acts(2),
    "inner_optimizer": Acts("sgd"),
    "inner_learning_rate": Acts(0.3),
    "discount": Acts(0.5),
    "return_type": Acts("whole_return"),
    "baseline": Acts("batch_mean"),
    "gae_lambda": Acts(0.5),
    "normalize_advantage": Acts(False),
    # Reptile
    "outer_step_size": Acts(0.5),
    "annealing": Acts("none"),
    "adam_beta_1": Acts(0.5),
    # Independent policies
    "shared_initialization": Acts(True),
    # The gradient-based family
    "later_step_scale": Acts(0.25),
    "inner_estimator": Acts("dice"),
    "first_order": Acts(True),
    "outer_optimizer": Acts("trpo", {"outer_learning_rate": 1e-3}),
    "outer_learning_rate": Acts(0.3),
    "outer_steps": Acts(3, PPO),
    "clip_ratio": Acts(0.01, PPO),
    "max_kl": Acts(0.1, TRPO),
    "damping": Acts(1.0, TRPO),
    "cg_iterations": Acts(1, TRPO),
    "backtrack_ratio": Acts(0.3, SEARCHED),
    "max_backtracks": Acts(1, SEARCHED),
    "hessian_products": SameNumbers(
        "hessian", WELL_CONDITIONED, "exact products by another way, in more time"
    ),
    "fisher_subsample": Acts(1, TRPO),
    "exploration_weight": Acts(0.0),
    "kl_penalty": Acts(5.0),
    "adapted": Acts("0"),  # the first layer
    "context_size": Acts(3),
    # Hindsight
    "similarity_steps": Acts(3),
    "similarity_learning_rate": Acts(0.1),
    "similarity_objective": Acts("regression"),
    "nearest": Acts(0.6),
    "saved_episodes": Acts(1),
    "buffer_capacity": Acts(4, {"num_iterations": 2}),
    "best": Acts(0.25),
    "return_window": Acts(3, {"num_iterations": 2}),
    "return_floor": Acts(0.5),
    "guidance": Acts(0.9),
    "guided_updates": Acts(1),
    "num_similar": Acts(1),
    "min_similarity": Acts(0.99),
    "importance_weights": Acts("per_decision"),
    "importance_clip": Acts(1.0),
    "min_effective_share": Acts(1.0),
    "cloning_steps": Acts(3),
    "cloning_learning_rate": Acts(0.1),
    # CAML
    "policies_per_clustering": Acts(2),
    "num_medoids": Acts(3),
    "assignment": Acts("random"),
    "choice": Acts("oracle"),
    "trial_episodes": Acts(6),
    "fresh_arm": Acts(False),
    "min_transfer": Acts(100.0, {"inner_learning_rate": 0.5}),
    "keep_optimizer_state": Acts(False),
    "metric": Acts("state"),
    "bandwidth": Acts("1.0"),
    "weight": Acts("uniform"),
    "form": Acts("hellinger"),
    "num_states": Acts(20),
    "time_indexed": Acts(True),
    "adaptive_k": Acts(True, {"num_medoids": 3}),
}
ONLY_SGD = {"inner_optimizer": Refused("adam")}
NO_INNER_STEPS = {**ONLY_SGD, "first_order": Refused(True)}
SEARCHED_OF_THREE = {  # tasks
    "backtrack_ratio": Acts(0.3, {**TRPO, "max_kl": 0.5}),
    "max_backtracks": Acts(1, {**TRPO, "max_kl": 0.5}),
}
ONE_EACH = {"shared_initialization": Acts(False), "meta_batch_size": Tied(3)}
PARTICULAR = {  # name of a learner -> fields that are otherwise there
    **dict.fromkeys(("maml", "meta_sgd", "e_maml", "anil", "cavia"), ONLY_SGD),
    "fomaml": {**ONLY_SGD, "first_order": Acts(False)},
    "promp": {
        **ONLY_SGD,
        "outer_optimizer": Acts("adam", {"outer_steps": 5}),
    },
    "pretrained": NO_INNER_STEPS,
    "oracle": NO_INNER_STEPS,
    "natural_policy_gradient": {**NO_INNER_STEPS, "fisher_subsample": Refused(1)},
    "hindsight_maml": {**ONLY_SGD, "inner_estimator": Refused("dice"), **SEARCHED_OF_THREE},
    "hindsight_relabelling": {
        **ONLY_SGD,
        "inner_estimator": Refused("dice"),
        "guidance": Acts(0.0, {"similarity_objective": "regression", "min_similarity": -10.0}),
    },
    "hindsight_cloning": {
        **ONLY_SGD,
        "inner_estimator": Refused("dice"),
        "guidance": Refused(0.9),
        **SEARCHED_OF_THREE,
        "guided_updates": Refused(1),
        "importance_weights": Refused("per_decision"),
        "importance_clip": Refused(1.0),
        "min_effective_share": Refused(1.0),
    },
    "pretrained_regression": {
        "first_order": Refused(True),
        "inner_updates": Acts(2, {"later_step_scale": 0.5}),
    },
    "reptile": {"later_step_scale": Acts(0.25, {"inner_optimizer": "sgd"})},
    "random": {
        "episodes_per_update": Acts(2, {"test_episodes_per_update": 0}),
        "num_iterations": Refused(1),
        "meta_batch_size": Refused(2),
        "inner_updates": Refused(2),
    },
    "matched": ONE_EACH,
    "unmatched": ONE_EACH,
    "caml": {"num_iterations": Acts(2), "saved_episodes": Acts(2)},
    "joint": {"meta_batch_size": Refused(2)},
    "joint_mixed": {"meta_batch_size": Refused(2)},
}


def entry(name, field):
    """What is known of a learner's field; None if nothing is."""
    return PARTICULAR.get(name, {}).get(field, FIELDS.get(field))


def names_of(config_class):
    return [field.name for field in dataclasses.fields(config_class)]


def fields(name):
    return names_of(LEARNERS[name].Config)


CASES = [(name, field) for name in LEARNERS for field in fields(name)]
# They train like hindsight MAML, so that what acts in training is tried there.
TRAINED_ALIKE = ("hindsight_relabelling", "hindsight_cloning")
IN_ADAPTATION = ("test_episodes_per_update", "inner_learning_rate", "later_step_scale", "discount")
TRIED = [
    (name, field)
    for name, field in CASES
    if name not in TRAINED_ALIKE
    or field in IN_ADAPTATION
    or field not in names_of(learners.GradientConfig)
]


@pytest.fixture(scope="module", autouse=True)
def run_eagerly():
    with eagerly():
        yield


@functools.cache
def place(kind):
    """(family, policy, population) of a kind of learner."""
    if kind == "oracle":
        options = environments.NavigationConfig(observe_goal=True, horizon=3)
        family = environments.Navigation(options)
    elif kind == "regression":
        family = environments.Sinusoid()
    elif kind == "relabelling":
        family = environments.Maze(environments.MazeConfig(layout="four_rooms", horizon=3))
    else:
        family = environments.Particle(environments.ParticleConfig(horizon=3, step_size=0.5))
    population = family.population(0, NUM_TASKS)
    if kind == "relabelling":  # goals around the start, which some of the episodes reach
        support, query = family.task([1, 10, 11]), family.task([2, 20])
        population = population._replace(train=support, test=query)
    seen, size = family.observation_spec, kind if isinstance(kind, int) else 0
    policy = PlainPolicy(with_context(seen, size), family.action_spec)
    return family, ContextPolicy(policy, seen, size) if size else policy, population


def kind_of(name, config=None):
    """The number stands for a policy with a context of that size."""
    if hasattr(config, "context_size"):
        return config.context_size
    return next((kind for kind in ("oracle", "regression", "relabelling") if kind in name), "")


@functools.cache
def sampler(kind, num_tasks, num_episodes):
    """`sampling.sample` as a graph, also while all else runs eagerly."""
    family, policy, population = place(kind)

    def sample(params, task, seed):
        return sampling.sample(policy, family, params, task, num_episodes, seed)

    row = lambda x: tf.TensorSpec([num_tasks, *x.shape], x.dtype)
    task = lambda x: tf.TensorSpec([num_tasks, *x.shape[1:]], x.dtype)
    return tf.function(sample, autograph=False).get_concrete_function(
        nest.map(row, policy.init(0)),
        nest.map(task, population.test),
        tf.TensorSpec([2], keys.from_int(0).dtype),
    )


def settings_of(name, **changes):
    return {**TINY_OF.get(name, TINY), **changes}


def make(name, settings, unchecked):
    """A learner; `unchecked`: settings that are written past the checks of its config."""
    config = LEARNERS[name].Config(**settings)
    for field, value in unchecked.items():
        object.__setattr__(config, field, value)
    kind = kind_of(name, config)
    learner = LEARNERS[name](*place(kind)[:2], config)
    if kind != "regression":  # which samples in a way of its own
        learner.sample = lambda params, task, num_episodes, seed: sampler(
            kind, nest.leading(task), num_episodes
        )(tf.nest.pack_sequence_as(learner.policy.init(0), tf.nest.flatten(params)), task, seed)
    return learner


@functools.cache
def _trained(name, settings, unchecked):
    learner, population = make(name, dict(settings), dict(unchecked)), place(kind_of(name))[2]
    history = tfcaml.train(learner, population, seed=0)
    return learner, [dict(enumerate(history)), *(x.read() for x in learner.state.values())]


@functools.cache
def _evaluated(name, settings, unchecked):
    learner, _ = _trained(name, settings, unchecked)
    found = tfcaml.evaluate(
        learner, place(kind_of(name))[2].test, num_updates=NUM_UPDATES, num_episodes=2, seed=0
    )
    # How probable the last actions were tells of weights what the actions do not.
    return [found.returns, found.trials, found.trajectories[-1].log_prob]


def changes_a_number(name, settings, changes, unchecked=None):
    """Whether training or evaluation gives another number after `changes` of `settings`."""
    hashable = lambda x: tuple(sorted(x.items()))
    before = name, hashable(settings), ()
    after = name, hashable({**settings, **changes}), hashable(unchecked or {})
    if differ(_trained(*before)[1], _trained(*after)[1]):
        return True
    return differ(_evaluated(*before), _evaluated(*after))


def refused(name, settings, field):
    """Asserts that the settings are refused for a field, in one line that says what to do."""
    with pytest.raises(ConfigError) as caught:
        LEARNERS[name].Config(**settings)
    message = str(caught.value)
    assert message.startswith(f"expected {field} to be ") and "\n" not in message, message
    assert message.endswith(f"received {field}={settings[field]!r}"), message


@pytest.mark.parametrize("name", LEARNERS)
def test_every_field_has_an_entry(name):
    for field in fields(name):
        assert entry(name, field) is not None, f"{field} has no entry in the tables of this file"
        other = entry(name, field).value
        assert other != settings_of(name).get(field, getattr(LEARNERS[name].Config, field)), field


@pytest.mark.parametrize("name", TRAINED_ALIKE)
def test_they_train_alike(name):
    """Nothing that training calls is theirs."""
    own = set(vars(LEARNERS[name]))
    assert not own & {"collect", "update", "objective", "adapt", "surrogate", "look_back"}
    assert LEARNERS[name].after_update is learners.HindsightMAML.after_update


@pytest.mark.parametrize("name, field", [x for x in CASES if isinstance(entry(*x), Refused)])
def test_what_a_learner_has_no_use_for_is_refused(name, field):
    refused(name, settings_of(name, **{field: entry(name, field).value}), field)


@pytest.mark.slow
@pytest.mark.parametrize("name, field", [x for x in TRIED if isinstance(entry(*x), Acts)])
def test_every_field_changes_a_number(name, field):
    value, company = entry(name, field)
    assert changes_a_number(name, settings_of(name, **company), {field: value})


@pytest.mark.parametrize("name, field", [x for x in CASES if isinstance(entry(*x), Tied)])
def test_what_does_not_go_with_the_tasks_is_refused(name, field):
    with pytest.raises(ConfigError, match=f"expected {field} to be {NUM_TASKS}, the number of"):
        changes_a_number(name, settings_of(name), {field: entry(name, field).value})


@pytest.mark.slow
@pytest.mark.parametrize("name, field", [x for x in TRIED if isinstance(entry(*x), SameNumbers)])
def test_other_ways_to_the_same_numbers(name, field):
    value, company, why = entry(name, field)
    assert why and not changes_a_number(name, settings_of(name, **company), {field: value})


# (learner, other settings, field, value): it cannot act in this company.
ADAM = {"outer_optimizer": "adam"}
ONE_STEP = {**PPO, "outer_steps": 1}
NO_GUIDANCE = {"guidance": 0.0, "min_similarity": 0.5}
ONCE = {"num_states": 300, "num_iterations": 2}  # one clustering
IN_COMPANY = [
    *(
        ("maml", company, field, FIELDS[field].value)
        for company in (ADAM, PPO)
        for field in ("max_kl", "damping", "cg_iterations", "backtrack_ratio", "max_backtracks")
    ),
    ("maml", ADAM, "hessian_products", "hessian"),
    ("maml", ADAM, "fisher_subsample", 1),
    ("maml", {**TRPO, "max_backtracks": 1}, "backtrack_ratio", 0.3),
    ("maml", {"outer_optimizer": "trpo", "outer_learning_rate": 1e-3}, "outer_learning_rate", 0.3),
    ("maml", TRPO, "outer_steps", 3),
    ("maml", ADAM, "outer_steps", 3),
    ("maml", TRPO, "clip_ratio", 0.01),
    ("maml", ADAM, "clip_ratio", 0.01),
    ("maml", ONE_STEP, "clip_ratio", 0.01),
    ("fomaml", ADAM, "inner_estimator", "likelihood_ratio"),
    ("fomaml", ONE_STEP, "inner_estimator", "loaded_dice"),
    ("pretrained", TRPO, "inner_estimator", "likelihood_ratio"),
    ("oracle", ADAM, "inner_estimator", "loaded_dice"),
    ("natural_policy_gradient", ADAM, "inner_estimator", "likelihood_ratio"),
    ("pretrained", {"later_step_scale": 1.0}, "inner_updates", 2),
    ("natural_policy_gradient", {"later_step_scale": 1.0}, "inner_updates", 2),
    ("pretrained_regression", {"later_step_scale": 1.0}, "inner_updates", 2),
    ("promp", {"outer_optimizer": "adam", "outer_steps": 5}, "kl_penalty", 5.0),
    ("promp", {"outer_steps": 1}, "kl_penalty", 5.0),
    ("random", {"test_episodes_per_update": 3}, "episodes_per_update", 4),
    *(
        ("hindsight_maml", NO_GUIDANCE, field, FIELDS[field].value)
        for field in ("guided_updates", "num_similar", "min_similarity", "importance_weights")
    ),
    ("hindsight_maml", NO_GUIDANCE, "importance_clip", 1.0),
    ("hindsight_maml", NO_GUIDANCE, "min_effective_share", 1.0),
    ("hindsight_maml", {"importance_weights": "none"}, "importance_clip", 1.0),
    ("hindsight_relabelling", {"importance_weights": "none"}, "min_effective_share", 1.0),
    ("hindsight_relabelling", {}, "guidance", 0.3),
    ("hindsight_maml", {}, "saved_episodes", 5),
    ("caml", {"fresh_arm": False}, "min_transfer", 100.0),
    ("caml", {"inner_optimizer": "sgd"}, "keep_optimizer_state", False),
    ("caml", {"num_medoids": 1}, "assignment", "random"),
    ("caml", {"num_medoids": 1}, "choice", "round_robin_mean"),
    ("caml", {"metric": "parameters", **ONCE}, "bandwidth", "1.0"),
    ("caml", {"metric": "random", **ONCE}, "weight", "uniform"),
    ("caml", {"metric": "task", **ONCE}, "form", "hellinger"),
    ("caml", {"metric": "parameters", **ONCE}, "num_states", 20),
    ("caml", {"metric": "task", **ONCE}, "time_indexed", True),
]
REFUSED = [(*x[:1], {}, x[1], entry(*x).value) for x in CASES if isinstance(entry(*x), Refused)]


def clean(name, company):
    """Settings beside which a field of that company is refused, and nothing else is."""
    trpo = company.get("outer_optimizer") == "trpo"
    return {**settings_of(name), **({"outer_learning_rate": 1e-3} if trpo else {}), **company}


@pytest.mark.parametrize("name, company, field, value", IN_COMPANY)
def test_what_cannot_act_in_company_is_refused(name, company, field, value):
    LEARNERS[name].Config(**clean(name, company))
    refused(name, {**clean(name, company), field: value}, field)


# What nothing reads, and what numbers of another size would be made of, is not tried.
UNREAD = ("inner_optimizer", "fisher_subsample", "inner_estimator", "num_iterations")


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, company, field, value",
    [*IN_COMPANY, *(case for case in REFUSED if case[2] not in (*UNREAD, "meta_batch_size"))],
)
def test_what_is_refused_changes_no_number(name, company, field, value):
    """Written past the checks of the config."""
    assert not changes_a_number(name, clean(name, company), {}, {field: value})


AFTER = {  # name of a learner -> fields that act in adaptation steps only
    **dict.fromkeys(LEARNERS, ("test_episodes_per_update",)),
    "pretrained": ("inner_learning_rate", "inner_estimator", "later_step_scale"),
    "oracle": ("inner_learning_rate", "inner_updates"),
    "natural_policy_gradient": ("inner_learning_rate", "test_episodes_per_update"),
    "pretrained_regression": ("inner_learning_rate", "test_episodes_per_update"),
    "hindsight_maml": ("guidance", "importance_clip", "min_similarity"),
    "random": ("discount", "inner_optimizer", "episodes_per_update"),
}


@pytest.mark.parametrize(
    "name, field", [(n, field) for n, names in AFTER.items() for field in names]
)
def test_settings_of_adaptation_are_refused_where_there_is_none(name, field):
    value = FIELDS[field].value
    config = LEARNERS[name].Config(**{field: value})
    config.check_steps(10)
    with pytest.raises(ConfigError, match=f"expected {field} to be left at .*={value!r}"):
        config.check_steps(0)
    LEARNERS[name].Config().check_steps(0)


@pytest.mark.parametrize("name", ["maml", "meta_sgd", "promp", "maml_regression"])
def test_shorter_steps_are_refused_where_no_further_step_is_taken(name):
    config = LEARNERS[name].Config(inner_updates=2, later_step_scale=0.25)
    config.check_steps(3)
    with pytest.raises(
        ConfigError, match=r"later_step_scale .* only in steps beyond inner_updates=2"
    ):
        config.check_steps(2)
