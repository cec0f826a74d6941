"""The smallest family in which a learner can learn, for tests that are made for each learner."""

from tests.places import Places
from tfcaml import environments
from tfcaml.learners import LEARNERS, MAMLClassification, NearestNeighbour
from tfcaml.learners.imitation.base import ImitationLearner

# Their policies are made by themselves alone.
IMITATION = {name for name, each in LEARNERS.items() if issubclass(each, ImitationLearner)}
FEW_SHOT = {
    name
    for name, each in LEARNERS.items()
    if issubclass(each, (MAMLClassification, NearestNeighbour))
}


def home(name):
    """A family in which the learner of that name can learn."""
    if name == "oracle":
        options = environments.NavigationConfig(observe_goal=True, horizon=4)
        return environments.Navigation(options)
    if "regression" in name:
        return environments.Sinusoid()
    if name == "hindsight_relabelling":
        return environments.Maze(environments.MazeConfig(horizon=4))
    if name in IMITATION:
        return Places(horizon=4)
    if name in FEW_SHOT:
        return environments.Omniglot(environments.OmniglotConfig(way=3, shots=2))
    return environments.Particle(environments.ParticleConfig(horizon=4))


def small_settings(name):
    """Settings with which demonstrations take a moment; of other learners none."""
    if name not in IMITATION:
        return {}
    return {
        "demonstrations": {"per_task": 4, "attempts": 1},
        "network": {"object_layers": 1, "object_units": 4, "places": 2},
    }
