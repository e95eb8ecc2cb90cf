"""The cache on disk: what it keeps, and that nothing that happens to it is an error."""

import os

import pytest

from graphdl.cache import BinaryCache, cache_folder, usable_folder


def test_keeps_what_was_put(tmp_path):
    cache = BinaryCache(tmp_path / "programs")
    assert cache.get("source", "device") is None
    cache.put(b"binary", "source", "device")
    assert cache.get("source", "device") == b"binary"
    assert cache.get("source", "other device") is None
    assert cache.get("sourcedevice") is None


def test_leaves_no_temporary_file(tmp_path):
    cache = BinaryCache(tmp_path)
    cache.put(b"binary", "key")
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("damage", [b"", b"short", b"\0" * 200])
def test_a_damaged_file_is_as_good_as_none(tmp_path, damage):
    cache = BinaryCache(tmp_path)
    cache.put(b"binary", "key")
    (file,) = tmp_path.iterdir()
    file.write_bytes(damage)
    assert cache.get("key") is None
    cache.put(b"again", "key")
    assert cache.get("key") == b"again"


def test_a_folder_that_cannot_be_is_no_error(tmp_path):
    file = tmp_path / "file"
    file.write_text("in the way")
    cache = BinaryCache(file / "programs")
    cache.put(b"binary", "key")
    assert cache.get("key") is None
    cache.forget("key")


def test_the_longest_unused_go_first(tmp_path):
    cache = BinaryCache(tmp_path, limit=3000)
    for age, key in enumerate(("new", "old", "older")):
        cache.put(bytes(900), key)
        newest = max(tmp_path.iterdir(), key=lambda path: path.stat().st_mtime_ns)
        os.utime(newest, (1000 - age, 1000 - age))
    assert cache.get("older") is not None  # used now, so it is the newest
    cache.put(bytes(900), "newest")
    assert [cache.get(key) is not None for key in ("new", "old", "older", "newest")] == [True, False, True, True]


def test_the_folder_follows_xdg(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "graphdl"


def test_a_relative_path_is_no_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", "caches")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "graphdl"


def test_a_user_without_a_home_gets_a_temporary_folder(monkeypatch, caplog):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", "")
    assert cache_folder().is_dir()
    assert cache_folder().is_absolute()
    assert "no home folder" in caplog.text or not caplog.text  # the line is said once in a process


def test_another_users_folder_is_not_used(monkeypatch, tmp_path, caplog):
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    folder = usable_folder(tmp_path / "theirs")
    assert folder != tmp_path / "theirs"
    assert folder.is_dir()
    assert caplog.messages == [
        f"the cache folder {tmp_path / 'theirs'} is of no use (it belongs to another user); "
        "a temporary one takes its place"
    ]


def test_a_full_disk_is_not_used(monkeypatch, tmp_path, caplog):
    real = os.statvfs(tmp_path)
    full = os.statvfs_result([*real[:3], 0, 0, *real[5:]])
    monkeypatch.setattr(os, "statvfs", lambda _: full)
    assert usable_folder(tmp_path / "full") != tmp_path / "full"
    assert "its file system is full" in caplog.text


def test_a_file_system_that_lets_nothing_run_is_used_for_data_only(monkeypatch, tmp_path, caplog):
    real = os.statvfs(tmp_path)
    inert = os.statvfs_result([*real[:8], real.f_flag | os.ST_NOEXEC, *real[9:]])
    monkeypatch.setattr(os, "statvfs", lambda _: inert)
    assert usable_folder(tmp_path / "inert") == tmp_path / "inert"
    assert usable_folder(tmp_path / "inert", executable=True) != tmp_path / "inert"
    assert "does not let files run" in caplog.text
