"""Few-shot classification of a user's own images: one folder for each class.

MiniImagenet (S. Ravi, H. Larochelle, ICLR 2017) as it is usually unpacked, train/CLASS/IMAGE.jpg,
val/... and test/..., is such a folder; so is Omniglot unpacked, ALPHABET/CHARACTER/IMAGE.png.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import pathlib
from typing import Any, NamedTuple

import numpy as np

from tfcaml import settings
from tfcaml.environments.base import config_of
from tfcaml.environments.supervised import drawings
from tfcaml.environments.supervised.few_shot import DrawnImages, FewShotConfig
from tfcaml.errors import ConfigError, check, check_utf8, checked_call

_TRAIN, _TEST = "train", "test"
_LARGEST = 512  # points of a side


class ImageClass(NamedTuple):
    """A class and its images.

    name: the path of its folder below the one of its split, such as "n01532829" or
      "Greek/character01"
    images: uint8 [D, size, size, channels]
    """

    name: str
    images: np.ndarray


@settings.checked
@dataclasses.dataclass(frozen=True)
class ImageFoldersConfig(FewShotConfig):
    """Options of the family.

    Attributes:
      path: The folder. Every folder below it that holds images is a class, at whatever depth; all
        images are held in memory. With folders "train" and "test" in it these are the training and
        the held-out classes. Source: tfcaml.
      test_folder: The folder of the held-out classes, beside "train"; "val" to choose settings by.
        Source: MiniImagenet has train, val and test.
      test_share: Where there is no folder "train": which share of the classes is held out, drawn at
        random, of nested folders all classes of an uppermost one together. Source: tfcaml.
      size: Height and width that images are brought to. Unit: points. Source: MiniImagenet: 84.
      colour: Whether images are in colour, [size, size, 3], or grey, [size, size, 1]. Source:
        MiniImagenet: colour.
      inverted: Whether dark is 1 and white 0, as for drawings in ink. Source: MAML paper, section
        5.2, of Omniglot.
      rotations: Whether images turned by 90, 180 and 270 degrees are classes of their own. Source:
        MAML paper, section 5.2, of Omniglot.
      shift: By how much at most images are moved, down or up and to either side, in training tasks
        alone. Unit: points. Source: tfcaml.
    """

    path: str = ""
    test_folder: str = _TEST
    test_share: float = 0.0
    size: int = 84
    colour: bool = True
    inverted: bool = False
    rotations: bool = False
    shift: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        rule = "the name of a folder other than train, such as test or val"
        plain = self.test_folder not in ("", _TRAIN) and os.sep not in self.test_folder
        check(plain, "test_folder", self.test_folder, rule)
        check(0 <= self.test_share < 1, "test_share", self.test_share, "from 0 to below 1")
        check(1 <= self.size <= _LARGEST, "size", self.size, f"1 to {_LARGEST}")


class ImageFolders(DrawnImages):
    """The family.

    Attributes:
      training, test: the `ImageClass`es to learn from and those held out.
    """

    @checked_call
    def __init__(self, config: Any = None) -> None:
        config = config_of(config, ImageFoldersConfig)
        check_utf8("path", config.path)
        root = pathlib.Path(config.path)
        if not config.path or not os.path.isdir(root):  # which takes any text
            rule = "a folder with one folder of images for each class"
            raise ConfigError(f"expected path to be {rule}; received path={config.path!r}")
        read = lambda where: _classes(str(where), _stamp(where), config.size, config.colour)
        if os.path.isdir(root / _TRAIN):
            rule = f"left at 0.0, as {root} has a folder {_TRAIN}"
            check(config.test_share == 0, "test_share", config.test_share, rule)
            held_out = root / config.test_folder
            rule = f"a folder in {root} beside {_TRAIN}"
            check(os.path.isdir(held_out), "test_folder", config.test_folder, rule)
            self.training, self.test = read(root / _TRAIN), read(held_out)
        else:
            rule = f"left at {_TEST!r}, as {root} has no folder {_TRAIN}"
            check(config.test_folder == _TEST, "test_folder", config.test_folder, rule)
            rule = f"above 0, as {root} has no folder {_TRAIN}"
            check(config.test_share > 0, "test_share", config.test_share, rule)
            self.training, self.test = _split(read(root), config.test_share)
        every = [*self.training, *self.test]
        images = np.concatenate([each.images for each in every])
        images = 255 - images if config.inverted else images
        counts = [len(each.images) for each in every]
        split = len(self.training)
        super().__init__(config, images, counts, split, config.rotations, config.shift)


def _folders(root: pathlib.Path) -> list[pathlib.Path]:
    """All folders at and below `root` that hold images themselves, in the order of their names."""
    places = sorted(pathlib.Path(where) for where, _, _ in os.walk(root))
    return [place for place in places if drawings.files(place)]


def _stamp(root: pathlib.Path) -> tuple[tuple[str, int, int], ...]:
    return drawings.stamp(path for folder in _folders(root) for path in drawings.files(folder))


@functools.lru_cache(maxsize=2)
def _classes(
    root: str, stamps: tuple[tuple[str, int, int], ...], size: int, colour: bool
) -> list[ImageClass]:
    """The classes in a folder; `stamps` tells whether their files are as they were."""
    read = lambda path: drawings.decoded(
        str(path), path.read_bytes(), (size, size), "RGB" if colour else "L"
    )
    found = [
        ImageClass(
            folder.relative_to(root).as_posix(),
            np.stack([read(path) for path in drawings.files(folder)]),
        )
        for folder in _folders(pathlib.Path(root))
    ]
    if not found:
        raise ConfigError(f"expected folders of images in {root}; there are none")
    return found


def _split(classes: list[ImageClass], share: float) -> tuple[list[ImageClass], list[ImageClass]]:
    """(classes to learn from, held-out classes), whole uppermost folders each."""
    groups = sorted({each.name.partition("/")[0] for each in classes})
    held_out: set[str] = set()
    for index in np.random.default_rng(0).permutation(len(groups)):
        if sum(each.name.partition("/")[0] in held_out for each in classes) < share * len(classes):
            held_out.add(groups[index])
    of = lambda wanted: [
        each for each in classes if (each.name.partition("/")[0] in held_out) is wanted
    ]
    return of(False), of(True)
