"""What a config may hold."""

import dataclasses
import re

import pytest

from tests.dotted import nested
from tfcaml import environments, learners, settings
from tfcaml.errors import ConfigError, check, check_acts
from tfcaml.learners.caml.config import ChoiceConfig, DivergenceConfig
from tfcaml.learners.hindsight.buffer import HindsightBufferConfig


@dataclasses.dataclass(frozen=True)
class Options:
    count: int
    rate: float = 0.5
    bound: float = dataclasses.field(default=1.0, metadata={"infinite": True})
    flag: bool = False
    name: str = "a"
    layers: tuple = (1,)
    num_iterations: int = 3


def filled(**options):
    return settings.filled("here", Options, {"count": 1, **options})


def test_options_become_the_dataclass():
    found = filled(rate=1, bound=float("inf"), flag=True, layers=[8, 8], num_iterations=10**9)
    assert found == Options(1, 1, float("inf"), True, "a", [8, 8], 10**9)


@pytest.mark.parametrize(
    ("field", "value", "allowed"),
    [
        ("count", 2.0, "a whole number of at most 1000000"),
        ("count", True, "a whole number"),
        ("count", "1", "a whole number"),
        ("count", None, "a whole number"),
        ("count", 10**6 + 1, "at most 1000000"),
        ("count", -(10**300), "at most 1000000"),
        ("num_iterations", 10**9 + 1, "at most 1000000000"),
        ("rate", "0.5", "a finite number"),
        ("rate", True, "a finite number"),
        ("rate", float("nan"), "a finite number"),
        ("rate", float("inf"), "a finite number"),
        ("rate", 1e39, "a finite number"),
        ("rate", 10**400, "a finite number"),
        ("bound", float("nan"), "a finite number"),
        ("bound", float("-inf"), "a finite number"),
        ("flag", 1, "True or False"),
        ("name", 1, "text"),
        ("layers", "88", "a list"),
    ],
)
def test_other_types_and_absurd_numbers_are_refused(field, value, allowed):
    with pytest.raises(ConfigError, match=f"^here: expected {field} to be .*{allowed}.*; received"):
        filled(**{field: value})


def test_null_is_infinity_where_that_is_allowed():
    """JSON has no word for infinity."""
    assert settings.as_json({"bound": float("inf"), "layers": (1,)}) == {
        "bound": None,
        "layers": [1],
    }
    assert filled(**settings.as_json({"bound": float("inf")})).bound == float("inf")
    with pytest.raises(
        ConfigError, match="expected rate to be a finite number; received rate=None"
    ):
        filled(rate=None)


def test_whole_numbers_in_the_place_of_fractions_become_them():
    """So that a sweep or a flag, which keep a setting's type, take fractions of it."""
    assert isinstance(filled(rate=1).rate, float)
    assert isinstance(learners.MAML.Config(inner_learning_rate=1).inner_learning_rate, float)


def test_a_switch_is_one_of_three():
    for value in (True, False, None):
        settings.check_switch("it", value)
    for value in (1, 0, "x", [], float("nan")):
        with pytest.raises(
            ConfigError, match="expected it to be True, False or None; received it="
        ):
            settings.check_switch("it", value)


def test_unknown_and_missing_fields_are_named():
    with pytest.raises(ConfigError, match=r"here: unknown field 'rat'; .*allowed are count, rate"):
        filled(rat=1)
    with pytest.raises(ConfigError, match="here: missing field 'count'"):
        settings.filled("here", Options, {})
    with pytest.raises(ConfigError, match="expected here to be a dict of fields; received"):
        settings.filled("here", Options, [1])


@dataclasses.dataclass(frozen=True)
class Inner:
    rate: float = 0.5
    bound: float = dataclasses.field(default=1.0, metadata={"infinite": True})

    def __post_init__(self):
        check(self.rate > 0, "rate", self.rate, "> 0")


@dataclasses.dataclass(frozen=True)
class Grouped:
    first: Inner = Inner()
    second: Inner = Inner(rate=0.25)
    count: int = 1

    def __post_init__(self):
        settings.fill_groups(self)
        check_acts(self, ("first.bound",), self.second.rate < 1, "with second.rate < 1")


@dataclasses.dataclass(frozen=True)
class Outermost:
    middle: Grouped = Grouped(count=3)

    def __post_init__(self):
        settings.fill_groups(self)


def test_a_dict_gives_what_differs_from_the_default_of_a_group():
    assert Grouped(second={"bound": 2.0}) == Grouped(second=Inner(0.25, 2.0))
    assert Grouped(second=Inner()).second.rate == 0.5
    assert settings.filled("here", Grouped, {"second": {"bound": None}}).second == Inner(
        0.25, float("inf")
    )
    found = settings.filled("here", Outermost, {"middle": {"second": {"rate": 0.75}}})
    assert found.middle == Grouped(second=Inner(0.75), count=3)
    assert found == Outermost(**settings.as_json(dataclasses.asdict(found)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"second": {"rat": 1}},
            r"unknown field 'second\.rat'; did you mean .*second\.rate\? allowed are .*\.bound$",
        ),
        ({"second": {"rate": "x"}}, r"expected second\.rate to be a finite number; received sec"),
        ({"second": {"rate": -1.0}}, r"expected second\.rate to be > 0; received second\.rate=-1"),
        ({"second": 3}, "expected second to be a dict of fields, or of class Inner; received"),
        ({"second": None}, "expected second to be a dict of fields, or of class Inner; received"),
        (
            {"first": {"bound": 2.0}, "second": {"rate": 2.0}},
            r"expected first\.bound to be left at 1\.0, as it acts only with second\.rate < 1; rec",
        ),
    ],
)
def test_fields_in_groups_are_named_with_dots(options, message):
    """In Python, in a config, and deeper down."""
    inside = message.replace("'", r"'middle\.", 1).replace("expected ", r"expected middle\.")
    for make, text in (
        (lambda: Grouped(**options), f"^{message}"),
        (lambda: settings.filled("here", Grouped, options), f"^here: {message}"),
        (lambda: Outermost(options), f"^{inside.split('; rec')[0]}"),
    ):
        with pytest.raises(ConfigError, match=text):
            make()


def test_groups_that_are_no_use_are_refused_whole():
    with pytest.raises(ConfigError, match=r"expected first\.rate to be left at 0\.5, as it acts"):
        check_acts(Grouped(first=Inner(2.0)), ("count", "first"), False, "nowhere")
    check_acts(Grouped(), ("count", "first"), False, "nowhere")


def test_nested_dicts_flat_and_merged():
    one, other = {"a": {"b": 1, "c": {"d": 2}}, "e": 3}, {"a": {"c": {"d": 4}}, "e": {}, "f": 5}
    assert settings.flat(one) == {"a.b": 1, "a.c.d": 2, "e": 3}
    assert settings.merged(one, other) == {"a": {"b": 1, "c": {"d": 4}}, "e": {}, "f": 5}
    assert one == {"a": {"b": 1, "c": {"d": 2}}, "e": 3}


SIZES = [
    ("meta_batch_size", {"meta_batch_size": 10**6}, {}, (100, 100)),
    ("policies_per_clustering", {"policies_per_clustering": 10**5}, {}, (100, 100)),
    ("buffer.capacity", {"buffer.capacity": 10**5}, {}, (100, 100)),
    ("evaluation.num_tasks", {}, {"num_tasks": 10**6}, (100, 100)),
    ("evaluation.num_tasks", {}, {"num_tasks": 10**3, "episodes": 10**6}, (8,)),
    ("meta_batch_size", {}, {}, (10**5, 10**5)),
    ("meta_batch_size", {"episodes_per_update": 10**6}, {}, (8,)),
    # 5 tasks x 5,000 episodes x 100 steps are 2e7 numbers, and 2,000 outputs at each step 5e9.
    ("meta_batch_size", {"episodes_per_update": 5000}, {}, (1000, 1000)),
    # A matrix of all pairs of 40,000 policies.
    ("policies_per_clustering", {"policies_per_clustering": 40_000}, {}, (1,)),
    # All 1,000 medoids are tried on all tasks of an iteration.
    ("num_medoids", {"num_medoids": 1000, "meta_batch_size": 2000}, {}, (8,)),
]


def unchecked(config_class, fields):
    """A config that has attributes of another object, whether it would allow them or not."""
    made = object.__new__(config_class)
    for field in dataclasses.fields(fields):
        object.__setattr__(made, field.name, getattr(fields, field.name))
    return made


@pytest.mark.parametrize(("name", "config", "measured", "layers"), SIZES)
def test_products_that_no_memory_holds_are_refused(name, config, measured, layers):
    @dataclasses.dataclass(frozen=True)
    class Config:
        meta_batch_size: int = 5
        policies_per_clustering: int = 25
        episodes_per_update: int = 10
        test_episodes_per_update: int = 0
        saved_episodes: int = 1
        num_medoids: int = 8
        choice: ChoiceConfig = ChoiceConfig(trial_episodes=2)
        divergence: DivergenceConfig = DivergenceConfig()
        buffer: HindsightBufferConfig = HindsightBufferConfig(capacity=25)

        def __post_init__(self):
            settings.fill_groups(self)

        def steps_held(self, horizon):
            return horizon

        def stored(self, *sizes):
            """What CAML and hindsight MAML store."""
            caml, hindsight = (
                unchecked(x.Config, self) for x in (learners.CAML, learners.HindsightMAML)
            )
            return [*caml.stored(*sizes), hindsight.stored(*sizes)[-1]]

    particle = environments.Particle()
    measured = {"num_tasks": 3, "episodes": 20, **measured}
    settings.check_sizes("caml", Config(), particle, (100, 100), {"num_tasks": 3, "episodes": 20})
    with pytest.raises(ConfigError, match=f"expected {name} to be so small that caml holds at mos"):
        settings.check_sizes("caml", Config(**nested(config)), particle, layers, measured)


def test_what_an_outer_gradient_holds_is_counted():
    """It needs the batches of all inner steps at once, and derivatives of derivatives.

    An iteration of MAML, 40 tasks, 20 episodes of 100 steps, two layers of 100 units, was measured
    to take 0.61 GB with one inner step and 1.33 GB with three, one of Reptile with 40 episodes
    0.30 GB.
    """
    particle = environments.Particle(environments.ParticleConfig(horizon=100))
    measured = {"num_tasks": 1, "episodes": 1}

    def least(config):
        """Bytes of the smallest limit under which a config is allowed."""
        with pytest.MonkeyPatch.context() as patch, pytest.raises(ConfigError) as error:
            patch.setattr(settings, "MOST_NUMBERS", 0)
            settings.check_sizes("it", config, particle, (100, 100), measured)
        return 4 * float(re.search(r"not (\S+),", str(error.value))[1])

    maml = learners.MAML.Config(meta_batch_size=40, episodes_per_update=20)
    for config, gigabytes in (
        (maml, 0.61),
        (dataclasses.replace(maml, inner_updates=3), 1.33),
        (learners.Reptile.Config(meta_batch_size=40, episodes_per_update=40), 0.30),
    ):
        assert least(config) / 1e9 == pytest.approx(gigabytes, rel=0.2)


def test_the_docstring_of_a_config_tells_all_fields_in_their_order():
    @settings.documented
    @dataclasses.dataclass(frozen=True)
    class Base:
        """What it sets.

        Attributes:
          size: How large. Unit: m. Source: somebody, 1.0.
          name: Which one
            it is (of two): a name.
        """

        size: float = 1.0
        name: str = "one"

    @settings.documented
    @dataclasses.dataclass(frozen=True)
    class Derived(Base):
        """Another one.

        Attributes:
          size: How large this is.
          base: Of another.
        """

        size: float = 2.0
        base: Base = Base(name="two")

    assert settings.descriptions(Base) == {
        "size": "How large. Unit: m. Source: somebody, 1.0.",
        "name": "Which one it is (of two): a name.",
    }
    assert settings.descriptions(Derived) == {
        "size": "How large this is.",
        "name": "Which one it is (of two): a name.",
        "base": "Of another.",
    }
    assert Derived.__doc__.splitlines() == [
        "Another one.",
        "",
        "Attributes:",
        "  size (float, default 2.0): How large this is.",
        "  name (str, default 'one'): Which one it is (of two): a name.",
        "  base (Base, default Base(name='two')): Of another.",
    ]
    assert settings.documented(Derived).__doc__.count("size (float") == 1  # twice changes nothing
