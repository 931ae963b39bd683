"""The recipes of docs/warehouse.md, as a reader copies them."""

import os
import re

import pytest

import lakes

DOC = lakes.ROOT / "docs/warehouse.md"


def blocks(language):
    found = re.findall(rf"^```{language}\n(.*?)^```", DOC.read_text(), re.M | re.S)
    assert found, f"{DOC} has no recipe in {language}"
    return "".join(found)


@pytest.fixture
def there(lake, tmp_path, monkeypatch):
    """A directory with a lake in it."""
    (tmp_path / "lake").symlink_to(lake("corpus").path)
    monkeypatch.chdir(tmp_path)
    return lakes.expected(lake("corpus"), "usage")


def test_sql(there, made):
    recipes = {who.split()[0]: text.strip() for who, text in re.findall(r"^-- (.*)\n([^;]*);", blocks("sql"), re.M)}
    assert set(recipes) == {"DuckDB", "ClickHouse"}
    want = float(there["columns"]["input_tokens"]["sum"])
    got = made("duckdb").query(recipes["DuckDB"])
    assert sum(r[2] or 0 for r in got) == pytest.approx(want) and len({r[0] for r in got}) == len(there["days"])
    out = made("clickhouse").session.query(recipes["ClickHouse"].replace("'lake/", f"'{DOC.cwd()}/lake/"), "TSV").data()
    rows = [line.split("\t") for line in out.splitlines()]
    assert sum(float(r[2].replace("\\N", "0")) for r in rows) == pytest.approx(want) and len({r[0] for r in rows}) == len(there["days"])


def test_python(there, request):
    import pandas as pd
    import polars as pl
    import pyarrow as pa
    import pyarrow.dataset as ds

    names = {"pd": pd, "pl": pl, "pa": pa, "ds": ds}
    count = {"Polars": lambda v: v.select(pl.len()).collect().item(), "pyarrow": lambda v: v.count_rows(), "pandas;": len, "Spark": lambda v: v.count()}
    if request.config.getoption("--spark"):
        names["spark"] = request.getfixturevalue("made")("spark").spark
    lines = blocks("python").splitlines()
    assert len(lines) == len(count)
    for line in lines:
        code, _, who = line.rpartition("  # ")
        if who.startswith("Spark"):  # the JVM stays in the directory that it was started in
            code = code.replace('"lake/', f'"{os.getcwd()}/lake/')
        if "spark" in names or not who.startswith("Spark"):
            assert count[who.split()[0]](eval(code, names)) == there["rows"], who
