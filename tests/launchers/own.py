"""A learner and a family of a user's own, as configs name them: MODULE:CLASS."""

import dataclasses

from tfcaml import environments, learners


@dataclasses.dataclass(frozen=True)
class HalvedConfig(learners.Reptile.Config):
    """Settings of `Halved`."""

    share: float = 0.5  # of Reptile's outer step


class Halved(learners.Reptile):
    """Reptile whose outer steps are a share of what they are."""

    Config = HalvedConfig

    def update(self, batch):
        before = self.meta.read()["params"]
        metrics = super().update(batch)
        share = self.config.share
        after = [old + share * (new - old) for old, new in zip(before, self.meta.read()["params"])]
        self.meta.write({"params": tuple(after)})
        return metrics


class Plane(environments.Particle):
    """Particles under another name."""

    Config = environments.ParticleConfig


class NoDefault(learners.Reptile):
    """Its options can't be left out."""

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Config(learners.Reptile.Config):
        """Settings of `NoDefault`."""

        size: int


class NoConfig(environments.TaskFamily):
    """A family without options."""
