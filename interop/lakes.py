"""Lakes that usagelake made, and the figures that everyone must find in them."""

import datetime
import json
import os
import pathlib
import re
import subprocess
from dataclasses import dataclass
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from contract import ROOT, TABLES, Column

DAY = datetime.timedelta(days=1)


@dataclass
class Lake:
    path: pathlib.Path
    report: dict  # of the load that made it

    def dir(self, table):
        return str(self.path / table)

    def files(self, table):
        return sorted((self.path / table).glob("*/*.parquet"))

    def days(self, table):
        return sorted({datetime.date.fromisoformat(f.parent.name.removeprefix("event_date=")) for f in self.files(table)})


def load(path, *inputs, flags=()):
    """Load inputs into a new lake. Some of them are there to be set aside."""
    command = [os.environ["USAGELAKE"], "load", *map(str, inputs), "--lake", str(path), "--json", *flags]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode in (0, 3), done.stderr
    return Lake(path, json.loads(done.stdout))


def ddl(lake, dialect, *flags):
    command = [os.environ["USAGELAKE"], "ddl", "--lake", str(lake), "--dialect", dialect, *flags]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def statements(text):
    """The statements of a text, without remarks in front of them."""
    out = [re.sub(r"(?m)^--.*\n", "", s).strip() for s in text.split(";\n")]
    return [s for s in out if s]


def escaped(engine, path):
    """The path as it stands in a text of the engine's SQL."""
    return path.replace("'", "''" if engine.name == "duckdb" else "\\'")


def micros(values):
    return pc.cast(values, pa.int64())


def column_facts(c: Column, values):
    """What every engine must say of a column, from its values in Arrow."""
    facts = {"nulls": values.null_count}
    if c.kind == "timestamp":
        ends = pc.min_max(micros(values)).as_py()
        facts |= {"min": ends["min"], "max": ends["max"], "distinct": pc.count_distinct(values).as_py()}
    elif c.kind == "string":
        facts["distinct"] = pc.count_distinct(values).as_py()
    elif c.kind == "boolean":
        facts["true"] = pc.sum(values).as_py() or 0
    elif c.kind == "decimal(18,9)":
        wide = values.cast(pa.decimal128(38, 9))
        facts["sum"] = pc.sum(wide).as_py() or Decimal(0)
    elif c.kind == "int64":
        facts["sum"] = Decimal(pc.sum(values).as_py() or 0)
    elif c.additive:
        units = pc.round(pc.multiply(values, 1e6)).cast(pa.int64())
        facts["sum"] = Decimal(pc.sum(units).as_py() or 0) / 1_000_000
    else:
        facts["about"] = pc.sum(values).as_py() or 0.0
    if c.kind in ("double", "int64"):
        ends = pc.min_max(values).as_py()
        facts |= {"least": ends["min"], "most": ends["max"], "distinct": pc.count_distinct(values).as_py()}
    return facts


def read_file(path):
    """One file as it is: no directory, no partition column, no reader of data sets."""
    return pq.ParquetFile(path).read()


def expected(lake: Lake, table):
    """The figures of a table, file by file, and held against the books of its load."""
    columns = TABLES[table]
    files = lake.files(table)
    whole = pa.concat_tables([read_file(f).select([c.name for c in columns]) for f in files])
    days = {}
    for f in files:
        day = datetime.date.fromisoformat(f.parent.name.removeprefix("event_date="))
        days[day] = days.get(day, 0) + pq.ParquetFile(f).metadata.num_rows
    facts = {"rows": whole.num_rows, "days": days, "columns": {c.name: column_facts(c, whole[c.name]) for c in columns}}
    books = lake.report["books"]
    rows, sums = ("rows", "row_sums") if table == "usage" else ("reports", "report_sums")
    assert facts["rows"] == books[rows]
    for c in columns:
        if c.additive:
            assert facts["columns"][c.name]["sum"] == Decimal(books[sums].get(c.name, "0")), c.name
    return facts


def tear(lake: Lake, table, to: pathlib.Path, share=0.5):
    """A copy of a table, of which that share of the days, the first ones, is from
    before its last column was appended. Returns its directory and how many values
    the column lost."""
    files = lake.files(table)
    lost = 0
    for i, f in enumerate(files):
        target = to / f.relative_to(lake.path)
        target.parent.mkdir(parents=True)
        content = read_file(f)
        if i < len(files) * share:
            last = content.schema.names[-1]
            lost += len(content) - content[last].null_count
            content = content.drop_columns([last])
        pq.write_table(content, target, compression="zstd")
    return to / table, lost
