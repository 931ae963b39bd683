"""The programs that read a table, each in the way its own users would."""

import datetime
import json
import pathlib
import tempfile
from decimal import Decimal

import chdb.session
import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds

from lakes import column_facts

DAY = "event_date"


def glob(table):
    """The files of a table, as a text in SQL."""
    return "'" + table.replace("'", "''") + "/*/*.parquet'"


def paths(table):
    return sorted(pathlib.Path(table).glob("*/*.parquet"))


def facts_of(names, columns, one, days):
    """Puts the row of sums that an engine answered into the shape of lakes.expected."""
    rows = one.pop(0)
    facts = {"rows": int(rows), "days": days, "columns": {}}
    for c in columns:
        got = {}
        for what in names[c.name]:
            value = one.pop(0)
            if what == "sum":
                value = Decimal(str(value or 0))
            elif what == "millionths":
                what, value = "sum", Decimal(value or 0) / 1_000_000
            elif what == "about":
                value = float(value or 0)
            elif what in ("least", "most"):
                value = None if value is None else float(value)
            else:
                value = None if value is None else int(value)
            got[what] = value
        facts["columns"][c.name] = got
    assert not one
    return facts


class SQL:
    """What engines that speak SQL have in common: few statements ask for everything."""

    at_once = 1000  # expressions in a statement

    def expressions(self, c):
        n = self.quoted(c.name)
        yield "nulls", f"count(*) - count({n})"
        if c.kind == "timestamp":
            yield "min", self.micros(f"min({n})")
            yield "max", self.micros(f"max({n})")
            yield "distinct", self.distinct(n)
        elif c.kind == "string":
            yield "distinct", self.distinct(n)
        elif c.kind == "boolean":
            yield "true", f"sum(CASE WHEN {n} THEN 1 ELSE 0 END)"
        elif c.kind == "double" and c.additive:
            yield "sum", f"sum({self.exact(n)})"
        elif c.kind == "double":
            yield "about", f"sum({n})"
        else:
            yield "sum", f"sum({n})"
        if c.kind in ("double", "int64"):
            yield "least", f"min({n})"
            yield "most", f"max({n})"
            yield "distinct", self.distinct(n)

    def facts(self, table, columns, mixed=False):
        source = self.scan(table, mixed)
        names, exprs = {}, ["count(*)"]
        for c in columns:
            pairs = list(self.expressions(c))
            names[c.name] = [what for what, _ in pairs]
            exprs += [e for _, e in pairs]
        row = []
        for some in (exprs[i : i + self.at_once] for i in range(0, len(exprs), self.at_once)):
            row += self.query(f"SELECT {', '.join(some)} FROM {source}")[0]
        days = {self.date(d): int(n) for d, n in self.query(f"SELECT {DAY}, count(*) FROM {source} GROUP BY {DAY}")}
        return facts_of(names, columns, row, days)

    def install(self, schema, statements):
        """Run the statements of ddl, in a schema of their own, which is then the session's."""
        self.run(f"CREATE SCHEMA {schema}")
        self.use(schema)
        for s in statements:
            self.run(s)

    def run(self, text):
        self.query(text)

    def use(self, schema):
        self.run(f"USE {schema}")

    def quoted(self, name):
        return f'"{name}"'

    def distinct(self, n):
        return f"count(DISTINCT {n})"

    def date(self, value):
        return value


class DuckDB(SQL):
    name = "duckdb"
    types = {
        "timestamp": "TIMESTAMP WITH TIME ZONE", "string": "VARCHAR", "double": "DOUBLE", "int64": "BIGINT",
        "boolean": "BOOLEAN", "decimal(18,9)": "DECIMAL(18,9)", "date": "DATE",
    }  # fmt: skip

    def __init__(self):
        self.db = duckdb.connect()
        self.db.execute("SET autoinstall_known_extensions = false; SET TimeZone = 'UTC'")

    def query(self, text):
        return self.db.execute(text).fetchall()

    def comments(self, schema, table):
        return self.query(f"SELECT column_name, comment FROM duckdb_columns() WHERE schema_name = '{schema}' AND table_name = '{table}' ORDER BY column_index")

    def rows(self, text):
        done = self.db.execute(text)
        return [d[0] for d in done.description], done.fetchall()

    def scan(self, table, mixed=False):
        option = ", union_by_name = true" if mixed else ""
        return f"read_parquet({glob(table)}, hive_partitioning = true{option})"

    def exact(self, n):
        return f"CAST({n} AS DECIMAL(38, 6))"

    def micros(self, value):
        return f"epoch_us({value})"

    def schema(self, table):
        return [row[:2] for row in self.query(f"DESCRIBE SELECT * FROM {self.scan(table)}")]

    def files_read(self, table, day):
        plan = self.query(f"EXPLAIN ANALYZE SELECT sum(input_tokens) FROM {self.scan(table)} WHERE {DAY} = DATE '{day}'")[0][1]
        return int(plan.split("Total Files Read: ")[1].split()[0])


# Numbers that JSON's readers would make floats of.
QUOTED = " SETTINGS output_format_json_quote_64bit_integers = 1, output_format_json_quote_decimals = 1"
CONVERT = {
    "Int": int, "UInt": int, "Decimal": Decimal, "Float": float, "DateTime": datetime.datetime.fromisoformat, "Date": datetime.date.fromisoformat,
}  # fmt: skip


class ClickHouse(SQL):
    name = "clickhouse"
    types = {
        "timestamp": "Nullable(DateTime64(6, 'UTC'))", "string": "Nullable(String)", "double": "Nullable(Float64)", "int64": "Nullable(Int64)",
        "boolean": "Nullable(Bool)", "decimal(18,9)": "Nullable(Decimal(18, 9))", "date": "Date",
    }  # fmt: skip

    def __init__(self):
        self.session = chdb.session.Session()

    def query(self, text):
        out = self.session.query(text + QUOTED + " FORMAT JSONCompactEachRow").data()
        return [json.loads(line) for line in out.splitlines()]

    def run(self, text):
        self.session.query(text)

    def install(self, schema, statements):
        self.run(f"CREATE DATABASE {schema}")
        self.use(schema)
        for s in statements:
            self.run(s)

    def comments(self, schema, table):
        return [tuple(r) for r in self.query(f"SELECT name, comment FROM system.columns WHERE database = '{schema}' AND table = '{table}' ORDER BY position")]

    def rows(self, text):
        """Rows with Python's own types, by the types that ClickHouse says."""
        out = json.loads(self.session.query(text + QUOTED + " FORMAT JSONCompact").data())
        types = [m["type"].removeprefix("Nullable(").rstrip(")") for m in out["meta"]]
        convert = [next((f for t, f in CONVERT.items() if kind.startswith(t)), lambda v: v) for kind in types]
        return [m["name"] for m in out["meta"]], [tuple(None if v is None else f(v) for f, v in zip(convert, r, strict=True)) for r in out["data"]]

    def scan(self, table, mixed=False):
        if not mixed:
            return f"file({glob(table)})"
        return f"(SELECT * FROM file({glob(table)}) SETTINGS schema_inference_mode = 'union')"

    def exact(self, n):
        return f"toDecimal128(toString({n}), 6)"

    def micros(self, value):
        return f"toUnixTimestamp64Micro({value})"

    def date(self, value):
        return datetime.date.fromisoformat(value)

    def schema(self, table):
        return [tuple(row[:2]) for row in self.query(f"DESCRIBE TABLE {self.scan(table)}")]

    def opened(self):
        return sum(int(n) for _, n in self.query("SELECT event, value FROM system.events WHERE event = 'EngineFileLikeReadFiles'"))

    def files_read(self, table, day):
        before = self.opened()
        self.query(f"SELECT sum(input_tokens) FROM {self.scan(table)} WHERE {DAY} = '{day}'")
        return self.opened() - before


class Polars:
    name = "polars"
    types = {
        "timestamp": pl.Datetime("us", "UTC"), "string": pl.String, "double": pl.Float64, "int64": pl.Int64,
        "boolean": pl.Boolean, "decimal(18,9)": pl.Decimal(18, 9), "date": pl.Date,
    }  # fmt: skip

    def scan(self, table, mixed=False):
        if not mixed:
            return pl.scan_parquet(table, hive_partitioning=True)
        # Polars looks at the first file alone
        newest = max(paths(table), key=lambda f: len(pl.read_parquet_schema(f)))
        return pl.scan_parquet(
            table, hive_partitioning=True, hive_schema={DAY: pl.Date}, schema=pl.read_parquet_schema(newest), missing_columns="insert"
        )

    def facts(self, table, columns, mixed=False):
        names, exprs = {}, [pl.len().alias("rows")]
        for c in columns:
            names[c.name] = []
            for what, e in self.expressions(c):
                names[c.name].append(what)
                exprs.append(e.alias(f"{c.name} {what}"))
        lazy = self.scan(table, mixed)
        row = lazy.select(exprs).collect().row(0)
        days = dict(lazy.group_by(DAY).agg(pl.len()).collect().rows())
        return facts_of(names, columns, list(row), days)

    def expressions(self, c):
        v = pl.col(c.name)
        yield "nulls", v.null_count()
        if c.kind == "timestamp":
            yield "min", v.min().cast(pl.Int64)
            yield "max", v.max().cast(pl.Int64)
            yield "distinct", v.drop_nulls().n_unique()
        elif c.kind == "string":
            yield "distinct", v.drop_nulls().n_unique()
        elif c.kind == "boolean":
            yield "true", v.sum()
        elif c.kind == "double" and c.additive:
            yield "millionths", (v * 1e6).round(0).cast(pl.Int64).sum()
        elif c.kind == "double":
            yield "about", v.sum()
        else:
            yield "sum", v.sum()
        if c.kind in ("double", "int64"):
            yield "least", v.min()
            yield "most", v.max()
            yield "distinct", v.drop_nulls().n_unique()

    def schema(self, table):
        return list(self.scan(table).collect_schema().items())

    def files_read(self, table, day):
        plan = self.scan(table).filter(pl.col(DAY) == day).select(pl.col("input_tokens").sum()).explain()
        listed = plan.split("Parquet SCAN [")[1].split("]")[0]
        assert "other" not in listed, plan
        return len(listed.split(", "))


class Arrow:
    name = "pyarrow"
    types = {
        "timestamp": pa.timestamp("us", "UTC"), "string": pa.string(), "double": pa.float64(), "int64": pa.int64(),
        "boolean": pa.bool_(), "decimal(18,9)": pa.decimal128(18, 9), "date": pa.date32(),
    }  # fmt: skip
    partitioning = ds.partitioning(pa.schema([(DAY, pa.date32())]), flavor="hive")

    def scan(self, table, mixed=False):
        if not mixed:
            return ds.dataset(table, format="parquet", partitioning=self.partitioning)
        # pyarrow looks at the first file alone
        columns = pa.unify_schemas([ds.dataset(f).schema for f in paths(table)])
        return ds.dataset(table, format="parquet", partitioning=self.partitioning, schema=columns.append(pa.field(DAY, pa.date32())))

    def facts(self, table, columns, mixed=False):
        return self.count(self.scan(table, mixed).to_table(), columns)

    def count(self, whole, columns):
        days = {r["values"]: r["counts"] for r in whole[DAY].value_counts().to_pylist()}
        return {"rows": whole.num_rows, "days": days, "columns": {c.name: column_facts(c, whole[c.name]) for c in columns}}

    def schema(self, table):
        return [(f.name, f.type) for f in self.scan(table).schema]

    def files_read(self, table, day):
        return len(list(self.scan(table).get_fragments(filter=ds.field(DAY) == day)))


class Pandas:
    """pandas with its own types: no NULL but NaN among numbers, decimals as Python's."""

    name = "pandas"
    types = {
        "timestamp": "datetime64[us, UTC]", "string": "str", "double": "float64", "int64": ("int64", "float64"),
        "boolean": ("bool", "object"), "decimal(18,9)": "object", "date": "object",
    }  # fmt: skip

    def scan(self, table, mixed=False, **more):
        if mixed:
            more["schema"] = Arrow().scan(table, True).schema
        return pd.read_parquet(table, engine="pyarrow", partitioning=Arrow.partitioning, **more)

    def facts(self, table, columns, mixed=False):
        frame = self.scan(table, mixed)
        out = {"rows": len(frame), "days": frame[DAY].value_counts().to_dict(), "columns": {}}
        for c in columns:
            v = frame[c.name]
            known = v.dropna()
            got = {"nulls": int(v.isna().sum())}
            if c.kind == "timestamp":
                got |= {"min": int(known.min().value) // 1000, "max": int(known.max().value) // 1000, "distinct": known.nunique()}
            elif c.kind == "string":
                got["distinct"] = known.nunique()
            elif c.kind == "boolean":
                got["true"] = int(known.astype(bool).sum())
            elif c.kind == "decimal(18,9)":
                got["sum"] = sum(known, Decimal(0))
            elif c.kind == "int64":
                got["sum"] = Decimal(int(known.astype("int64").sum()))
            elif c.additive:
                got["sum"] = Decimal(int((known * 1e6).round().astype("int64").sum())) / 1_000_000
            else:
                got["about"] = float(known.sum())
            if c.kind in ("double", "int64"):
                ends = (float(known.min()), float(known.max())) if len(known) else (None, None)
                got |= {"least": ends[0], "most": ends[1], "distinct": known.nunique()}
            out["columns"][c.name] = got
        return out

    def schema(self, table):
        return [(n, str(t)) for n, t in self.scan(table).dtypes.items()]

    def files_read(self, table, day):
        """Counts nothing, but reads a table of which only the day's file is one."""
        with tempfile.TemporaryDirectory() as scratch:
            for file in paths(table):
                copy = pathlib.Path(scratch, *file.parts[-2:])
                copy.parent.mkdir()
                if copy.parent.name == f"{DAY}={day}":
                    copy.symlink_to(file)
                else:
                    copy.write_bytes(b"no Parquet")
            frame = self.scan(scratch, filters=[(DAY, "==", day)], schema=Arrow().scan(table).schema)
            assert set(frame[DAY]) == {day}
        return 1


class Spark(SQL):
    name = "spark"
    at_once = 80
    types = {
        "timestamp": "timestamp", "string": "string", "double": "double", "int64": "bigint",
        "boolean": "boolean", "decimal(18,9)": "decimal(18,9)", "date": "date",
    }  # fmt: skip

    def __init__(self, scratch):
        from pyspark.sql import SparkSession

        settings = {
            "spark.ui.enabled": "false",
            "spark.sql.warehouse.dir": str(scratch / "warehouse"),
            "spark.sql.session.timeZone": "UTC",
            "spark.sql.shuffle.partitions": "2",
            "spark.sql.adaptive.enabled": "false",  # so that a plan has its metrics where they are looked for
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.driver.host": "127.0.0.1",
            "spark.driver.memory": "2g",
            "spark.log.level": "ERROR",
        }
        builder = SparkSession.builder.master("local[2]")
        for k, v in settings.items():
            builder = builder.config(k, v)
        self.spark = builder.getOrCreate()

    def query(self, text):
        return [tuple(r) for r in self.spark.sql(text).collect()]

    def comments(self, schema, table):
        return [(f.name, f.metadata.get("comment")) for f in self.spark.table(f"`{schema}`.`{table}`").schema]

    def rows(self, text):
        frame = self.spark.sql(text)
        return frame.columns, [tuple(r) for r in frame.collect()]

    def frame(self, table, mixed=False):
        return self.spark.read.option("mergeSchema", mixed).parquet(table)

    def scan(self, table, mixed=False):
        self.frame(table, mixed).createOrReplaceTempView("scanned")
        return "scanned"

    def quoted(self, name):
        return f"`{name}`"

    def distinct(self, n):
        """Many count(DISTINCT) of one statement take Spark an hour to plan."""
        return f"size(collect_set({n}))"

    def exact(self, n):
        return f"CAST({n} AS DECIMAL(38, 6))"

    def micros(self, value):
        return f"unix_micros({value})"

    def schema(self, table):
        return [(f.name, f.dataType.simpleString()) for f in self.frame(table).schema]

    def files_read(self, table, day):
        frame = self.frame(table).where(f"{DAY} = DATE '{day}'").selectExpr("sum(input_tokens)")
        frame.collect()
        leaf = frame._jdf.queryExecution().executedPlan().collectLeaves().head()
        return leaf.metrics().apply("numFiles").value()
