import io

from tfcaml.progress import Progress


def test_plain_lines_end_at_one_hundred_percent():
    stream = io.StringIO()
    with Progress(3, stream=stream) as progress:
        for _ in range(3):
            progress.advance("caml seed 0", "return -5")
    assert stream.getvalue() == "100% caml seed 0  return -5  0:00 left\n"


def test_steps_of_an_earlier_run_do_not_count_for_the_time_left():
    stream = io.StringIO()
    with Progress(10, done=9, stream=stream) as progress:
        progress.advance("reptile seed 1", amount=1)
    assert stream.getvalue().startswith("100%")


def test_work_that_is_done_again_does_not_pass_one_hundred_percent():
    stream = io.StringIO()
    with Progress(10, done=9, stream=stream) as progress:
        progress.redo(3)
        for _ in range(4):
            progress.advance("reptile seed 1")
    assert stream.getvalue().startswith("100% reptile") and stream.getvalue().count("\n") == 1


def test_a_terminal_gets_a_live_bar():
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    with Progress(2, stream=Terminal()) as progress:
        progress.advance("joint", "return -1")
        progress.advance("joint", "return -1")
