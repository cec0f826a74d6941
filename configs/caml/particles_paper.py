"""CAML on the personalised particles as the paper's Algorithms 1 and 2 are written.

Random medoid for a training entity, uniform trials and the best single episode for a new one,
Scott's bandwidth and states weighted by their density. The paper leaves open how many updates an
entity gets per iteration; as with one nothing is learned, it is five here too.
"""

from tfcaml.configs import base
from tfcaml.configs.caml import particles as caml_particles

from tfcaml.learners import caml


def get_config():
    config = caml_particles.get_config()
    config.learner = base.section("caml", caml.paper_config())
    return config
