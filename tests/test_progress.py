import io

from tfcaml import progress
from tfcaml.progress import Progress


def test_plain_lines_end_at_one_hundred_percent():
    stream = io.StringIO()
    with Progress(3, stream=stream) as bar:
        for _ in range(3):
            bar.advance("caml seed 0", "return -5")
    assert stream.getvalue() == "100% caml seed 0  return -5  0:00 left\n"


def test_steps_of_an_earlier_run_do_not_count_for_the_time_left():
    stream = io.StringIO()
    with Progress(10, done=9, stream=stream) as bar:
        bar.advance("reptile seed 1", amount=1)
    assert stream.getvalue().startswith("100%")


def test_work_that_is_done_again_does_not_pass_one_hundred_percent():
    stream = io.StringIO()
    with Progress(10, done=9, stream=stream) as bar:
        bar.redo(3)
        for _ in range(4):
            bar.advance("reptile seed 1")
    assert stream.getvalue().startswith("100% reptile") and stream.getvalue().count("\n") == 1


def test_a_terminal_gets_a_live_bar():
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    with Progress(2, stream=Terminal()) as bar:
        bar.advance("joint", "return -1")
        bar.advance("joint", "return -1")


def test_a_notebook_without_widgets_gets_lines(monkeypatch, capsys):
    monkeypatch.setattr(progress, "_in_notebook", lambda: True)
    monkeypatch.setattr(progress, "_has_widgets", lambda: False)
    assert progress.is_watched()
    with Progress(1) as shown:
        shown.advance("maml", "return -1")
    assert capsys.readouterr().err == "100% maml  return -1  0:00 left\n"
