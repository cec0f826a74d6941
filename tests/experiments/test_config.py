"""Any content of a config is an experiment, or refused in one line."""

import copy
import sys

import hypothesis
import pytest
from hypothesis import strategies as st
from tfcaml.configs import base
from tfcaml.configs.caml import particles as caml_particles
from tfcaml.configs.maml import navigation as maml_navigation

from tests.environments.family_names import ATARI, WITHOUT_DATA
from tfcaml import environments, learners
from tfcaml.environments import ENVIRONMENTS, Particle
from tfcaml.errors import ConfigError
from tfcaml.experiments.config import ExperimentConfig, completed

CONTENT = caml_particles.get_config().to_dict()
VALUES = [-1, 0, 1, 3, 2.5, float("nan"), float("inf"), -1e308, 10**9, 10**12, 10**300, 2**31]
VALUES += [None, True, "", "six", "../x", "ü\n", [], [10**9], {}, {"name": "caml"}, [True], ["8"]]
VALUES += [[10**5, 10**5], [8] * 5000, {"a": {"b": [{}]}}, "__import__('os')", ("x",), b"x"]


def places(content, *above):
    """Paths of all fields and sections of nested dicts."""
    for name, value in content.items():
        yield (*above, name)
        if isinstance(value, dict):
            yield from places(value, *above, name)


def parent_of(content, place):
    for name in place[:-1]:
        content = content[name]
    return content


def check(changes):
    content = copy.deepcopy(CONTENT)
    for place, how, value in changes:
        try:
            parent = parent_of(content, place)
            if how == "delete":
                del parent[place[-1]]
            else:
                parent[place[-1] if how == "set" else "more"] = value
        except (KeyError, TypeError, AttributeError, IndexError):
            return  # an earlier change took the place away
    try:
        assert ExperimentConfig.from_dict(content).seeds
    except ConfigError as error:
        assert "\n" not in str(error) and len(str(error)) > 20


CHANGE = st.tuples(
    st.sampled_from(list(places(CONTENT))),
    st.sampled_from(["set", "set", "set", "add", "delete"]),
    st.sampled_from(VALUES) | st.integers() | st.floats() | st.text(max_size=5),
)


@pytest.mark.parametrize(
    "number", [pytest.param(30, id="short"), pytest.param(1000, id="long", marks=pytest.mark.soak)]
)
def test_any_content_is_an_experiment_or_one_line(number):
    strategy = st.lists(CHANGE, min_size=1, max_size=3)
    hypothesis.settings(max_examples=number)(hypothesis.given(strategy)(check))()


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("policy.fc_layer_params", [10**9], "meta_batch_size to be so small that caml"),
        ("evaluation.num_tasks", 10**12, "evaluation: expected num_tasks to be a whole number of"),
        ("evaluation.episodes", 10**9, "evaluation: expected episodes to be a whole number of at"),
        ("num_seeds", 10**9, "config: expected num_seeds to be a whole number of at most 1000000"),
        ("num_seeds", 1001, "num_seeds to be at most 1000"),
        ("environment.variants_per_group", 10**9, "expected variants_per_group to be a whole"),
        ("learner.episodes_per_update", 10**6, "meta_batch_size to be so small that caml holds"),
        ("compared.joint", 3, "learner joint to be a dict"),
        ("policy", None, "expected policy to be a dict of fields"),
        ("learner.inner_learning_rate", "0.1", "inner_learning_rate to be a finite number"),
        ("learner.num_medoids", True, "num_medoids to be a whole number"),
        ("learner.name", ["caml"], r"learner \['caml'\] name to be one of"),
        ("more", 1, "config: unknown field 'more'; allowed are environment, policy"),
    ],
)
def test_wrong_types_and_absurd_sizes_are_one_line(place, value, message):
    content = copy.deepcopy(CONTENT)
    place = place.split(".")
    parent_of(content, place)[place[-1]] = value
    with pytest.raises(ConfigError, match=message):
        ExperimentConfig.from_dict(content)


@pytest.mark.parametrize("name", ["../x", "a/b", "/etc", "..", ".x", "", "a\nb", "x" * 101, 3])
def test_names_of_methods_lead_nowhere_else(name):
    content = copy.deepcopy(CONTENT)
    content["compared"][name] = content["compared"].pop("joint")
    with pytest.raises(
        ConfigError, match="expected the name of a compared method to be of letters"
    ):
        ExperimentConfig.from_dict(content)


def test_a_baseline_does_not_take_the_learners_place():
    content = copy.deepcopy(CONTENT)
    content["compared"]["caml"] = content["compared"]["joint"]
    with pytest.raises(
        ConfigError, match="name of a compared method to be another than the learner's"
    ):
        ExperimentConfig.from_dict(content)


@pytest.mark.parametrize("seed", [-1, 2**31, 2**31 - 9, 1.0, True, "0", None])
def test_seeds_are_whole_numbers_of_31_bits(seed):
    with pytest.raises(ConfigError, match="seed"):
        ExperimentConfig.from_dict(CONTENT, seed)


def test_runs_are_checked_with_what_else_is_measured():
    run = {"config": CONTENT, "seed": 0, "jit_compile": None}
    assert ExperimentConfig.from_run(run, num_tasks=5).num_tasks == 5
    for changes, message in (
        ({"config": 1}, "config.json: expected config to be a dict"),
        ({"config": {}}, "config: missing field 'environment'"),
        ({"seed": None}, "seed to be a whole number"),
        ({"jit_compile": "yes"}, "jit_compile to be True, False or None"),
        ({"more": 1}, "config.json: unknown field 'more'"),
    ):
        with pytest.raises(ConfigError, match=message):
            ExperimentConfig.from_run({**run, **changes})
    with pytest.raises(ConfigError, match=r"config\.json: missing field 'seed'"):
        ExperimentConfig.from_run({"config": CONTENT})
    with pytest.raises(ConfigError, match="num_tasks to be a whole number of at most"):
        ExperimentConfig.from_run(run, num_tasks=10**9)


OWN = "tests.launchers.own"


def _own(learner=f"{OWN}:Halved", **changes):
    content = copy.deepcopy(CONTENT)
    content["environment"]["name"] = f"{OWN}:Plane"
    content["learner"] = {"name": learner, "num_iterations": 2, **changes}
    content["compared"] = {"mine": {"name": f"{OWN}:Halved"}, "reptile": {"name": "reptile"}}
    return content


def test_classes_of_the_users_own_are_named_by_module():
    config = ExperimentConfig.from_dict(_own(share=0.25))
    assert config.family.__name__ == "Plane" and config.environment_name == f"{OWN}:Plane"
    assert list(config.learners) == ["Halved", "mine", "reptile"]
    learner, options = config.learners["Halved"]
    assert learner.__name__ == "Halved" and (options.share, options.num_iterations) == (0.25, 2)
    assert config.learners["mine"][0] is learner
    with pytest.raises(
        ConfigError, match=r"unknown field 'shares'; did you mean share\? allowed are .*share"
    ):
        ExperimentConfig.from_dict(_own(shares=0.25))


def test_a_run_directory_imports_nothing_that_the_user_did_not_name():
    run = {"config": _own(), "seed": 0, "jit_compile": None}
    assert ExperimentConfig.from_run(run, [OWN]).learners["Halved"]
    for plugins in ((), ["tests"], [f"{OWN}.more"]):
        with pytest.raises(ConfigError, match=rf"would run its code; .*--plugin={OWN}$"):
            ExperimentConfig.from_run(run, plugins)
    sys.modules.pop("this", None)  # a module that can be seen to be imported
    for section in ("environment", "learner"):
        run["config"] = _own()
        run["config"][section]["name"] = "this:s"
        assert completed(run, [OWN])["config"][section] == run["config"][section]
        with pytest.raises(ConfigError, match="importing this would run its code"):
            ExperimentConfig.from_run(run, [OWN])
    assert "this" not in sys.modules


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "nope",
            r"learner nope name to be one of .*adapt_sv, .*; or MODULE:CLASS of a class",
        ),
        (f"{OWN}.Halved", "MODULE:CLASS"),
        (f"{OWN}:Halved()", "MODULE:CLASS"),
        (f"../{OWN}:Halved", "MODULE:CLASS"),
        (
            "no.such_module:Halved",
            r"such_module can't be imported: ModuleNotFoundError: No",
        ),
        (f"{OWN}:Nope", "a subclass of MetaLearner; received learner .*=None"),
        (f"{OWN}:Plane", "a subclass of MetaLearner; received"),
        (f"{OWN}:dataclasses", "a subclass of MetaLearner; received"),
        (f"{OWN}:NoDefault", "size in Config of .* to be a field with a default"),
    ],
)
def test_wrong_names_of_classes_are_one_line(name, message):
    with pytest.raises(ConfigError, match=message) as error:
        ExperimentConfig.from_dict(_own(name))
    assert "\n" not in str(error.value)


def test_families_need_options():
    content = _own()
    content["environment"] = {"name": f"{OWN}:NoConfig"}
    with pytest.raises(ConfigError, match=r"Config of .*NoConfig to be a dataclass of its options"):
        ExperimentConfig.from_dict(content)


@pytest.mark.parametrize("value", ["x", 1, 0, [], "None"])
def test_compilation_is_on_off_or_automatic(value):
    assert ExperimentConfig.from_dict(CONTENT).jit_compile is None
    with pytest.raises(ConfigError, match="jit_compile to be True, False or None; received"):
        ExperimentConfig.from_dict(CONTENT, jit_compile=value)


@pytest.mark.parametrize("name", [*sorted(set(ENVIRONMENTS) - WITHOUT_DATA - {"atari"}), ATARI])
def test_entities_of_every_family_are_held_out_with_every_seed(name):
    family, options = ENVIRONMENTS[name]
    learner = base.section("reptile", learners.Reptile.Config())
    if family.long_episodes:
        learner = base.section("a2c", learners.A2C.Config(unroll=2))
    content = base.experiment(base.section(name, options()), learner, num_seeds=3).to_dict()
    ExperimentConfig.from_dict(content, seed=5)


def test_shared_entities_are_named_with_family_and_seed(monkeypatch):
    """A family that gives the first training entity as a held-out one with seed 6."""
    honest = Particle.population

    def population(self, seed, num_test=3):
        found = honest(self, seed, num_test)
        if seed == 6:
            query = found.test["displacement"].numpy()
            query[-1] = found.train["displacement"][0]
            found = found._replace(test={"displacement": query})
        return found

    monkeypatch.setattr(environments.Particle, "population", population)
    ExperimentConfig.from_dict(CONTENT | {"num_seeds": 1}, seed=5)
    message = r"held-out entities of particle with seed 6 that are training entities too to be none"
    with pytest.raises(ConfigError, match=message):
        ExperimentConfig.from_dict(CONTENT | {"num_seeds": 2}, seed=5)


def test_the_four_corners_are_all_there_are():
    """The one family that says that it holds nothing out."""
    content = maml_navigation.get_config().to_dict()
    content["environment"] |= {"goals": "corners", "reward": "sparse"}
    assert ExperimentConfig.from_dict(content)


def test_more_entities_than_a_family_has_are_refused_by_the_settings_name():
    """Families know nothing of configs, and call it `num_test`."""
    content = copy.deepcopy(CONTENT)
    name = "wheeled"
    content["environment"] = base.section(name, environments.ENVIRONMENTS[name][1]()).to_dict()
    content["evaluation"]["num_tasks"] = 400
    with pytest.raises(ConfigError, match=r"evaluation\.num_tasks to be .* received .*=400"):
        ExperimentConfig.from_dict(content)


def test_policies_may_have_no_hidden_layer():
    content = copy.deepcopy(CONTENT)
    for layers in ((), []):
        content["policy"]["fc_layer_params"] = layers
        assert len(ExperimentConfig.from_dict(content).policy["fc_layer_params"]) == 0
