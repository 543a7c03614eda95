"""The store of counts on disk: whole entries or none, whatever happens to the files, the disk, or beside it."""

from __future__ import annotations

import errno
import multiprocessing
import os
import shutil
import stat
import sys
import tempfile
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import platformdirs
import pytest

from wcx.core.errors import UsageError
from wcx.scan import cache as module
from wcx.scan.cache import Store, cache_directory, open_store

HOUR = 3600 * 10**9


def entries(directory: Path) -> list[Path]:
    """The files of all entries."""
    return sorted(path for path in (directory / "compare").glob("??/[!.]*") if path.is_file())


def stored(directory: Path, key: str = "key", data: bytes = b"counts") -> Path:
    """The file of a new entry."""
    before = set(entries(directory))
    Store(directory).put(key, data)
    (path,) = set(entries(directory)) - before
    return path


def age(path: Path, hours: float) -> None:
    """Make a file that old."""
    then = time.time_ns() - int(hours * HOUR)
    os.utime(path, ns=(then, then))


# -------------------------------------------------------------------------------------------------- what is kept


def test_what_was_put_is_there_for_later_runs(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.get("key") is None
    store.put("key", b"counts")
    store.put("other", b"")
    assert store.get("key") == b"counts"
    assert Store(tmp_path).get(b"key") == b"counts"
    assert Store(tmp_path).get("other") == b""
    assert Store(tmp_path).get("kez") is None
    assert store.trouble is None


def test_the_last_data_under_a_key_are_the_ones(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for data in (b"first", b"second and longer", b"3"):
        store.put("key", data)
        assert store.get("key") == data
    assert len(entries(tmp_path)) == 1


def test_nothing_is_made_before_something_is_put(tmp_path: Path) -> None:
    assert Store(tmp_path / "cache").get("key") is None
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_only_the_user_can_read_what_is_kept(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        path = stored(tmp_path / "cache")
    finally:
        os.umask(before)
    modes = [stat.S_IMODE(part.stat().st_mode) for part in (path, *path.parents[:3])]
    assert modes == [0o600, 0o700, 0o700, 0o700]
    assert path.parents[2] == tmp_path / "cache"


def test_a_store_of_nothing_keeps_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WCX_CACHE_DIR", str(tmp_path / "cache"))
    for store in (Store(None), open_store(enabled=False)):
        store.put("key", b"counts")
        assert store.get("key") is None
        assert store.trouble is None
    assert not (tmp_path / "cache").exists()


# ------------------------------------------------------------------------------------------------------- damage


def test_damage_to_any_byte_is_no_entry_and_the_file_is_removed(tmp_path: Path) -> None:
    path = stored(tmp_path)
    whole = path.read_bytes()
    store = Store(tmp_path)
    for place in range(len(whole)):
        for change in (0x01, 0x80, 0xFF):
            damaged = bytearray(whole)
            damaged[place] ^= change
            path.write_bytes(damaged)
            assert store.get("key") is None
            assert not path.exists()
    path.write_bytes(whole)
    assert store.get("key") == b"counts"


def test_a_file_cut_short_or_longer_is_no_entry(tmp_path: Path) -> None:
    path = stored(tmp_path)
    whole = path.read_bytes()
    for data in (*(whole[:nbytes] for nbytes in range(len(whole))), whole + b"\0", whole + whole):
        path.write_bytes(data)
        assert Store(tmp_path).get("key") is None
        assert not path.exists()


def test_an_entry_under_the_name_of_another_is_none(tmp_path: Path) -> None:
    path, other = stored(tmp_path), stored(tmp_path, "other", b"others")
    path.write_bytes(other.read_bytes())
    assert Store(tmp_path).get("key") is None
    assert Store(tmp_path).get("other") == b"others"


def test_a_damaged_entry_is_rebuilt(tmp_path: Path) -> None:
    path = stored(tmp_path)
    path.write_bytes(b"?")
    store = Store(tmp_path)
    assert store.get("key") is None
    store.put("key", b"counts")
    assert store.get("key") == b"counts"


def test_an_entry_of_a_size_that_is_not_written_is_not_read(tmp_path: Path) -> None:
    path = stored(tmp_path)
    os.truncate(path, 1 << 40)  # takes no room on the disk
    tracemalloc.start()
    assert Store(tmp_path).get("key") is None
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()
    assert not path.exists()


def test_an_entry_that_would_not_be_read_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_ENTRY", 1000)
    store = Store(tmp_path)
    for nbytes in (968, 969):
        store.put(str(nbytes), bytes(nbytes))
    assert len(entries(tmp_path)) == 1
    assert (store.get("968"), store.get("969")) == (bytes(968), None)
    assert store.trouble is None


@pytest.mark.parametrize(
    "kind", ["fifo", "open fifo", "directory", "link", "link to nothing", "link in a circle", "device"]
)
def test_what_is_no_file_is_no_entry(tmp_path: Path, kind: str) -> None:
    path = stored(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    shutil.copy(path, elsewhere)
    path.unlink()
    targets = {"link": elsewhere, "link to nothing": tmp_path / "none", "link in a circle": path, "device": "/dev/zero"}
    if "fifo" in kind:
        os.mkfifo(path)
    elif kind == "directory":
        (path / "full").mkdir(parents=True)
    else:
        path.symlink_to(targets[kind])
    store = Store(tmp_path)
    writer = os.open(path, os.O_RDWR) if kind == "open fifo" else None
    assert store.get("key") is None
    if writer is not None:
        os.close(writer)
    store.put("key", b"again")
    assert elsewhere.read_bytes()[:6] == b"counts"
    if kind == "directory":
        assert "can't be written" in (store.trouble or "")
    else:
        assert store.get("key") == b"again"
        assert not path.is_symlink()


# ----------------------------------------------------------------------------------------- where nothing can be written


@contextmanager
def failing(number: int, where: str) -> Iterator[None]:
    """A system whose calls of that name fail."""
    home = tempfile if where == "mkstemp" else os
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(home, where, lambda *_arguments, **_options: _fail(number))
        yield


def _fail(number: int) -> None:
    raise OSError(number, os.strerror(number))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO])
@pytest.mark.parametrize("where", ["mkstemp", "replace", "chmod"])
def test_a_full_or_read_only_disk_turns_writing_off_and_reading_not(tmp_path: Path, number: int, where: str) -> None:
    stored(tmp_path)
    store = Store(tmp_path)
    with failing(number, where):
        store.put("other", b"others")
        assert store.get("other") is None
        assert store.get("key") == b"counts"
    assert os.strerror(number) in (store.trouble or "")
    assert str(tmp_path / "compare") in (store.trouble or "")
    store.put("third", b"thirds")
    assert store.get("third") is None
    assert not list(tmp_path.rglob(".wcx-*"))


def test_a_file_that_may_not_grow_leaves_nothing_behind(tmp_path: Path) -> None:
    """What a full disk does in the middle of a file, by way of the process' own limit."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    store = Store(tmp_path)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        store.put("key", bytes(1_000_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert os.strerror(errno.EFBIG) in (store.trouble or "")
    assert store.get("key") is None
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_cache_below_a_file_is_off(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for directory in (tmp_path / "file", tmp_path / "file" / "below"):
        store = Store(directory)
        assert store.get("key") is None
        store.put("key", b"counts")
        assert store.get("key") is None
        assert "can't be written" in (store.trouble or "")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_without_permission_is_off(tmp_path: Path) -> None:
    stored(tmp_path)
    try:
        for path in ((tmp_path / "compare"), *(tmp_path / "compare").iterdir()):
            path.chmod(0o500)
        store = Store(tmp_path)
        for key in map(str, range(20)):
            store.put(key, b"others")
        assert os.strerror(errno.EACCES) in (store.trouble or "")
        assert store.get("key") == b"counts"
    finally:
        for path in (tmp_path / "compare", *(tmp_path / "compare").iterdir()):
            path.chmod(0o700)


def test_a_directory_removed_during_the_run_is_made_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put("key", b"counts")
    shutil.rmtree(tmp_path / "compare")
    assert store.get("key") is None
    store.put("key", b"counts")
    assert store.get("key") == b"counts"
    assert store.trouble is None


# ------------------------------------------------------------------------------------------------- whose it is


def refuses(store: Store) -> bool:
    """Whether a store neither reads nor writes, and says why."""
    seen = store.get("key")
    store.put("key", b"new")
    return seen is None and store.get("key") is None and "must belong to this user" in (store.trouble or "")


@pytest.mark.parametrize("mode", [0o770, 0o702, 0o777])
def test_a_directory_that_others_write_to_is_not_used(tmp_path: Path, mode: int) -> None:
    path = stored(tmp_path)
    (tmp_path / "compare").chmod(mode)
    assert refuses(Store(tmp_path))
    assert path.exists()


def test_a_directory_that_others_only_read_is_used(tmp_path: Path) -> None:
    stored(tmp_path)
    (tmp_path / "compare").chmod(0o755)
    assert Store(tmp_path).get("key") == b"counts"


def test_a_directory_of_another_user_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored(tmp_path)
    other = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: other)
    assert refuses(Store(tmp_path))


def test_a_link_to_a_directory_is_not_used(tmp_path: Path) -> None:
    stored(tmp_path / "theirs")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "compare").symlink_to(tmp_path / "theirs" / "compare")
    assert refuses(Store(tmp_path / "mine"))


# ------------------------------------------------------------------------------------------------------ its size


def total(directory: Path) -> int:
    return sum(path.stat().st_size for path in entries(directory))


def filled(directory: Path, number: int, nbytes: int = 1000) -> list[Path]:
    """Entries of runs before, the first the oldest."""
    paths = []
    for index in range(number):
        paths.append(stored(directory, f"old {index}", bytes(nbytes)))
        age(paths[-1], 1 + number - index)
    return paths


def test_the_entries_used_longest_ago_make_room(tmp_path: Path) -> None:
    paths = filled(tmp_path, 20)
    store = Store(tmp_path, 20_700)
    store.put("new", bytes(1000))
    assert store.get("new") == bytes(1000)
    kept = [path.exists() for path in paths]
    assert kept == sorted(kept)
    assert 12 < sum(kept) < 20
    assert total(tmp_path) <= 20_700
    assert store.trouble is None


def test_what_is_read_counts_as_used(tmp_path: Path) -> None:
    paths = filled(tmp_path, 20)
    store = Store(tmp_path, 20_700)
    assert store.get("old 0") == bytes(1000)
    store.put("new", bytes(1000))
    assert paths[0].exists()
    assert not paths[1].exists()


def test_what_this_run_uses_is_never_removed_for_more_of_it(tmp_path: Path) -> None:
    """A series that is too large as a whole would otherwise find nothing the next time: the oldest is needed first."""
    filled(tmp_path, 3)
    store = Store(tmp_path, 10_000)
    for index in range(20):
        store.put(f"new {index}", bytes(1000))
    found = [store.get(f"new {index}") is not None for index in range(20)]
    assert found == [True] * 9 + [False] * 11
    assert total(tmp_path) <= 10_000
    assert "full" in (store.trouble or "")
    again = Store(tmp_path, 10_000)
    assert [again.get(f"new {index}") is not None for index in range(20)] == found
    again.put("new 9", bytes(1000))
    assert [again.get(f"new {index}") is not None for index in range(9)] == [True] * 9


def test_an_entry_larger_than_half_of_all_is_not_kept_at_the_cost_of_the_others(tmp_path: Path) -> None:
    paths = filled(tmp_path, 5)
    store = Store(tmp_path, 8000)
    store.put("large", bytes(5000))
    assert store.get("large") is None
    assert all(path.exists() for path in paths)
    assert "full" in (store.trouble or "")


def test_not_every_put_looks_at_all_entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []
    usual = module._entries

    def counted(root: Path, stale: int) -> Iterator[tuple[int, int, str]]:
        looks.append(root)
        return usual(root, stale)

    monkeypatch.setattr(module, "_entries", counted)
    filled(tmp_path, 100)
    looks.clear()
    store = Store(tmp_path, 1_000_000)
    for index in range(500):
        store.put(str(index), bytes(1000))
    assert 1 <= len(looks) <= 8


def test_writers_that_do_not_know_of_each_other_stay_near_the_limit(tmp_path: Path) -> None:
    stores = [Store(tmp_path, 100_000) for _ in range(4)]
    for index in range(400):
        stores[index % 4].put(str(index), bytes(1000))
    assert total(tmp_path) <= 1.5 * 100_000


def test_only_what_is_the_stores_own_is_removed(tmp_path: Path) -> None:
    paths = filled(tmp_path, 10)
    shard = paths[0].parent
    others = [
        tmp_path / "compare" / "README",
        shard / "notes.txt",
        tmp_path / "compare" / "zz" / paths[0].name,
        shard / (paths[0].name + "0"),
    ]
    for path in others:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes(50_000))
        age(path, 1000)
    store = Store(tmp_path, 8000)
    store.put("new", bytes(1000))
    assert store.get("new") is not None
    assert all(path.exists() for path in others)
    assert not paths[0].exists()


def test_temporary_files_of_killed_runs_are_removed_after_a_day(tmp_path: Path) -> None:
    shard = stored(tmp_path).parent
    old, new = shard / ".wcx-old", shard / ".wcx-new"
    for path, hours in ((old, 25), (new, 1)):
        path.write_bytes(bytes(100))
        age(path, hours)
    Store(tmp_path).put("new", b"counts")
    assert (old.exists(), new.exists()) == (False, True)


def test_a_clock_that_went_back_does_no_harm(tmp_path: Path) -> None:
    path = stored(tmp_path)
    age(path, -1000)
    store = Store(tmp_path, 100)
    assert store.get("key") == b"counts"
    store.put("new", bytes(30))
    assert store.get("key") == b"counts"


# ------------------------------------------------------------------------------------------------- others beside it


def data_of(key: int) -> bytes:
    return Random(key).randbytes(100 + 37 * key)


def busy(directory: str, seed: int, seconds: float) -> list[str]:
    """Put, get, damage and remove the same few entries for a while; returns what was wrong."""
    random = Random(seed)
    wrong = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        store = Store(directory, 20_000)
        for _ in range(50):
            key = random.randrange(40)
            found = store.get(str(key))
            if found is not None and found != data_of(key):
                wrong.append(f"{key}: {len(found)} bytes")
            store.put(str(key), data_of(key))
            if random.random() < 0.1:
                disturb(entries(Path(directory)), random)
        if store.trouble is not None and "full" not in store.trouble:
            wrong.append(store.trouble)
    return wrong


def disturb(paths: list[Path], random: Random) -> None:
    """Remove an entry, or write into it as nobody should."""
    if not paths:
        return
    path = random.choice(paths)
    try:
        if random.random() < 0.5:
            path.unlink()
        else:
            with path.open("r+b") as file:
                file.seek(random.randrange(60))
                file.write(b"?")
    except FileNotFoundError:
        pass


def test_processes_that_use_the_same_entries_see_whole_ones(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    with context.Pool(4) as pool:
        found = pool.starmap(busy, [(str(tmp_path), seed, 1.5) for seed in range(4)])
    assert found == [[], [], [], []]
    assert total(tmp_path) <= 4 * 20_000
    assert not list(tmp_path.rglob(".wcx-*"))


def test_threads_share_one_store(tmp_path: Path) -> None:
    store = Store(tmp_path, 1 << 20)
    wrong: list[int] = []

    def work(seed: int) -> None:
        random = Random(seed)
        for _ in range(200):
            key = random.randrange(30)
            if store.get(str(key)) not in (None, data_of(key)):
                wrong.append(key)
            store.put(str(key), data_of(key))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert store.trouble is None


# ------------------------------------------------------------------------------------------------------ where it is


HOME = "/home/someone"


@pytest.mark.skipif(sys.platform != "linux", reason="where Linux has its caches")
@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, f"{HOME}/.cache/wcx"),
        ({"XDG_CACHE_HOME": "/scratch/cache"}, "/scratch/cache/wcx"),
        ({"XDG_CACHE_HOME": ""}, f"{HOME}/.cache/wcx"),
        ({"XDG_CACHE_HOME": "/scratch/cache", "WCX_CACHE_DIR": "/scratch/own"}, "/scratch/own"),
        ({"WCX_CACHE_DIR": ""}, f"{HOME}/.cache/wcx"),
        ({"LOCALAPPDATA": "/local"}, f"{HOME}/.cache/wcx"),
    ],
)
def test_the_directory_is_where_the_system_has_its_caches(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: str
) -> None:
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA", "WCX_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"HOME": HOME, **environment}.items():
        monkeypatch.setenv(name, value)
    assert cache_directory() == Path(expected)


def test_a_relative_directory_of_the_users_own_is_below_the_current_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WCX_CACHE_DIR", "own")
    store = open_store()
    store.put("key", b"counts")
    assert len(entries(tmp_path / "own")) == 1


def _no_home(*_name: object, **_options: object) -> Path:
    raise RuntimeError("no home")


@pytest.mark.parametrize("found", [_no_home, lambda *_name, **_options: Path("~/.cache/wcx")])
def test_without_a_home_it_is_off_and_says_so(monkeypatch: pytest.MonkeyPatch, found: Callable[..., Path]) -> None:
    monkeypatch.delenv("WCX_CACHE_DIR", raising=False)
    monkeypatch.setattr(platformdirs, "user_cache_path", found)
    assert cache_directory() is None
    store = open_store()
    store.put("key", b"counts")
    assert store.get("key") is None
    assert "no home directory" in (store.trouble or "")


@pytest.mark.parametrize("text", ["abc", "-1", "1.5", "1e3", "٣", " 5", "9" * 20])
def test_a_limit_that_is_no_number_is_said(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("WCX_CACHE_MIB", text)
    with pytest.raises(UsageError, match="WCX_CACHE_MIB takes a whole number of MiB"):
        open_store()


def test_the_limit_can_be_set_and_zero_is_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WCX_CACHE_DIR", str(tmp_path))
    for limit, kept in (("0", 0), ("4", 3)):
        monkeypatch.setenv("WCX_CACHE_MIB", limit)
        store = open_store()
        for index in range(6):
            store.put(str(index), bytes(1 << 20))
        assert len(entries(tmp_path)) == kept
        assert (store.trouble is None) == (limit == "0")
    assert "4 MiB" in (store.trouble or "")


def test_a_directory_in_an_entrys_place_gives_way(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put("key", b"data")
    entry = next(path for path in (tmp_path / "compare").rglob("*") if path.is_file())
    entry.unlink()
    entry.mkdir()
    assert store.get("key") is None
    store.put("key", b"data")
    assert (store.get("key"), store.trouble) == (b"data", None)
