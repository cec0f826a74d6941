"""Families of few-shot tasks: Omniglot, folders of images, made-up strokes."""

import io
import pathlib
import zipfile

import numpy as np
import pytest
from PIL import Image

from tfcaml import environments, keys
from tfcaml.environments.supervised import omniglot as omniglot_module
from tfcaml.errors import ConfigError


def families():
    config = {"way": 4, "shots": 3}
    yield environments.Omniglot(environments.OmniglotConfig(**config))
    yield environments.Strokes(environments.StrokesConfig(**config))


@pytest.mark.parametrize("family", list(families()), ids=lambda family: type(family).__name__)
class TestAnyFamily:
    def test_it_can_be_learned_in(self, family):
        environments.check(family, quiet=True)

    def test_support_and_queries_are_other_drawings_of_the_same_classes(self, family):
        task = family.population(0, 3).test
        (shown, label), (asked, truth) = family.support(task), family.query(task, 20)
        assert shown.shape == [3, 12, 28, 28, 1] and asked.shape == [3, 20, 28, 28, 1]
        np.testing.assert_array_equal(label[0], list(range(4)) * 3)
        np.testing.assert_array_equal(truth[2], list(range(4)) * 5)
        flat = [np.reshape(x, [3, x.shape[1], -1]) for x in (shown, asked)]
        for row in range(3):
            distance = ((flat[0][row][:, None] - flat[1][row]) ** 2).sum(-1)
            assert distance.min() > 0
            same = label[row].numpy()[:, None] == truth[row].numpy()
            assert distance[same].mean() < distance[~same].mean()
        np.testing.assert_array_equal(family.query(task, 20)[0], asked)  # the same at every call
        assert np.min(asked) >= 0 and 0.9 < np.max(asked) <= 1

    def test_single_queries_pay_one_for_the_right_label(self, family):
        task = family.population(0, 2).test
        key = keys.per_episode(keys.from_int(0), 2, 40)
        state, image = family.reset(task, key)
        assert image.shape == [2, 40, 28, 28, 1]
        assert set(np.unique(state["label"])) == set(range(4))
        _, _, reward, terminated = family.step(task, state, state["label"], None)
        assert np.all(reward == 1) and np.all(terminated)
        _, _, reward, _ = family.step(task, state, (state["label"] + 1) % 4, None)
        assert np.all(reward == 0)
        shown, _ = family.support(task)
        for row in range(2):
            near = [np.reshape(x[row], [x.shape[1], -1]) for x in (image, shown)]
            assert ((near[0][:, None] - near[1]) ** 2).sum(-1).min() > 0

    def test_training_tasks_are_fresh_and_test_tasks_fixed(self, family):
        population, again = family.population(3, 5), family.population(3, 5)
        one, other = (population.sample(5, keys.from_int(seed))[0] for seed in range(2))
        assert not np.array_equal(one["order"], other["order"])
        np.testing.assert_array_equal(population.test["order"], again.test["order"])
        images = [family.support(task)[0].numpy() for task in (one, other)]
        assert not np.array_equal(*images)


def test_the_small_sets_have_161_characters_to_learn_from_and_81_to_be_tested_on():
    family = environments.Omniglot()
    assert len(family.training) == 161 and len(family.test) == 81
    assert {each.alphabet for each in family.test} == {"Balinese", "Korean", "Tagalog"}
    assert all(each.images.shape == (20, 28, 28, 1) for each in family.training)
    population = family.population(0, 200)
    assert population.test["class"].numpy().min() >= 161
    drawn = population.sample(200, keys.from_int(0))[0]
    assert set(np.unique(drawn["class"])) == set(range(161))
    for task in (population.test, drawn):
        assert all(len(set(row)) == 5 for row in task["class"].numpy())
        assert set(np.unique(task["turn"])) == {0, 1, 2, 3}
        order = np.sort(task["order"], axis=-1)
        np.testing.assert_array_equal(order, np.broadcast_to(np.arange(20), order.shape))


def test_images_are_those_of_the_zips_inverted_and_turned():
    family = environments.Omniglot(environments.OmniglotConfig(shots=2))
    task = family.population(0, 6).test
    shown, label = family.support(task)
    every = [*family.training, *family.test]
    for row in range(6):
        for place in range(10):
            which = int(label[row, place])
            number = int(task["order"][row, which, place // 5])
            image = every[int(task["class"][row, which])].images[number] / 255.0
            turned = np.rot90(image, int(task["turn"][row, which]))
            np.testing.assert_allclose(shown[row, place], turned, atol=1e-6)
    upright = environments.Omniglot(environments.OmniglotConfig(rotations=False))
    assert np.all(upright.population(0, 6).test["turn"] == 0) and upright.num_classes == 161


def test_fewer_characters_are_among_the_more():
    make = lambda n: environments.Omniglot(environments.OmniglotConfig(num_characters=n))
    named = lambda family: {(each.alphabet, each.name) for each in family.training}
    few, more, every = make(10), make(40), make(0)
    assert len(named(few)) == 10 and named(few) < named(more) < named(every)
    assert [each.name for each in few.test] == [each.name for each in every.test]
    chosen = environments.OmniglotConfig(training=("Greek",), held_out=("Latin",))
    assert len(environments.Omniglot(chosen).training) == 24


def picture(value, size=(105, 105), mode="L"):
    """The bytes of a PNG of one shade, with a mark."""
    image = Image.new(mode, size, value if mode == "L" else (value, 0, 255 - value))
    image.putpixel((0, 0), 0 if mode == "L" else (0, 0, 0))
    content = io.BytesIO()
    image.save(content, "PNG")
    return content.getvalue()


def write_zip(path, characters, drawings=4, size=(105, 105)):
    with zipfile.ZipFile(path, "w") as archive:
        for alphabet, count in characters.items():
            for number in range(count):
                for drawer in range(drawings):
                    name = f"set/{alphabet}/character{number:02}/{number:04}_{drawer:02}.png"
                    archive.writestr(name, picture(10 * number + drawer, size))
    return str(path)


def test_what_is_wrong_with_the_zips_is_said_in_one_line(tmp_path):
    good = write_zip(tmp_path / "good.zip", {"A": 5, "B": 5})
    make = lambda *paths, **options: environments.Omniglot(
        environments.OmniglotConfig(
            **{"paths": paths, "held_out": ("B",), "way": 5, "shots": 1, **options}
        )
    )
    family = make(good, good)  # what is there twice counts once
    assert len(family.training) == len(family.test) == 5 and family.drawings == 4
    garbage, cut = tmp_path / "garbage.zip", tmp_path / "cut.zip"
    garbage.write_bytes(b"no zip")
    content = pathlib.Path(good).read_bytes()
    cut.write_bytes(content[:3000])
    harmed = bytearray(content)
    place = harmed.find(b"IDAT")
    harmed[place + 4 : place + 40] = bytes(36)
    broken = tmp_path / "broken.zip"
    broken.write_bytes(bytes(harmed))
    shallow = tmp_path / "shallow.zip"
    with zipfile.ZipFile(shallow, "w") as archive:
        archive.writestr("a.png", picture(1))
    empty = tmp_path / "empty.zip"
    with zipfile.ZipFile(empty, "w") as archive:
        archive.writestr("readme.txt", "nothing")
    small = write_zip(tmp_path / "small.zip", {"A": 5, "B": 5}, size=(28, 28))
    for paths, options, message in (
        ((str(tmp_path / "none.zip"),), {}, "there is no such file"),
        ((str(garbage),), {}, "garbage.zip to be a zip; it is none, or is damaged"),
        ((str(cut),), {}, "cut.zip to be a zip; it is none, or is damaged"),
        ((str(broken),), {}, "damaged"),
        ((str(shallow),), {}, "ALPHABET/CHARACTER/DRAWING.png; received a.png"),
        ((str(empty),), {}, "there are none"),
        ((small,), {}, "an image of 105 x 105 points; received 28 x 28"),
        ((good,), {"way": 6}, "way to be at most 5, the characters for training"),
        ((good,), {"shots": 4}, "shots to be below the 4 drawings of a class"),
        ((good,), {"held_out": ("C",)}, "an alphabet of held_out to be one of A, B"),
        ((good,), {"num_characters": 6}, "num_characters to be at most 5"),
        ((good,), {"training": ("B",)}, "which are held out"),
        ((good,), {"held_out": ()}, "a list of one alphabet at least"),
    ):
        with pytest.raises(ConfigError, match=message) as raised:
            make(*paths, **options)
        assert "\n" not in str(raised.value)
    with pytest.raises(ConfigError, match="episodes of a task to be at most 15"):
        family.query(family.population(0, 1).test, 16)


def test_the_images_are_read_once_and_again_where_a_zip_changed(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"A": 5, "B": 5})
    config = environments.OmniglotConfig(paths=(path,), held_out=("B",))
    first = environments.Omniglot(config).training[0].images
    assert environments.Omniglot(config).training[0].images is first
    write_zip(tmp_path / "a.zip", {"A": 6, "B": 5})
    assert len(environments.Omniglot(config).training) == 6
    assert len(omniglot_module.SMALL_SETS) == 2


def write_folders(root, classes, images=4, size=(12, 10), mode="RGB"):
    for number, name in enumerate(classes):
        folder = root / name
        folder.mkdir(parents=True)
        for index in range(images):
            (folder / f"{index}.png").write_bytes(picture(20 * number + index, size, mode))


@pytest.fixture
def folders(tmp_path):
    """(options) -> `ImageFolders` of the test's folder."""

    def make(**options):
        base = {"path": str(tmp_path), "way": 2, "shots": 1, "size": 8}
        return environments.ImageFolders(environments.ImageFoldersConfig(**{**base, **options}))

    return make


def test_folders_of_the_layout_of_mini_imagenet(tmp_path, folders):
    write_folders(tmp_path / "train", ["a", "b", "c"])
    write_folders(tmp_path / "val", ["d", "e"])
    write_folders(tmp_path / "test", ["f", "g"], images=6)
    family = folders()
    assert [each.name for each in family.training] == ["a", "b", "c"]
    assert [each.name for each in family.test] == ["f", "g"]
    assert family.observation_spec.shape == [8, 8, 3] and family.drawings == 4
    environments.check(family, quiet=True)
    orders = family.population(0, 50).test["order"].numpy()
    assert orders.max() == 5 and orders.shape == (50, 2, 4)  # all six are drawn from
    assert [each.name for each in folders(test_folder="val").test] == ["d", "e"]
    grey = folders(colour=False, inverted=True)
    colour = family.support(family.population(0, 1).test)[0]
    assert grey.observation_spec.shape == [8, 8, 1] and colour.shape == [1, 2, 8, 8, 3]
    assert np.max(grey.support(grey.population(0, 1).test)[0]) > 0.5
    assert folders(rotations=True).num_classes == 12
    with pytest.raises(ConfigError, match="test_share to be left at"):
        folders(test_share=0.5)
    with pytest.raises(ConfigError, match="test_folder to be a folder in"):
        folders(test_folder="held")


def test_folders_without_a_split_hold_a_share_out_by_uppermost_folders(tmp_path, folders):
    write_folders(tmp_path, [f"{a}/{c}" for a in "xyz" for c in "123"], mode="L")
    family = folders(test_share=0.3)
    held_out = {each.name[0] for each in family.test}
    assert len(held_out) == 1 and len(family.test) == 3 and len(family.training) == 6
    assert held_out.isdisjoint(each.name[0] for each in family.training)
    with pytest.raises(ConfigError, match="test_share to be above 0"):
        folders()
    with pytest.raises(ConfigError, match="test_folder to be left at"):
        folders(test_share=0.3, test_folder="val")
    with pytest.raises(ConfigError, match="way to be at most 3, the classes for test"):
        folders(test_share=0.3, way=4)


def test_what_is_wrong_with_folders_is_said_in_one_line(tmp_path, folders):
    with pytest.raises(ConfigError, match="there are none"):
        folders(test_share=0.5)
    with pytest.raises(ConfigError, match="path to be a folder with one folder of images"):
        folders(path=str(tmp_path / "none"))
    with pytest.raises(ConfigError, match="path to be a folder with one folder of images"):
        environments.ImageFolders()
    write_folders(tmp_path, ["a", "b", "c", "d"], images=2)
    with pytest.raises(ConfigError, match="shots to be below the 2 drawings"):
        folders(test_share=0.5, shots=2)
    (tmp_path / "a" / "1.png").write_bytes(b"no image")
    with pytest.raises(ConfigError, match=r"1\.png to be an image; it is none, or is damaged"):
        folders(test_share=0.5)


def test_what_is_transparent_is_paper(tmp_path, folders):
    write_folders(tmp_path, ["a", "b", "c", "d"])
    ink = np.zeros([8, 8, 4], np.uint8)
    ink[2:5, 2:5, 3] = 255  # black on nothing
    of_palette = Image.fromarray(ink).quantize(4)
    for number, image in enumerate([Image.fromarray(ink), of_palette]):
        image.save(tmp_path / "a" / f"{number}.png")
    for colour in (True, False):
        family = folders(test_share=0.5, colour=colour)
        [found] = [x.images for x in [*family.training, *family.test] if x.name == "a"]
        expected = np.broadcast_to(255 - ink[..., 3:], found[0].shape)
        for drawing in found[:2]:
            np.testing.assert_array_equal(drawing, expected)


def test_images_that_would_lose_their_upper_bits_are_refused(tmp_path, folders):
    write_folders(tmp_path, ["a", "b", "c", "d"])
    deep = Image.fromarray(np.full([8, 8], 3000, np.uint16))
    deep.save(tmp_path / "a" / "1.png")
    for colour in (True, False):
        with pytest.raises(ConfigError, match=r"1\.png to be an image of 8 bits a channel"):
            folders(test_share=0.5, colour=colour)


def test_paths_that_no_system_has_are_refused(folders):
    for path in ("a" * 5000, "a\0b"):
        with pytest.raises(ConfigError, match="path to be a folder with one folder"):
            folders(path=path)
        with pytest.raises(ConfigError, match="to be a zip; there is no such file"):
            environments.Omniglot(environments.OmniglotConfig(paths=(path,)))


def test_strokes_differ_by_class_and_by_drawing():
    make = lambda **options: environments.Strokes(environments.StrokesConfig(**options))
    steady, family = make(unsteadiness=0.0), make()
    task = family.population(0, 2).test
    steadily = steady.query(task, 10)[0].numpy()
    widths = np.abs(steadily[:, 0] - steadily[:, 5])  # the same class: but for the pen
    assert widths.mean() < 0.02 < np.abs(steadily[:, 0] - steadily[:, 1]).mean()
    images = family.query(task, 50)[0].numpy()
    assert 0.03 < images.mean() < 0.3  # there is ink, and paper
    edge = np.concatenate([images[:, :, 0], images[:, :, -1]])
    assert edge.mean() < 0.05  # most of it within the image
    small = make(size=20, points=3)
    assert small.support(small.population(0, 1).test)[0].shape == [1, 5, 20, 20, 1]


def test_bad_options_are_refused():
    for config_class, options in (
        (environments.StrokesConfig, {"points": 1}),
        (environments.StrokesConfig, {"unsteadiness": -1.0}),
        (environments.StrokesConfig, {"size": 7}),
        (environments.OmniglotConfig, {"way": 1}),
        (environments.OmniglotConfig, {"shots": 0}),
        (environments.OmniglotConfig, {"num_characters": -1}),
        (environments.OmniglotConfig, {"paths": (1,)}),
        (environments.ImageFoldersConfig, {"size": 0}),
        (environments.ImageFoldersConfig, {"test_share": 1.0}),
        (environments.ImageFoldersConfig, {"test_folder": "train"}),
    ):
        with pytest.raises(ConfigError, match=next(iter(options))):
            config_class(**options)


def test_drawings_of_training_tasks_may_be_moved():
    options = {"shots": 2, "rotations": False}
    family = environments.Omniglot(environments.OmniglotConfig(shift=3, **options))
    plain = environments.Omniglot(environments.OmniglotConfig(**options))
    population = family.population(0, 5)
    assert np.all(population.test["shift"] == 0)
    assert set(np.unique(population.train["shift"])) == set(range(-3, 4))
    task = population.train
    moved, label = family.support(task)
    still, _ = plain.support(task)
    for row in range(5):
        for place in range(10):
            which = int(label[row, place])
            down, right = task["shift"].numpy()[row, which, place // 5]
            image = np.pad(still[row, place, ..., 0], 3, mode="edge")
            expected = image[3 - down : 31 - down, 3 - right : 31 - right]
            np.testing.assert_array_equal(moved[row, place, ..., 0], expected)
    with pytest.raises(ConfigError, match="shift to be 0 to 27"):
        environments.Omniglot(environments.OmniglotConfig(shift=28))
