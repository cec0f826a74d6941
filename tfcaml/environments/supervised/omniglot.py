"""Omniglot: handwritten characters of many alphabets, each drawn once by twenty people.

B. Lake, R. Salakhutdinov, J. Tenenbaum, "Human-level concept learning through probabilistic program
induction", Science 2015. The two small background sets, 242 characters of eight alphabets, come
with the package (MIT licence, see `data/LICENSE`); any of the official zips can be named instead,
such as images_background.zip and images_evaluation.zip.

Images are shrunk to 28 x 28 points and inverted, 1 is ink, and turned characters are characters of
their own, as in C. Finn, P. Abbeel, S. Levine, ICML 2017, section 5.2. Whole alphabets are held out
for test tasks.
"""

from __future__ import annotations

import dataclasses
import functools
import pathlib
from typing import Any, NamedTuple

import numpy as np

from tfcaml import settings
from tfcaml.environments.base import config_of
from tfcaml.environments.supervised import drawings
from tfcaml.environments.supervised.few_shot import DrawnImages, FewShotConfig
from tfcaml.errors import ConfigError, check, check_one_of, checked_call

_DATA = pathlib.Path(__file__).parent / "data"
# The zips of the two small sets of characters to learn from, which are part of the package.
SMALL_SETS = tuple(str(_DATA / f"images_background_small{i}.zip") for i in (1, 2))
_SIZE = (28, 28)
_DRAWN = (105, 105)  # points of the images in the zips


class Character(NamedTuple):
    """A character and its drawings.

    alphabet, name: as the folders in the zips are called, such as "Greek" and "character01"
    images: uint8 [D, 28, 28, 1], 255 is ink
    """

    alphabet: str
    name: str
    images: np.ndarray


@settings.checked
@dataclasses.dataclass(frozen=True)
class OmniglotConfig(FewShotConfig):
    """Options of the family.

    Attributes:
      paths: The zips, in the layout of the official ones; empty: the two small background sets that
        come with the package. A character that several of them have counts once. Source: Lake et
        al., 2015.
      held_out: Alphabets of the test tasks. Source: tfcaml; with the small sets they leave 161
        characters to learn from.
      training: Alphabets to learn from; empty: all that are not held out. Source: tfcaml.
      num_characters: How many of the training characters are learned from, drawn at random; 0: all.
        Source: tfcaml.
      rotations: Whether characters turned by 90, 180 and 270 degrees are classes too, in training
        and in test tasks. Source: MAML paper, section 5.2.
      shift: By how much at most drawings are moved, down or up and to either side, in training
        tasks alone. Unit: points. Source: tfcaml.
    """

    paths: tuple = ()
    held_out: tuple = ("Balinese", "Korean", "Tagalog")
    training: tuple = ()
    num_characters: int = 0
    rotations: bool = True
    shift: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("paths", "held_out", "training"):
            value = getattr(self, name)
            check(all(isinstance(x, str) for x in value), name, value, "a list of texts")
            object.__setattr__(self, name, tuple(value))  # a list, in JSON
        check(self.held_out, "held_out", self.held_out, "a list of one alphabet at least")
        both = sorted(set(self.held_out) & set(self.training))
        check(not both, "training", self.training, f"without {both}, which are held out")
        check(self.num_characters >= 0, "num_characters", self.num_characters, ">= 0")


class Omniglot(DrawnImages):
    """The family.

    Attributes:
      training, test: the `Character`s to learn from and those held out.
    """

    @checked_call
    def __init__(self, config: Any = None) -> None:
        config = config_of(config, OmniglotConfig)
        characters = _characters(drawings.stamp(config.paths or SMALL_SETS))
        alphabets = sorted({each.alphabet for each in characters})
        for name in ("held_out", "training"):
            for alphabet in getattr(config, name):
                check_one_of(f"an alphabet of {name}", alphabet, alphabets)
        chosen = config.training or sorted(set(alphabets) - set(config.held_out))
        self.test = [each for each in characters if each.alphabet in config.held_out]
        self.training = [each for each in characters if each.alphabet in chosen]
        if config.num_characters:
            most = len(self.training)
            rule = f"at most {most}, the characters to learn from"
            check(config.num_characters <= most, "num_characters", config.num_characters, rule)
            # The same shuffle for any number, so that more characters are the fewer and others.
            order = np.random.default_rng(0).permutation(most)[: config.num_characters]
            self.training = [self.training[i] for i in sorted(order)]
        every = [*self.training, *self.test]
        images = np.concatenate([each.images for each in every])
        counts = [len(each.images) for each in every]
        split = len(self.training)
        super().__init__(
            config, images, counts, split, config.rotations, config.shift, "characters"
        )


@functools.lru_cache(maxsize=4)
def _characters(stamps: tuple[tuple[str, int, int], ...]) -> list[Character]:
    """All characters of the zips, each once, in the order of their names."""
    found: dict[tuple[str, str], dict[str, np.ndarray]] = {}
    for path, *_ in stamps:
        for name, read in drawings.members(path).items():
            parts = pathlib.PurePosixPath(name).parts
            if len(parts) < 3:
                raise ConfigError(
                    f"expected images of {path} as ALPHABET/CHARACTER/DRAWING.png; received {name}"
                )
            # The number of the drawer ends the file's name, what is before differs between zips.
            drawer = parts[-1].rpartition("_")[2]
            mine = found.setdefault((parts[-3], parts[-2]), {})
            if drawer not in mine:
                pixels = drawings.decoded(f"{path}/{name}", read(), _SIZE, "L", _DRAWN)
                mine[drawer] = 255 - pixels
    if not found:
        paths = ", ".join(path for path, *_ in stamps)
        raise ConfigError(f"expected images in {paths}; there are none")
    return [
        Character(*which, np.stack([mine[drawer] for drawer in sorted(mine)]))
        for which, mine in sorted(found.items())
    ]
