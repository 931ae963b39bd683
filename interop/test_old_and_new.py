"""Files from before a column was appended, beside files that have it."""

import re

import pytest

import lakes
from contract import TABLES


@pytest.fixture(scope="module", params=["usage", "reports"])
def torn(request, lake, tmp_path_factory):
    """A table, its directory, and what must be found there."""
    table = request.param
    whole = lake("shapes")
    where, lost = lakes.tear(whole, table, tmp_path_factory.mktemp("torn"))
    assert lost > 0
    want = lakes.expected(whole, table)
    return table, str(where), want, lost


def test_figures(torn, engine):
    """All columns but the last are as ever; the old files' part of that one is NULL."""
    table, where, want, lost = torn
    *rest, last = TABLES[table]
    got = engine.facts(where, TABLES[table], mixed=True)
    assert (got["rows"], got["days"]) == (want["rows"], want["days"])
    for c in rest:
        found = dict(got["columns"][c.name])
        facts = dict(want["columns"][c.name])
        assert found.pop("about", 0) == pytest.approx(facts.pop("about", 0), rel=1e-12)
        assert found == facts, c.name
    assert got["columns"][last.name]["nulls"] == want["columns"][last.name]["nulls"] + lost




@pytest.mark.parametrize("age", ["torn", "old"])
def test_ddl(torn, lake, sql_engine, age, tmp_path):
    """What ddl makes needs no option: it says the columns, also one that no file has yet."""
    table, where, want, lost = torn
    *_, last = TABLES[table]
    whole = lake("shapes")
    known = want["rows"] - want["columns"][last.name]["nulls"] - lost
    if age == "old":
        where, _ = lakes.tear(whole, table, tmp_path, share=1)
        known = 0
    text = lakes.ddl(whole.path, sql_engine.name).replace(lakes.escaped(sql_engine, whole.dir(table)), str(where))
    schema = f"{age}_{table}"
    sql_engine.install(schema, [s for s in lakes.statements(text) if not re.search(r"VIEW \Wusage_", s)])
    rows = sql_engine.query(f"SELECT count(*), count({last.name}) FROM {sql_engine.quoted(table)}")[0]
    assert (int(rows[0]), int(rows[1])) == (want["rows"], known)
