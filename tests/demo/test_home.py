"""Where a demo lives: its folder, the signals that end it, and the log that keeps the screen clean."""

import logging
import os
import signal
import threading
import warnings
from pathlib import Path

import pytest

from sidecar.demo import home


def test_folder_goes_away_at_the_end_even_of_a_failure() -> None:
    def fail() -> None:
        with home.folder(None) as place:
            places.append(place)
            (place / "something").write_text("x")
            raise RuntimeError

    places: list[Path] = []

    with pytest.raises(RuntimeError):
        fail()

    (place,) = places
    assert not place.exists()


def test_folder_to_keep_must_be_empty(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("x")

    with (
        pytest.raises(home.FolderRefused, match="the folder is not empty; name a new one"),
        home.folder(tmp_path),
    ):
        pass


def test_folder_that_cannot_be_made_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")

    with pytest.raises(home.FolderRefused, match="Not a directory"), home.folder(tmp_path / "file" / "new"):
        pass


def test_folder_that_no_url_can_name_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(home.FolderRefused, match="a database URL cannot name it"),
        home.folder(tmp_path / "a?b"),
    ):
        pass


def test_second_signal_asks_for_haste_and_the_handlers_come_back() -> None:
    before, end = signal.getsignal(signal.SIGTERM), home.End()

    with home.signals(end):
        os.kill(os.getpid(), signal.SIGTERM)
        once = (end.asked.is_set(), end.hurry.is_set())
        os.kill(os.getpid(), signal.SIGINT)

    assert once == (True, False)
    assert end.hurry.is_set()
    assert signal.getsignal(signal.SIGTERM) is before


def test_threads_that_die_and_warnings_go_to_the_log_not_to_the_screen(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def die() -> None:
        raise RuntimeError("boom")

    with home.log_file(tmp_path / "sidecar.log"):
        logging.getLogger("mih").info("hello")
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("careful", stacklevel=1)
        thread = threading.Thread(target=die, name="sender")
        thread.start()
        thread.join()

    logged = (tmp_path / "sidecar.log").read_text()
    assert "INFO hello" in logged
    assert "thread.died name=sender" in logged
    assert "RuntimeError: boom" in logged
    assert capfd.readouterr() == ("", "")


def test_command_for_another_terminal_is_split_where_it_is_too_long() -> None:
    short, long = Path("/tmp/a/sidecar.yaml"), Path("/tmp") / ("x" * 60) / "sidecar.yaml"

    assert home.look_closer(short).endswith(" status -c /tmp/a/sidecar.yaml")
    assert home.look_closer(long).endswith(f" status \\\n    -c {long}")


def test_where_to_look_closer_names_the_dashboard_first(tmp_path: Path) -> None:
    link = "http://127.0.0.1:8080/welcome?code=abcdefghijklmnopqrstuv"

    lines = home.look_closer(tmp_path / "sidecar.yaml", link).splitlines()

    assert lines[0] == f"dashboard  {link}"
    assert len(lines[0]) <= 80
    assert lines[1] == "Look closer from another terminal:"
