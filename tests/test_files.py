"""Files appear whole or not at all."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from layoutbridge.errors import UnusableInputError
from layoutbridge.exchange import place_in, take_places
from layoutbridge.files import WayToDisk, refuse_overwriting, whole_file, whole_files
from layoutbridge.locks import alone_in, hold, machine, release

ROOT = Path(__file__).resolve().parent.parent


def test_a_failure_leaves_what_was_there(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError), whole_file(path) as temporary:
        temporary.write_bytes(b"half")
        raise RuntimeError
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]
    with whole_file(path) as temporary:
        temporary.write_bytes(b"new")
    assert path.read_bytes() == b"new"


@pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="a system that sends pages to the disk when it is asked")
def test_large_files_go_to_the_disk_while_they_are_written(tmp_path, monkeypatch):
    sent = []
    monkeypatch.setattr("layoutbridge.files._ON_ITS_WAY", 100)
    monkeypatch.setattr(os, "posix_fadvise", lambda number, start, length, _: sent.append((start, length)))
    with (tmp_path / "a").open("wb") as file:
        file.write(b"head")
        way = WayToDisk(file)
        for count in (60, 39, 1, 250, 0):
            file.write(bytes(count))
            way.go_on()
    assert sent == [(4, 100), (104, 250)]
    monkeypatch.delattr(os, "posix_fadvise")
    with (tmp_path / "b").open("wb") as file:
        way = WayToDisk(file)
        file.write(bytes(1000))
        way.go_on()
    assert (tmp_path / "b").stat().st_size == 1000


def test_links_pipes_and_modes_are_kept(tmp_path):
    target, link, pipe = tmp_path / "target", tmp_path / "link", tmp_path / "pipe"
    target.write_text("old")
    target.chmod(0o600)
    link.symlink_to(target)
    with whole_file(link) as temporary:
        temporary.write_text("new")
    assert link.is_symlink()
    assert target.read_text() == "new"
    assert target.stat().st_mode & 0o777 == 0o600
    os.mkfifo(pipe)
    reader = subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE)
    with whole_file(pipe) as temporary:
        temporary.write_text("through")
    assert reader.communicate()[0] == b"through"
    assert pipe.is_fifo()


def test_a_folder_can_be_written(tmp_path):
    with whole_file(tmp_path / "model") as temporary:
        temporary.mkdir()
        (temporary / "part").write_text("x")
    assert (tmp_path / "model" / "part").read_text() == "x"


def test_the_permissions_are_those_of_any_new_file(tmp_path):
    with whole_file(tmp_path / "a") as temporary:
        temporary.write_text("x")
    (tmp_path / "b").write_text("x")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


@pytest.mark.parametrize("path", ["no/such/folder/a", "", ".", "..", "/"])
def test_places_that_cannot_be_written(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnusableInputError), whole_file(path) as temporary:
        temporary.write_text("x")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", ["", ".", "..", "/", "-", "./", "net.onnx/"])
def test_what_is_no_file_name(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.cfg").write_text("x")
    said = rf"^'{path}' is no file name: say where to write$"
    with pytest.raises(UnusableInputError, match=said):
        refuse_overwriting(path, ["net.cfg"])
    with pytest.raises(UnusableInputError, match=said), whole_file(path):
        pass
    refuse_overwriting("folder/", ["net.cfg"])
    assert [p.name for p in tmp_path.iterdir()] == ["net.cfg"]


def test_the_temporary_path_bears_the_name_that_was_asked_for(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for there in (True, False):
        target, link = elsewhere / f"target{there}", tmp_path / f"net{there}.keras"
        if there:
            target.write_text("old")
        link.symlink_to(target)
        with whole_file(link) as temporary:
            assert temporary.name == link.name
            temporary.write_text("new")
        assert link.is_symlink()
        assert target.read_text() == "new"
    (tmp_path / "round").symlink_to(tmp_path / "round")
    with pytest.raises(UnusableInputError), whole_file(tmp_path / "round") as temporary:
        raise UnusableInputError
    assert len(list(elsewhere.iterdir())) == 2
    assert len(list(tmp_path.iterdir())) == 4


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="no device that is always full here")
def test_a_full_disk_is_told(tmp_path):
    link = tmp_path / "net.keras"
    link.symlink_to("/dev/full")
    said = r"^cannot write '.*{}': {}$"
    no_space = "No space left on device"
    with (
        pytest.raises(UnusableInputError, match=said.format("net.keras", no_space)),
        whole_file(link) as temporary,
    ):
        temporary.write_text("x")
    with (
        pytest.raises(UnusableInputError, match=said.format("net.keras", "Not a directory")),
        whole_file(link) as temporary,
    ):
        temporary.mkdir()
    for raised in (OSError(errno.ENOSPC, "in words"), RuntimeError("code 8: No space left on device; flush")):
        with pytest.raises(UnusableInputError, match=said.format("a", no_space)), whole_file(tmp_path / "a"):
            raise raised
    with pytest.raises(OSError, match="of something else"), whole_file(tmp_path / "a"):
        raise OSError(errno.EACCES, "of something else")
    assert [p.name for p in tmp_path.iterdir()] == ["net.keras"]


def test_a_folder_in_the_way_is_left_alone(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "precious").write_text("x")
    with pytest.raises(UnusableInputError), whole_file(tmp_path / "a") as temporary:
        temporary.write_text("x")
    with pytest.raises(UnusableInputError), whole_file(tmp_path / "a") as temporary:
        temporary.mkdir()
        (temporary / "other").write_text("y")
    assert (tmp_path / "a" / "precious").read_text() == "x"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_killed_export_leaves_no_half_file(tmp_path, number):
    script = (
        "import signal, sys, time\nfrom layoutbridge.files import refuse_overwriting, whole_file\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a parent in the background has it ignored
        f"with whole_file({str(tmp_path / 'a.bin')!r}) as temporary:\n"
        "    with temporary.open('wb') as file:\n        file.write(b'half')\n        file.flush()\n"
        "        print('writing', flush=True)\n        time.sleep(60)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT
    )
    assert process.stdout.readline() == b"writing\n"
    time.sleep(0.05)
    os.kill(process.pid, number)
    process.wait()
    assert not (tmp_path / "a.bin").exists()
    with whole_file(tmp_path / "a.bin") as temporary:
        temporary.write_bytes(b"whole")
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]


def test_a_terminated_command_cleans_up(tmp_path):
    script = (
        "import sys, time\nfrom layoutbridge import cli, files\n"
        "real = files._take\n"
        "def slow(*places):\n    print('writing', flush=True)\n    time.sleep(60)\n    real(*places)\n"
        "files._take = slow\n"
        f"sys.exit(cli.main(['table', 'focus', '--shape', '3,4,4', '-o', {str(tmp_path / 'a.npy')!r}]))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT
    )
    assert process.stdout.readline() == b"writing\n"
    process.terminate()
    assert process.wait() == 143
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------------- several files together


PAIR = ("net.param", "net.bin")


def write_pair(folder, content, names=PAIR):
    with whole_files([folder / name for name in names]) as temporaries:
        for temporary in temporaries:
            temporary.write_text(content)


def in_a_child(work):
    """The exit status of a child that does `work`, negative for a signal."""
    if os.fork() == 0:
        try:
            work()
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.wait()[1])


def contents(folder):
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_several_files_all_or_none(tmp_path):
    write_pair(tmp_path, "old")
    with pytest.raises(RuntimeError), whole_files([tmp_path / name for name in PAIR]) as (first, second):
        first.write_text("new")
        second.write_text("new")
        raise RuntimeError
    assert contents(tmp_path) == dict.fromkeys(PAIR, "old")
    write_pair(tmp_path, "new")
    assert contents(tmp_path) == dict.fromkeys(PAIR, "new")


@pytest.mark.parametrize("name", PAIR)
def test_a_folder_in_the_place_of_one_of_several(tmp_path, name):
    (tmp_path / name).mkdir()
    (tmp_path / name / "precious").write_text("x")
    with pytest.raises(UnusableInputError, match="Is a directory"):
        write_pair(tmp_path, "new")
    assert (tmp_path / name / "precious").read_text() == "x"
    assert [path.name for path in tmp_path.iterdir()] == [name]


def renames_until(monkeypatch, error, count):
    """Let so many renames succeed, then raise `error` once, before or behind the next one by turns."""
    real = {name: getattr(Path, name) for name in ("rename", "replace")}
    left = [count]

    def counted(name):
        def call(path, target):
            left[0] -= 1
            if left[0] == -1:
                if count % 2:
                    real[name](path, target)
                raise error
            return real[name](path, target)

        return call

    for name in real:
        monkeypatch.setattr(Path, name, counted(name))


@pytest.mark.parametrize("interim", [False, True])
@pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output error"), KeyboardInterrupt()])
@pytest.mark.parametrize("there", [(), PAIR, PAIR[:1], PAIR[1:]])
def test_what_was_there_comes_back_when_places_cannot_be_taken(tmp_path, monkeypatch, there, error, interim):
    """Whichever rename fails, or is interrupted: the old files are there, or the new ones where all was done."""
    for count in range(7):
        for name in PAIR:
            (tmp_path / name).unlink(missing_ok=True)
        for name in there:
            (tmp_path / name).write_text("old")
        hidden = tmp_path / ".net.param.hidden"
        hidden.mkdir()
        places = [place_in(hidden, name, tmp_path / name) for name in PAIR]
        for place in places:
            place.temporary.write_text("new")
        if interim:
            places[0].interim.write_text("interim")
        with monkeypatch.context() as patch:
            renames_until(patch, error, count)
            try:
                take_places(places)
            except BaseException as raised:
                assert raised is error
        found = {name: (tmp_path / name).read_text() for name in PAIR if (tmp_path / name).exists()}
        assert found in (dict.fromkeys(there, "old"), dict.fromkeys(PAIR, "new")), count
        for path in sorted(hidden.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        hidden.rmdir()


@pytest.mark.sample(1, slow=1)
@pytest.mark.parametrize("interim", [False, True])
@pytest.mark.parametrize("there", [(), PAIR])
def test_a_process_killed_between_renames_mixes_nothing(tmp_path, monkeypatch, there, interim):
    """After every rename: no new file beside an old one, and what the next writer finds is old or new."""
    killed = []
    for count in range(1, 8):
        folder = tmp_path / str(count)
        folder.mkdir()
        for name in there:
            (folder / name).write_text("old")

        def export(folder=folder, count=count):
            renames_until(monkeypatch, SystemExit(), count)
            monkeypatch.setattr("layoutbridge.exchange.settle", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
            with whole_files([folder / name for name in PAIR]) as temporaries:
                for temporary in temporaries:
                    temporary.write_text("new")
                if interim:
                    (temporaries[0].parent.with_name("interim") / PAIR[0]).write_text("interim")

        ended = in_a_child(export)
        killed.append(ended == -signal.SIGKILL)
        found = {name: (folder / name).read_text() for name in PAIR if (folder / name).exists()}
        if "net.param" in found and found["net.param"] != "interim":
            assert found in (dict.fromkeys(there, "old"), dict.fromkeys(PAIR, "new"))
        with pytest.raises(RuntimeError), whole_files([folder / name for name in PAIR]):
            raise RuntimeError
        assert contents(folder) in (dict.fromkeys(there, "old"), dict.fromkeys(PAIR, "new"))
    assert any(killed) and not all(killed)


def test_weights_that_are_another_files(tmp_path):
    write_pair(tmp_path, "ncnn")
    with pytest.raises(UnusableInputError, match=r"net\.bin' holds the weights of '.*net\.param', which would be lost"):
        write_pair(tmp_path, "openvino", ("net.xml", "net.bin"))
    assert contents(tmp_path) == dict.fromkeys(PAIR, "ncnn")
    (tmp_path / "net.xml").touch()
    with pytest.raises(UnusableInputError, match=r"'.*net\.xml'"):
        write_pair(tmp_path, "new")
    (tmp_path / "net.bin").unlink()
    write_pair(tmp_path, "new")
    assert contents(tmp_path) == dict.fromkeys(PAIR, "new") | {"net.xml": ""}


def test_of_two_at_once_that_share_a_file_the_second_is_refused(tmp_path):
    with (
        pytest.raises(UnusableInputError, match="holds the weights of"),
        whole_files((tmp_path / "net.xml", tmp_path / "net.bin")) as temporaries,
    ):
        for temporary in temporaries:
            temporary.write_text("openvino")
        write_pair(tmp_path, "ncnn")
    assert contents(tmp_path) == dict.fromkeys(PAIR, "ncnn")


def test_links_to_another_folder(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "net.bin").symlink_to(elsewhere / "weights")
    for content in ("one", "two"):
        write_pair(tmp_path, content)
        assert (elsewhere / "weights").read_text() == (tmp_path / "net.param").read_text() == content
    assert (tmp_path / "net.bin").is_symlink()
    assert [path.name for path in elsewhere.iterdir()] == ["weights"]


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="no second file system at hand")
def test_links_to_another_file_system(tmp_path):
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        (tmp_path / "net.bin").symlink_to(Path(folder) / "weights")
        for content in ("one", "two"):
            write_pair(tmp_path, content)
            assert (Path(folder) / "weights").read_text() == content
        assert os.listdir(folder) == ["weights"]


def test_other_hard_links_keep_the_old_content(tmp_path):
    for names in (PAIR[:1], PAIR):
        (tmp_path / "net.param").write_text("old")
        (tmp_path / "other").unlink(missing_ok=True)
        os.link(tmp_path / "net.param", tmp_path / "other")
        write_pair(tmp_path, "new", names)
        assert ((tmp_path / "net.param").read_text(), (tmp_path / "other").read_text()) == ("new", "old")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may give files away")
def test_anothers_file_stays_anothers(tmp_path):
    write_pair(tmp_path, "old")
    os.chown(tmp_path / "net.bin", 1234, 4321)
    (tmp_path / "net.bin").chmod(0o640)
    write_pair(tmp_path, "new")
    status = (tmp_path / "net.bin").stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o777) == (1234, 4321, 0o640)


# ---------------------------------------------------------------------- names, folders, disks


@pytest.mark.parametrize("length", [250, 251, 255, 256, 300])
def test_names_as_long_as_a_file_system_takes(tmp_path, length):
    first = tmp_path / "n".ljust(length - 5, "n")
    paths = (first, first.with_name(f"{first.name}.data"))  # five bytes more
    if length <= 255:
        write_pair(tmp_path, "whole", [path.name for path in paths])
        assert len(list(tmp_path.iterdir())) == 2
    else:
        with pytest.raises(UnusableInputError, match=r"File name too long \((256|295) bytes, and most .* take 255\)"):
            write_pair(tmp_path, "whole", [path.name for path in paths])
        assert list(tmp_path.iterdir()) == []


def test_a_name_too_long_is_no_input(tmp_path):
    (tmp_path / "net.cfg").write_text("x")
    refuse_overwriting("n" * 300, [tmp_path / "net.cfg"])
    refuse_overwriting(tmp_path / "net.onnx", ["n" * 300])


def test_a_folder_that_vanishes(tmp_path):
    folder = tmp_path / "out"
    for names in (PAIR[:1], PAIR):
        for early in (True, False):
            folder.mkdir()
            said = "out', or what was written there, was removed meanwhile"
            with (
                pytest.raises(UnusableInputError, match=said),
                whole_files([folder / name for name in names]) as temporaries,
            ):
                for temporary in temporaries[early:]:
                    temporary.write_text("x")
                shutil.rmtree(folder)
                if early:
                    temporaries[0].write_text("x")
        assert not folder.exists()


LIMITED = """
import resource, signal, sys
from layoutbridge.errors import UnusableInputError
from layoutbridge.files import whole_files
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    with whole_files(sys.argv[1:]) as (first, second):
        first.write_bytes(b"new")
        second.write_bytes(bytes(2000))
except UnusableInputError as error:
    print(error)
"""


def test_a_file_over_the_limit(tmp_path):
    write_pair(tmp_path, "old")
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, *(str(tmp_path / name) for name in PAIR)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.stdout == f"cannot write '{tmp_path / 'net.param'}': File too large\n", done.stderr
    assert contents(tmp_path) == dict.fromkeys(PAIR, "old")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="to be another user one has to be root")
def test_a_folder_that_may_only_be_read_or_only_be_written():
    """As an unprivileged user: to root no folder is closed."""
    with tempfile.TemporaryDirectory() as name, tempfile.TemporaryDirectory() as told:
        folder = Path(name)
        for mode in (0o555, 0o333):
            folder.chmod(mode)

            def as_nobody():
                with (Path(told) / "answer").open("w") as answer:
                    os.setgid(65534)
                    os.setuid(65534)
                    try:
                        written(folder / "a")
                        answer.write("written")
                    except Exception as error:
                        answer.write(f"{type(error).__name__} {error}")

            assert in_a_child(as_nobody) == 0
            said = f"UnusableInputError cannot write into '{folder}': Permission denied"
            assert (Path(told) / "answer").read_text() == (said if mode == 0o555 else "written")
        assert os.listdir(folder) == ["a"]


# ---------------------------------------------------------------------- who is alive, who is alone


def left_behind(folder, maker, name="a"):
    made = folder / f".{name}.{maker}.abcdefgh.part"
    (made / "new").mkdir(parents=True)
    return made


def written(path):
    with whole_file(path) as temporary:
        temporary.write_text("x")


def test_only_what_is_surely_left_behind_is_swept(tmp_path):
    living, dead = left_behind(tmp_path, machine()), left_behind(tmp_path, machine(), "b")
    elsewhere, unlocked = left_behind(tmp_path, "0123456789ab"), left_behind(tmp_path, "0" * 12)
    other = left_behind(tmp_path, f"c.{machine()}")  # that of `a.c`
    held = hold(living)
    for name in "ab":
        written(tmp_path / name)
    assert (living.exists(), dead.exists()) == (True, False)
    assert all(folder.exists() for folder in (elsewhere, unlocked, other))
    release(held)
    day_ago = time.time() - 25 * 3600
    os.utime(elsewhere / "new", (day_ago, day_ago))
    os.utime(elsewhere, (day_ago, day_ago))
    os.utime(unlocked, (day_ago, day_ago))  # but not what is in it
    written(tmp_path / "a")
    assert [folder.exists() for folder in (living, elsewhere, unlocked, other)] == [False, False, True, True]


def test_a_folder_of_another_is_no_hidden_one(tmp_path):
    for name in (".a.part", ".a.backup.part", ".a.0123.part", ".a.x123456789ab.abcdefgh.part"):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (0, 0))
    written(tmp_path / "a")
    assert len(list(tmp_path.iterdir())) == 5


def test_one_at_a_time_takes_places(tmp_path, monkeypatch):
    monkeypatch.setattr("layoutbridge.locks._PATIENCE", 0.1)
    with (
        alone_in([tmp_path, tmp_path]),
        pytest.raises(UnusableInputError, match=r"another program has been writing into '.*' for 0\.1 seconds"),
    ):
        written(tmp_path / "a")
    assert list(tmp_path.iterdir()) == []
    written(tmp_path / "a")


def test_where_folders_cannot_be_locked(tmp_path, monkeypatch):
    """As on Windows and over NFS: a folder is the lock, and one that is a minute old a dead one's."""
    monkeypatch.setattr("layoutbridge.locks.fcntl", None)
    monkeypatch.setattr("layoutbridge.locks._PATIENCE", 0.1)
    with whole_file(tmp_path / "a") as temporary:
        assert ".000000000000." in str(temporary)
        temporary.write_text("x")
    lock = tmp_path / ".layoutbridge.lock"
    lock.mkdir()
    with pytest.raises(UnusableInputError, match="another program"):
        written(tmp_path / "a")
    os.utime(lock, (time.time() - 61, time.time() - 61))
    write_pair(tmp_path, "new")
    assert sorted(contents(tmp_path)) == ["a", "net.bin", "net.param"]


def test_many_threads_at_once(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: write_pair(tmp_path, str(number)), range(60)))
    assert len(set(contents(tmp_path).values())) == 1
    assert sorted(contents(tmp_path)) == sorted(PAIR)
