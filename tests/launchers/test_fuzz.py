"""Whatever is given to a launcher, it works or says in one line why not, and then changes nothing.

Cases by hypothesis, some hundreds in the long form. Launchers run in processes of their own; those
that train only plan to.
"""

import json
import os
import pathlib
import re
import shutil

import hypothesis
import pytest
from hypothesis import strategies as st
from tfcaml.configs.caml import particles as caml_particles

TEXTS = [
    *("", " ", "-1", "0", "1", "2.5", "nan", "inf", "-inf", "1e400", "1e-400", "1e30", "1" * 400),
    *("1000000000", "1000000000000", "True", "None", "none", "[]", "()", "{}", "(1,)", "(0,)"),
    *("(1000000000,)", "(100000,100000)", "(8,'8')", "(nan,)", "'", '"', "\\", "a,b", "=", "--"),
    *("ü☃", "a\nb", "\t", "\udcff", "../../x", "/etc/passwd", "/proc/1/x", "%s%n", "x" * 5000),
    "__import__('os').system('touch executed')",
    "open('executed', 'w')",
]
NUMBERS = [-1, 0, 1, 3, 2.5, float("nan"), float("inf"), -1e308, 10**9, 10**12, 10**300, 2**31]
VALUES = [*NUMBERS, None, True, False, "", "six", "../x", "ü", [], [10**9], {}, {"name": "caml"}]
VALUES += [[[[]]], {"a": {"b": None}}, "x" * 5000, [True], ["8"], [10**5, 10**5], [8] * 5000]


def leaves(config, prefix=""):
    for name, value in config.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{name}.")
        yield prefix + name


FIELDS = list(leaves(caml_particles.get_config().to_dict()))
SMALL = [
    *("--config=caml/particles", "--config.environment.horizon=3"),
    *("--config.policy.fc_layer_params=(4,)", "--config.num_seeds=1"),
]
text = st.sampled_from(TEXTS) | st.text(max_size=8).filter(lambda x: "\0" not in x)


def flags(*names, values=text):
    return st.tuples(st.sampled_from(names), values).map(lambda pair: f"--{pair[0]}={pair[1]}")


FORMS = pytest.mark.parametrize(
    "number", [pytest.param(6, id="short"), pytest.param(130, id="long", marks=pytest.mark.soak)]
)


def check_all(number, strategy, check):
    """`check` of so many cases."""
    # A smaller case that fails is not worth the minutes that finding it would take.
    settings = hypothesis.settings(max_examples=number, phases=[hypothesis.Phase.generate])
    settings(hypothesis.given(strategy)(check))()


def one_line(code, lines, accepted=(0, 3)):
    """It worked, or said in a line why not."""
    assert code in (*accepted, 2), (code, lines[-5:])
    assert not any("Traceback" in line for line in lines), lines
    if code == 2:
        assert lines[-1].startswith("error: ") and len(lines[-1]) > 20, lines
        assert sum(line.startswith("error: ") for line in lines) == 1
        assert all(re.match(r"error: |WARNING|W\d{4} ", line) for line in lines), lines
    return code


@FORMS
def test_flags_of_train(number, serve, tmp_path, fingerprint):
    (tmp_path / "file").write_text("")
    (tmp_path / "empty.py").write_text("")
    (tmp_path / "raises.py").write_text("def get_config():\n    return {}['config']\n")
    odd = st.sampled_from(["file", "empty.py", "raises.py", "", "none"]).map(
        lambda name: [f"--config={tmp_path / name}"]
    )
    names = ("seed", "keep", "save_interval", "jit_compile", "allow_fresh_start", "nosuch")
    given = flags(*names, "sweep", "ray_address", "worker_timeout")
    override = flags(*[f"config.{name}" for name in FIELDS])
    root = st.sampled_from(["run", "run/ü", "file", "file/run", "run/\udcff"])

    def check(name, config, arguments):
        before = fingerprint(tmp_path)
        where = f"--root_dir={tmp_path / name}"
        if not one_line(*serve("train", *config, where, *arguments, plan=True)):
            raise AssertionError("it has been told not to train")
        run = tmp_path / "run"
        if run.exists() and str(run) not in before:
            shutil.rmtree(run)  # planned, not refused
        assert fingerprint(tmp_path) == before

    arguments = st.lists(override | override | given, min_size=1, max_size=3)
    config = st.just(SMALL) | st.just(SMALL) | st.just(SMALL) | odd
    check_all(number, st.tuples(root, config, arguments), lambda case: check(*case))
    assert not pathlib.Path("executed").exists()


@FORMS
def test_flags_of_other_launchers(number, serve, tmp_path, fingerprint):
    (tmp_path / "file").write_text("")
    out = st.sampled_from(["new", "file", "file/x"]).map(lambda name: str(tmp_path / name))
    common = {
        "reproduce": (["study", "seeds", "quick"], "out_dir"),
        "benchmark": (["workload", "repeats", "quick"], "out"),
        "evaluate": (["num_tasks", "num_updates", "episodes"], "root_dir"),
        "export": (["method", "seed", "shots", "root_dir"], "out"),
        "film": (["method", "seed", "task", "num_updates", "root_dir"], "out"),
        "demonstrate": (["seed", "num_tasks", "config"], "path"),
    }

    def check(name, path, arguments):
        before = fingerprint(tmp_path)
        one_line(*serve(name, f"--{common[name][1]}={path}", *arguments), accepted=())
        assert fingerprint(tmp_path) == before

    cases = st.sampled_from(sorted(common)).flatmap(
        lambda name: st.tuples(
            st.just(name), out, st.lists(flags(*common[name][0]), min_size=1, max_size=3)
        )
    )
    check_all(number, cases, lambda case: check(*case))


def change(root, path, how, value):
    """One change of a run directory. path, how: numbers that choose; value: of a field."""
    files = sorted(p for p in root.rglob("*") if p.is_file())
    everything = sorted(root.rglob("*"))
    config = root / "config.json"
    path = everything[path % len(everything)]
    if how < 6:
        content = json.loads(config.read_text())
        names = list(leaves(content))
        *sections, name = names[hash_of(str(path), how) % len(names)].split(".")
        section = content
        for each in sections:
            section = section[each]
        if how == 0:
            del section[name]
        elif how == 1:
            section["more"] = value
        else:
            section[name] = value
        config.write_text(json.dumps(content))
    elif how == 6:
        config.write_text(json.dumps(value))
    elif how == 7:
        config.write_text("[" * (10 if value else 100_000))
    elif how == 8:
        files[hash_of(str(path), how) % len(files)].write_bytes(b"cos\nsystem\n" * 20)
    elif how == 9:
        file = files[hash_of(str(path), how) % len(files)]
        os.truncate(file, file.stat().st_size // 2)
    else:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        if how == 11:
            path.mkdir()
        elif how == 12:
            path.symlink_to("/etc/hostname" if value else root.parent)
        elif how == 13:
            os.mkfifo(path)
        elif how == 14:
            path.write_bytes(b"")
        elif how == 15:
            path.touch()
            os.truncate(path, 2**40)


def hash_of(text, number):
    return sum(map(ord, text)) * 31 + number


@pytest.mark.slow
@FORMS
def test_run_directories(number, serve, tiny_run, tmp_path, fingerprint):
    root = tmp_path / "run"

    def check(where, how, value, launcher, more):
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(tiny_run, root)
        change(root, where, how, value)
        before = fingerprint(root)
        arguments = [f"--root_dir={root}", *more]
        if launcher == "export":
            arguments = [f"--root_dir={root}", f"--out={tmp_path / 'model'}"]
        if launcher == "train":
            arguments = [f"--root_dir={root}", f"--config={tiny_run.parent / 'tiny.py'}"]
        code = one_line(*serve(launcher, *arguments))
        if code or launcher == "export":
            assert fingerprint(root) == before
        shutil.rmtree(tmp_path / "model", ignore_errors=True)

    more = st.just([]) | flags("num_tasks", "num_updates", "episodes").map(lambda flag: [flag])
    launcher = st.sampled_from(["evaluate", "evaluate", "train", "export"])
    cases = st.tuples(
        st.integers(0, 50), st.integers(0, 15), st.sampled_from(VALUES), launcher, more
    )
    check_all(number, cases, lambda case: check(*case))


@pytest.fixture(scope="module")
def model(serve, tiny_run):
    """An export of the run."""
    path = tiny_run.parent / "model"
    code, lines = serve("export", f"--root_dir={tiny_run}", f"--out={path}")
    assert code == 0, lines
    return path


@FORMS
def test_cards_of_exports_and_flags_of_personalise(number, serve, model, fingerprint):
    card = (model / "card.json").read_text()
    names = list(leaves(json.loads(card)))

    def check(name, value, arguments, how):
        content = json.loads(card)
        *sections, name = names[name % len(names)].split(".")
        section = content
        for each in sections:
            section = section[each]
        section[name] = value
        if how == 1:
            del section[name]
        if how != 2:
            (model / "card.json").write_text(json.dumps(content if how < 4 else value))
        before = fingerprint(model)
        model_flag = f"--model={model}"
        one_line(*serve("personalise", model_flag, "--env=CartPole-v1", "--updates=0", *arguments))
        assert fingerprint(model) == before
        (model / "card.json").write_text(card)

    given = flags("episodes", "updates", "seed", "env", "model")
    entity = st.tuples(st.sampled_from(["length", "gravity", "tau", "__class__", ""]), text)
    setting = entity.map(lambda pair: f"--set={pair[0]}={pair[1]}")
    cases = st.tuples(
        st.integers(0, 200),
        st.sampled_from(VALUES),
        st.lists(given | setting, max_size=2),
        st.integers(0, 4),
    )
    check_all(number, cases, lambda case: check(*case))
    one_line(*serve("personalise", f"--model={model}", "--env=CartPole-v1", "--updates=0"))
