import os
import subprocess

import pytest

import engines
import lakes

LIGHT = ["duckdb", "clickhouse", "polars", "pyarrow", "pandas"]
MADE = {"duckdb": engines.DuckDB, "clickhouse": engines.ClickHouse, "polars": engines.Polars, "pyarrow": engines.Arrow, "pandas": engines.Pandas}

# The tables that are read: lake and table.
READ = [("corpus", "usage"), ("snappy", "usage"), ("shapes", "usage"), ("shapes", "reports"), ("samples", "usage"), ("large", "usage")]

# Prices of some calls, so that costs are there in every way: by prices, as logged, none.
BOOK = """
book: interop
entries:
  - {model: "gpt-4o*", prices: {input: 2.5, cache_read: 1.25, output: 10, input_audio: 40, output_audio: 80}}
  - {model: "text-embedding*", prices: {input: 0.02}}
  - {model: "claude*", prices: {input: 3, cache_read: 0.3, cache_write: 3.75, cache_write_1h: 6, output: 15, search: 0.01}}
"""


def pytest_addoption(parser):
    parser.addoption("--spark", action="store_true", help="read with Spark too")


def pytest_generate_tests(metafunc):
    names = LIGHT + (["spark"] if metafunc.config.getoption("--spark") else [])
    if "engine" in metafunc.fixturenames:
        metafunc.parametrize("engine", names, indirect=True)
    if "sql_engine" in metafunc.fixturenames:
        metafunc.parametrize("sql_engine", [n for n in names if n in ("duckdb", "clickhouse", "spark")], indirect=True)


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """An engine by name; each is started once."""
    running = {}

    def get(name):
        if name not in running:
            running[name] = engines.Spark(tmp_path_factory.mktemp("spark")) if name == "spark" else MADE[name]()
        return running[name]

    return get


@pytest.fixture
def engine(request, made):
    return made(request.param)


@pytest.fixture
def sql_engine(request, made):
    return made(request.param)


@pytest.fixture(scope="session")
def lake(tmp_path_factory):
    """A lake by name; each is made once."""
    there = {}

    def make(name):
        path = tmp_path_factory.mktemp(name) / "lake"
        logs, golden = lakes.ROOT / "testdata/logs", sorted((lakes.ROOT / "testdata/golden").glob("*.jsonl"))
        if name == "corpus":
            return lakes.load(path, logs)
        if name == "snappy":
            return lakes.load(path, logs, flags=["--codec", "snappy"])
        if name == "shapes":  # a line of nearly everything that is read, and prices for some of it
            book = path.parent / "book.yaml"
            book.write_text(BOOK)
            return lakes.load(path.parent / "someone's lake", logs, *golden, flags=["--prices", str(book)])
        if name == "reports":
            return lakes.load(path, lakes.ROOT / "testdata/golden/reports.jsonl")
        if name == "samples":
            return lakes.load(path, *samples())
        if name == "large":
            out = path.parent / "logs"
            command = [os.environ["USAGELAKE_GEN"], "-workload", "mixed", "-lines", "200000", "-days", "5", "-out", str(out)]
            subprocess.run(command, check=True, capture_output=True)
            return lakes.load(path, out)
        raise KeyError(name)

    def get(name):
        if name not in there:
            there[name] = make(name)
        return there[name]

    return get


def samples():
    """Recorded logs, which are no part of the repository."""
    shared = lakes.pathlib.Path(os.environ.get("USAGELAKE_SHARED") or lakes.ROOT / ".." / "shared") / "samples"
    found = sorted(f for f in shared.glob("*/*") if f.is_file())
    if not found:
        pytest.skip(f"no recorded logs in {shared}; USAGELAKE_SHARED names the folder above")
    return found
