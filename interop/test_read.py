"""Every engine finds the same in a table, which is what the books of its load say."""

import functools
import math

import pytest

import lakes
from conftest import READ
from contract import TABLES

pytestmark = pytest.mark.parametrize(("where", "table"), READ)


@pytest.fixture(scope="module")
def figures(lake):
    return functools.cache(lambda where, table: lakes.expected(lake(where), table))


def same(got, want):
    assert got["rows"] == want["rows"]
    assert got["days"] == want["days"]
    assert list(got["columns"]) == list(want["columns"])
    for name, facts in want["columns"].items():
        found = dict(got["columns"][name])
        if "about" in facts:
            assert math.isclose(found.pop("about"), facts["about"], rel_tol=1e-12), name
        assert found == {k: v for k, v in facts.items() if k != "about"}, name


def test_figures(lake, figures, engine, where, table):
    same(engine.facts(lake(where).dir(table), TABLES[table]), figures(where, table))


def test_types(lake, engine, where, table):
    got = engine.schema(lake(where).dir(table))
    kinds = [(c, engine.types[c.kind]) for c in TABLES[table]]
    if engine.name == "clickhouse":
        kinds = [(c, "DateTime64(6, 'UTC')" if c.required else t) for c, t in kinds]
    want = [(c.name, t) for c, t in kinds] + [("event_date", engine.types["date"])]
    if engine.name == "pandas":  # has several for a column, by whether it has NULLs; all of them NULL is object
        assert [n for n, _ in got] == [n for n, _ in want]
        assert all(g == w or g in w or g == "object" for (_, g), (_, w) in zip(got, want, strict=True)), (got, want)
    else:
        assert got == want


def test_pruning(lake, engine, where, table):
    """A condition on one day reads one file."""
    days = lake(where).days(table)
    assert len(days) > 1
    if engine.name in ("pandas", "spark"):  # which take their time
        days = (days[0], days[-1])
    for day in days:
        assert engine.files_read(lake(where).dir(table), day) == 1
