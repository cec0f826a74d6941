"""Settings of advantages."""

import dataclasses
from typing import ClassVar

from tfcaml import settings
from tfcaml.advantages import baselines
from tfcaml.errors import check, check_one_of


@settings.checked
@dataclasses.dataclass(frozen=True)
class AdvantageConfig:
    """What `baselines.advantage` makes of a trajectory.

    The defaults are those of the CAML study: reward-to-go less the mean over episodes at each time
    step, divided by one scale per batch.

    Attributes:
      discount: Discount factor of rewards per step, gamma. Source: the CAML reproduction
        (docs/caml.md).
      return_type: What an action is credited with: "reward_to_go", what is earned from it on, or
        "whole_return", what the whole episode earns. Source: the CAML reproduction; R. J. Williams,
        1992, for the whole return.
      baseline: What is subtracted from returns: "none", "batch_mean", "time_step_mean" (the mean
        over episodes at each step) or "linear_feature" (ridge regression on observations and time,
        fitted for each task). Source: the CAML reproduction; Y. Duan et al., ICML 2016, for
        "linear_feature".
      gae_lambda: Lambda of generalised advantage estimation; 1 is the return minus the baseline.
        Source: J. Schulman et al., ICLR 2016.
      normalize: Whether advantages are brought to mean 0 and standard deviation 1 over a task's
        batch; without a baseline their mean stays. Source: the CAML reproduction.
    """

    discount: float = 0.99
    return_type: str = "reward_to_go"
    baseline: str = "time_step_mean"
    gae_lambda: float = 1.0
    normalize: bool = True

    BASELINES: ClassVar[tuple[str, ...]] = tuple(baselines.BASELINES)

    def __post_init__(self) -> None:
        check(0 < self.discount <= 1, "discount", self.discount, "in (0, 1]")
        check(0 <= self.gae_lambda <= 1, "gae_lambda", self.gae_lambda, "in [0, 1]")
        if self.gae_lambda < 1:
            rule = "reward_to_go when gae_lambda < 1"
            check(self.return_type == "reward_to_go", "return_type", self.return_type, rule)
        check_one_of("return_type", self.return_type, tuple(baselines.RETURNS))
        check_one_of("baseline", self.baseline, self.BASELINES)

    def why_alone_is_nothing(self) -> str | None:
        """Why the advantages of an episode alone are all 0; None where they are not.

        They are where the baseline is a mean over episodes, or fits the one number that is the
        whole return.
        """
        if self.baseline == "time_step_mean":
            return "the mean over episodes at each time step"
        if self.baseline != "none" and self.return_type == "whole_return":
            return f"{self.baseline} of whole_return, which is one number per episode"
        return None
