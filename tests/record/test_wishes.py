"""Wishes are appended in the order in which they can be seen, so that none is missed."""

import threading
from contextlib import closing

import pytest

from record.landing import Location, open_store
from record.wishes import append_wish, wishes_after


def test_wishes_are_read_behind_the_last_that_was_carried_out(location: Location) -> None:
    with closing(open_store(location)) as store:
        first = append_wish(store, "shop", "net", "pause")
        second = append_wish(store, "shop", None, "replay", {"states": ["dead"]})
        assert wishes_after(store, 0) == [first, second]
        assert wishes_after(store, first.id) == [second] and not wishes_after(store, second.id)
        assert wishes_after(store, 0, limit=1) == [first]
        with pytest.raises(ZeroDivisionError), store.transaction():
            append_wish(store, "shop", "net", "resume")
            raise ZeroDivisionError
        assert append_wish(store, "shop", "net", "test").id == second.id + 1


def test_no_wish_appears_before_one_that_was_read(location: Location) -> None:
    """Writers at once: whoever reads behind the last id that he saw sees every one."""
    writers, each = 4, 25
    seen: list[int] = []

    def write() -> None:
        with closing(open_store(location)) as store:
            for _ in range(each):
                append_wish(store, "shop", "net", "test")

    with closing(open_store(location)) as store:
        threads = [threading.Thread(target=write) for _ in range(writers)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            seen += [wish.id for wish in wishes_after(store, seen[-1] if seen else 0)]
        for thread in threads:
            thread.join()
        seen += [wish.id for wish in wishes_after(store, seen[-1] if seen else 0)]
    assert seen == list(range(1, writers * each + 1))


def test_a_store_that_was_made_earlier_gets_the_tables(location: Location) -> None:
    tables = ("destination_secrets", "forwarding_wishes")
    with closing(open_store(location)) as store:
        for table in tables:
            store.execute(f"DROP TABLE {table}")
    with closing(open_store(location)) as store:
        for table in tables:
            assert store.query(f"SELECT count(*) FROM {table}") == [(0,)]
