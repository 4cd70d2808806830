from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.errors import BadSettings
from devices.shell import TAG_VARIABLE, Output, end_group, new_tag, sweep, wrap

TAG = "mnas0123456789abcdef"
MARK = b"mnas0123456789abcdef.0123456789ab"
#: pieces of output that together are the mark itself
COMPLETE = re.compile(re.escape(MARK) + rb" \d{1,3}\n")
LOOK_ALIKES = [
    MARK,
    MARK[:7],
    MARK[:-1],
    MARK + b" ",
    MARK + b" \n",
    MARK + b" $rc\n",
    MARK + b" 12x\n",
    MARK + b" 12",
    MARK + b" 1234567890123\n",
    b"\n" + MARK,
    MARK + MARK + b" x",
    b"\n",
    b" 0\n",
]


class Run:
    """A wrapped command run by a shell that is `sh` for everything it starts."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def start(
        self, command: list[str], tag: str, **options: object
    ) -> tuple[subprocess.Popen[bytes], Output]:
        wrapped = wrap(command, tag)
        process = subprocess.Popen(  # as a daemon does: a shell, in a session of its own
            [f"{self._folder}/sh", "-c", wrapped.line],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PATH": f"{self._folder}:{os.environ['PATH']}"},
            start_new_session=True,
            **options,  # type: ignore[call-overload]
        )
        return process, Output(wrapped.mark)

    def __call__(
        self, command: list[str], stdin: bytes = b"", tag: str | None = None
    ) -> tuple[int | None, bytes, bytes]:
        process, output = self.start(command, tag or new_tag())
        stdout, stderr = process.communicate(stdin, timeout=30)
        said = output.feed(stdout) + output.rest()
        assert output.group == process.pid
        return output.exit_code, said, stderr


@pytest.fixture(params=["dash", "bash", "mksh", "mksh with toybox"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Run:
    shell, _, applets = request.param.partition(" with ")
    folder = tmp_path / "bin"
    folder.mkdir()
    for program in filter(None, (shell, applets)):
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed")
    if applets:
        names = subprocess.run([applets], capture_output=True, check=True, text=True).stdout.split()
        for name in set(names) - {"sh", "toybox"}:
            (folder / name).symlink_to(shutil.which(applets))
    (folder / "sh").symlink_to(shutil.which(shell))
    return Run(folder)


class TestInShells:
    def test_both_streams_and_the_exit_code(self, run: Run) -> None:
        code, out, err = run(["sh", "-c", "cat; printf out; echo err >&2; exit 7"], b"in ")
        assert (code, out, err) == (7, b"in out", b"err\n")

    def test_a_signal_is_128_and_its_number(self, run: Run) -> None:
        assert run(["sh", "-c", "kill -9 $$"])[0] == 137

    @pytest.mark.parametrize("word", ["if", "{", "A=b", "a b", "$(exit 3)", "no;such", "'", "-n", "\n"])
    def test_no_first_word_means_anything_to_the_shell(self, run: Run, word: str) -> None:
        assert run([word])[0] == 127

    def test_hostile_words_arrive_as_they_are(self, run: Run) -> None:
        words = [
            "",
            " ",
            "'",
            '"',
            "\\",
            "$HOME",
            "`id`",
            "$(id)",
            "*",
            "\n",
            "a;b",
            "!",
            "~",
            "ä",
            "\x1b[2J",
            "-",
        ]
        code, out, _ = run(["sh", "-c", 'for w; do printf "%s|" "$w"; done', "sh", *words])
        assert (code, out.decode()) == (0, "".join(f"{word}|" for word in words))

    def test_output_that_shows_the_wrapper(self, run: Run) -> None:
        """A list of processes holds the mark, in the wrapper's own command line."""
        code, out, _ = run(["sh", "-c", 'tr "\\0" "\\n" <"/proc/$PPID/cmdline"; exit 5'])
        assert code == 5
        assert out.count(TAG_VARIABLE.encode()) == 1

    def test_what_it_leaves_running_ends_with_it(self, run: Run, tmp_path: Path) -> None:
        late = tmp_path / "late"
        assert run(["sh", "-c", f"(sleep 0.5; touch {late}) & exit 0"])[0] == 0
        time.sleep(0.7)
        assert not late.exists()

    def test_it_ends_when_the_link_hangs_up(self, run: Run) -> None:
        process, output = run.start(["sh", "-c", "sleep 60 & echo $!; wait"], new_tag())
        with process:
            (child,) = started(process, output, 1)
            process.send_signal(1)
            assert process.wait(10) == -9
            assert ended([child])

    def test_a_group_is_ended(self, run: Run) -> None:
        process, output = run.start(["sh", "-c", "sleep 60 & echo $!; wait"], new_tag())
        with process:
            children = started(process, output, 1)
            assert run(end_group(output.group))[0] == 0
            assert process.wait(10) == -9
            assert ended(children)

    def test_a_sweep_ends_what_has_left_its_group_and_nothing_else(self, run: Run) -> None:
        tag, other = new_tag(), new_tag()
        script = "setsid sleep 60 & echo $!; setsid sleep 61 & echo $!; wait"
        swept, swept_output = run.start(["sh", "-c", script], f"{tag}.one")
        kept, kept_output = run.start(["sh", "-c", script], other)
        with swept, kept:
            theirs, others = started(swept, swept_output, 2), started(kept, kept_output, 2)
            assert run(sweep(tag), tag=new_tag())[0] == 0
            assert ended(theirs)
            assert all(map(runs, others))
            assert run(sweep(other), tag=other)[0] == 0  # it spares itself
            assert ended(others)


class TestOutput:
    @given(st.lists(st.one_of(st.sampled_from(LOOK_ALIKES), st.binary(max_size=5)), max_size=8), st.data())
    def test_any_split_of_the_stream_gives_the_same(self, pieces: list[bytes], data: st.DataObject) -> None:
        said = b"".join(pieces)
        stream = b"motd\n" + MARK + b" 4711\n" + said + MARK + b" 7\n" + b"left running"
        whole = Output(MARK)
        expected = whole.feed(stream) + whole.rest()
        cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
        output = Output(MARK)
        parts = [output.feed(stream[a:b]) for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
        assert b"".join(parts) + output.rest() == expected
        assert (output.group, output.exit_code) == (whole.group, whole.exit_code) == (4711, whole.exit_code)
        assert expected == said[: len(expected)]
        if not COMPLETE.search(said):
            assert (expected, whole.exit_code) == (said, 7)

    @given(st.lists(st.one_of(st.sampled_from(LOOK_ALIKES), st.binary(max_size=5)), max_size=8))
    def test_a_stream_that_breaks_off_has_no_exit_code_and_loses_nothing(self, pieces: list[bytes]) -> None:
        said = b"".join(pieces)
        output = Output(MARK)
        kept = b"".join(output.feed(piece) for piece in [MARK + b" 1\n", *pieces]) + output.rest()
        if not COMPLETE.search(said):
            assert (output.exit_code, kept) == (None, said)

    def test_a_line_is_there_as_soon_as_it_has_come(self) -> None:
        output = Output(MARK)
        output.feed(MARK + b" 12\n")
        assert output.feed(b"ready\n") == b"ready\n"

    def test_noise_before_the_command_is_not_kept(self) -> None:
        output = Output(MARK)
        for _ in range(1000):
            assert output.feed(b"x" * 1000) == b""
        assert len(output._pending) < 100
        assert output.rest() == b""
        assert output.feed(MARK + b" 12\nyes") == b"yes"


class TestWrap:
    @pytest.mark.parametrize("command", [[], ["a\0b"], ["a", "\0"]])
    def test_commands_that_cannot_be(self, command: list[str]) -> None:
        with pytest.raises(BadSettings, match="NUL"):
            wrap(command, TAG)

    @pytest.mark.parametrize("tag", ["", "abc", "a b c d", "abcd;", "x" * 65, "abcd\n"])
    def test_tags_that_cannot_be(self, tag: str) -> None:
        with pytest.raises(ValueError, match="not a tag"):
            wrap(["true"], tag)
        with pytest.raises(ValueError, match="not a tag"):
            sweep(tag)

    def test_no_two_are_the_same(self) -> None:
        assert new_tag() != new_tag()
        assert wrap(["true"], TAG).mark != wrap(["true"], TAG).mark


@pytest.mark.parametrize("group", [1, 0, -1])
def test_more_than_a_group_is_never_ended(group: int) -> None:
    """Should a device ever give such a number: `kill -1` would end all that this user runs."""
    ended = subprocess.run(
        ["sh", "-xc", end_group(group)[2]], capture_output=True, check=True, start_new_session=True
    )
    assert b"kill" not in ended.stderr


def started(process: subprocess.Popen[bytes], output: Output, count: int) -> list[psutil.Process]:
    """The processes whose numbers a command prints, one in a line, once it has printed so many."""
    said = b""
    while said.count(b"\n") < count:
        assert process.stdout is not None
        data = os.read(process.stdout.fileno(), 100)
        assert data
        said += output.feed(data)
    return [psutil.Process(int(line)) for line in said.split()]


def ended(processes: list[psutil.Process]) -> bool:
    """Whether they end soon; one that nobody has asked for its exit code yet has ended, too."""
    for _ in range(1000):
        if not any(map(runs, processes)):
            return True
        time.sleep(0.01)
    return False


def runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
