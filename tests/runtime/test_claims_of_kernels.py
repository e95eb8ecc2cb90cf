"""Work that processes share."""

import os

from graphdl.runtime.claims import Claims

PARTS = 2000


def test_each_part_is_begun_once(tmp_path):
    path = tmp_path / "claims"
    path.touch()
    first, second = Claims(str(path)), Claims(str(path))
    assert [first.take(3), second.take(3), second.take(4), first.take(4)] == [True, False, True, False]
    assert first.finished(0, 10) == 0
    second.finish(4)
    assert [first.finished(0, 10), first.finished(4, 5), first.finished(5, 10)] == [1, 1, 0]
    assert not first.take(4)


def test_two_processes_share_all_parts(tmp_path):
    path = tmp_path / "claims"
    path.touch()
    child = os.fork()
    claims = Claims(str(path))
    taken = [part for part in range(PARTS) if claims.take(part)]
    (tmp_path / f"taken {child == 0}").write_text(" ".join(map(str, taken)))
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    found = [int(word) for is_child in (True, False) for word in (tmp_path / f"taken {is_child}").read_text().split()]
    assert sorted(found) == list(range(PARTS))
