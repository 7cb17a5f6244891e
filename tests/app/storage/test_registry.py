"""The registry's tables: filters, pages, numbers and aliases, on either database."""

import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.domain.ids import new_id
from app.domain.paging import Page, PageRequest
from app.domain.registry import Filter, Model, Version
from app.storage import files, registry
from app.storage.database import Database

VERSION = {
    "algorithm": "kmeans",
    "params": {},
    "feature_names": ["x0"],
    "n_samples": 3,
    "metrics": {},
    "anomaly": {},
    "preprocess": {},
    "artifact_sha256": "0" * 64,
    "artifact_bytes": 1,
}


def add_version(database: Database, model: str, alias: str | None = None, **tags: str) -> int:
    key = f"models/{new_id()}"
    files.announce(database, key)
    with database.write() as tx:
        number = registry.next_version(tx, model, None, {})
        values = {"model": model, "version": number, "artifact_key": key, "tags": tags}
        registry.add_version(tx, VERSION | values)
        if alias is not None:
            registry.point_alias(tx, model, alias, number, "test")
    return number


def add_model(database: Database, name: str, tags: dict[str, str]) -> None:
    with database.write() as tx:
        registry.ensure_model(tx, name, None, tags)


def models(database: Database, wanted: Filter, request: PageRequest = PageRequest()) -> Page[Model]:
    with database.read() as tx:
        return registry.page_models(tx, wanted, request)


def versions(database: Database, wanted: Filter, request: PageRequest = PageRequest()) -> Page[Version]:
    with database.read() as tx:
        return registry.page_versions(tx, "m", wanted, request)


TAGGED = {
    "plain": {"team": "geo", "stage": "test"},
    "other": {"team": "bio"},
    "odd": {"a.b-c_d": 'it\'s "quoted", 100 %', "empty": ""},
    "number": {"build": "7", "Team": "geo"},
    "none": {},
}


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ([("team", "geo")], ["plain"]),
        ([("team", None)], ["other", "plain"]),
        ([("team", "geo"), ("stage", "test")], ["plain"]),
        ([("team", "geo"), ("team", "bio")], []),
        ([("a.b-c_d", 'it\'s "quoted", 100 %')], ["odd"]),
        ([("empty", "")], ["odd"]),
        ([("empty", None)], ["odd"]),
        ([("build", "7")], ["number"]),
        ([("Team", None)], ["number"]),
        ([("absent", None)], []),
        ([], ["none", "number", "odd", "other", "plain"]),
    ],
)
def test_models_by_tags(database: Database, tags: list[tuple[str, str | None]], expected: list[str]) -> None:
    for name, of_model in TAGGED.items():
        add_model(database, name, of_model)
    assert [model.name for model in models(database, Filter(tuple(tags))).items] == expected


def test_versions_by_tags_and_aliases(database: Database) -> None:
    add_version(database, "m", "champion", team="geo")
    add_version(database, "m", "challenger", team="geo")
    add_version(database, "m", None, team="bio")
    add_version(database, "other", "champion", team="geo")

    def numbers(*tags: tuple[str, str | None], aliases: tuple[str, ...] = ()) -> list[int]:
        return [version.version for version in versions(database, Filter(tags, aliases)).items]

    assert numbers(("team", "geo")) == [2, 1]
    assert numbers(aliases=("champion",)) == [1]
    assert numbers(aliases=("champion", "challenger", "nobody")) == [2, 1]
    assert numbers(("team", "bio"), aliases=("champion",)) == []
    found = models(database, Filter(aliases=("challenger",)))
    assert [(model.name, model.aliases) for model in found.items] == [("m", {"champion": 1, "challenger": 2})]
    assert [m.name for m in models(database, Filter(aliases=("champion", "challenger"))).items] == ["other", "m"]


@pytest.mark.parametrize("wanted", [Filter(), Filter((("team", "geo"),))], ids=["all", "filtered"])
def test_pages_stay_whole_while_rows_come_and_go(database: Database, wanted: Filter) -> None:
    for i in range(7):
        add_model(database, f"m{i}", {"team": "geo"})
        add_version(database, "m", team="geo")
    before = [model.name for model in models(database, wanted).items]

    def walk(page_of: Callable[[PageRequest], Page[Model] | Page[Version]]) -> list[str | int]:
        seen: list[str | int] = []
        cursor, turn = None, 0
        while True:
            page = page_of(PageRequest(2, cursor))
            seen += [item.name if isinstance(item, Model) else item.version for item in page.items]
            if page.next is None:
                return seen
            cursor, turn = page.next, turn + 1
            add_model(database, f"new-{new_id()}", {"team": "geo"})
            with database.write() as tx:  # the very row that the cursor names
                if isinstance(page.items[-1], Version):
                    registry.remove_version(tx, "m", page.items[-1].version)
            add_version(database, "m", team="geo")

    assert walk(lambda request: models(database, wanted, request)) == before
    newest = versions(database, wanted).items[0].version
    assert walk(lambda request: versions(database, wanted, request)) == list(range(newest, 0, -1))


def test_numbers_are_gapless_whoever_gives_up(database: Database) -> None:
    """32 take numbers of one model at once, and every third changes its mind at the last moment."""

    def take(i: int) -> int | None:
        try:
            with database.write() as tx:
                number = registry.next_version(tx, "m", None, {})
                if i % 3 == 0:
                    raise InterruptedError
                return number
        except InterruptedError:
            return None

    with ThreadPoolExecutor(32) as pool:
        taken = [number for number in pool.map(take, range(96)) if number is not None]
    assert sorted(taken) == list(range(1, 65))


def test_a_number_is_taken_of_a_model_that_is_just_being_deleted(database: Database) -> None:
    add_version(database, "m")
    with ThreadPoolExecutor(1) as pool:
        with database.write() as tx:
            registry.remove_model(tx, "m")
            waiting = pool.submit(add_version, database, "m")
            with pytest.raises(TimeoutError):
                waiting.result(timeout=0.3)
        assert waiting.result(timeout=20) == 1


def test_an_alias_always_leads_somewhere_while_it_moves(database: Database) -> None:
    """Its version is deleted as soon as it has moved on: whoever asks gets the old one or the new."""
    add_version(database, "m", "champion")
    moving = threading.Event()
    moving.set()

    def ask() -> set[int]:
        seen: set[int] = set()
        while moving.is_set():
            with database.read() as tx:
                version = registry.aliased_version(tx, "m", "champion")
            assert version is not None
            seen.add(version.version)
        return seen

    with ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(ask) for _ in range(4)]
        try:
            for _ in range(60):
                number = add_version(database, "m", "champion")
                with database.write() as tx:
                    registry.remove_version(tx, "m", number - 1)
        finally:
            moving.clear()
        seen = set().union(*(future.result() for future in asking))
    assert len(seen) > 3


@pytest.mark.parametrize("clocks", ["alike", "apart"])
def test_history_tells_each_move_in_order(database: Database, clocks: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when it was moved by processes whose clocks are apart, of which ids are made."""
    dice = random.Random(5)
    if clocks == "apart":
        early = [new_id() for _ in range(200)]
        dice.shuffle(early)
        monkeypatch.setattr(registry, "new_id", early.pop)
    for _ in range(4):
        add_version(database, "m")
    expected: list[tuple[int | None, int]] = []
    for _ in range(30):
        to = dice.randint(1, 4)
        origin = expected[-1][1] if expected else None
        with database.write() as tx:
            registry.point_alias(tx, "m", "a", to, "someone")
        if origin != to:
            expected.append((origin, to))
    with database.read() as tx:
        moves = registry.page_moves(tx, "m", "a", PageRequest(200)).items
    assert [(move.origin, move.to) for move in reversed(moves)] == expected
    assert [move.at for move in moves] == sorted((move.at for move in moves), reverse=True)
