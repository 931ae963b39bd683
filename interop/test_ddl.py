"""What usagelake ddl prints: run where there is an engine, parsed and translated where there is none."""

import collections
import datetime
import math
import re
from decimal import Decimal

import pyarrow as pa
import pytest
import sqlglot
from sqlglot import exp

import lakes
from contract import NOT_ADDED, TABLES

DIALECTS = ["duckdb", "clickhouse", "bigquery", "snowflake", "athena", "trino", "spark", "redshift", "databricks"]
LOCATION = {"duckdb": (), "clickhouse": (), "spark": (), "bigquery": ("--location", "gs://bucket/lake")}
VIEWS = ["usage_daily", "usage_whole", "usage_focus"]


def ddl(lake, dialect):
    return lakes.ddl(lake.path, dialect, *LOCATION.get(dialect, ("--location", "s3://bucket/lake")))


# What the views must say, worked out row by row in Python.


@pytest.fixture(scope="module")
def calls(lake):
    """The rows of the usage table, each with its parts."""
    whole = pa.concat_tables([lakes.read_file(f).append_column("event_date", pa.array([f.parent.name[11:]] * n)) for f, n in sizes(lake)])
    out = whole.to_pylist()
    for r in out:
        r["event_date"] = datetime.date.fromisoformat(r["event_date"])
        r["parts"] = parts(r)
    return out


def sizes(lake):
    for f in lake("shapes").files("usage"):
        yield f, len(lakes.read_file(f))


def parts(r):
    """A call's input and output, and their parts; None is what the call does not tell."""

    def n(name):
        return r[name] or 0

    write = r["cache_write_tokens"] if r["cache_write_tokens"] is not None else n("cache_write_1h_tokens")
    kinds = sum(n(f"input_{k}_tokens") for k in ("text", "image", "audio", "video"))
    total = r["input_tokens"] if r["input_tokens"] is not None else max(n("cache_read_tokens") + write, kinds) or None
    out = dict.fromkeys(PARTS)
    if total is not None:
        read = min(n("cache_read_tokens"), total)
        write = min(write, total - read)
        hour = min(n("cache_write_1h_tokens"), write)
        out |= {
            "input_tokens": total, "fresh_input_tokens": total - read - write, "cache_read_tokens": read,
            "cache_write_tokens": write - hour, "cache_write_1h_tokens": hour,
        }  # fmt: skip
    kinds = sum(n(f"output_{k}_tokens") for k in ("text", "image", "audio"))
    total = r["output_tokens"] if r["output_tokens"] is not None else max(kinds, n("reasoning_tokens")) or None
    if total is not None:
        image = min(n("output_image_tokens"), total)
        audio = min(n("output_audio_tokens"), total - image)
        reasoning = min(n("reasoning_tokens"), total - image - audio)
        out |= {
            "output_tokens": total, "output_text_tokens": total - image - audio - reasoning, "reasoning_tokens": reasoning,
            "output_image_tokens": image, "output_audio_tokens": audio,
        }  # fmt: skip
    return out | {k: r[k] for k in ("image_count", "audio_seconds", "web_search_requests")}


PARTS = """input_tokens fresh_input_tokens cache_read_tokens cache_write_tokens cache_write_1h_tokens output_tokens output_text_tokens
    reasoning_tokens output_image_tokens output_audio_tokens image_count audio_seconds web_search_requests""".split()

METERS = {
    "fresh_input_tokens": ("Input Tokens", "Tokens"), "cache_read_tokens": ("Cache Read Tokens", "Tokens"),
    "cache_write_tokens": ("Cache Write Tokens", "Tokens"), "cache_write_1h_tokens": ("Cache Write Tokens, 1 Hour", "Tokens"),
    "output_text_tokens": ("Output Tokens", "Tokens"), "reasoning_tokens": ("Reasoning Tokens", "Tokens"),
    "output_image_tokens": ("Output Image Tokens", "Tokens"), "output_audio_tokens": ("Output Audio Tokens", "Tokens"),
    "image_count": ("Images", "Images"), "audio_seconds": ("Audio Seconds", "Seconds"), "web_search_requests": ("Web Searches", "Requests"),
}  # fmt: skip


def total(values):
    """A sum as SQL has it: of what is there, or NULL."""
    known = [v for v in values if v is not None]
    if not known:
        return None
    return math.fsum(known) if isinstance(known[0], float) else sum(known)


def daily(calls):
    keys = ("event_date", "provider", "model", "operation", "project_id")
    groups = collections.defaultdict(list)
    for r in calls:
        groups[tuple(r[k] for k in keys)].append(r)
    out = {}
    for key, rows in groups.items():
        sums = {p: total(r["parts"][p] for r in rows) for p in PARTS}
        out[key] = {"requests": len(rows)} | sums | {
            "cost_usd": total(r["cost_usd"] for r in rows),
            "reported_cost_usd": total(r["reported_cost_usd"] for r in rows),
            "priced_requests": sum(r["cost_usd"] is not None for r in rows),
        }  # fmt: skip
    return out


def charges(calls):
    """Quantity and cost by day, account, model, meter, and where the cost is."""
    out = collections.defaultdict(lambda: [0, None])
    for r in calls:
        source = next((c for c in ("cost_usd", "reported_cost_usd") if r[c] is not None), None)
        cost = r[source] if source else None
        used = {m: r["parts"][p] for p, m in METERS.items() if (r["parts"][p] or 0) > 0}
        alone = source and len(used) == 1
        lines = [(m, q, cost if alone else None, "here" if alone else "Calls") for m, q in used.items()]
        if not alone:
            lines.append((("Calls", "Requests"), 1, cost, "here"))
        for meter, quantity, cost, where in lines:
            model = r["model"] if r["model"] is not None else r["request_model"]
            key = (r["event_date"], r["team_id"], r["project_id"], r["provider"], model, *meter, source, where if source else "none")
            out[key][0] += quantity
            if cost is not None:
                out[key][1] = (out[key][1] or 0) + cost
    return out


def near(got, want):
    """The same; of sums of doubles, but for the order of adding."""
    if want is None or got is None:
        return got is want
    if isinstance(want, float) or isinstance(got, float):
        return math.isclose(float(got), float(want), rel_tol=1e-12, abs_tol=1e-9)
    return got == want


def check_daily(names, rows, calls):
    want = daily(calls)
    assert len(rows) == len(want)
    assert names[5:] == list(next(iter(want.values())))
    for r in rows:
        for name, got, value in zip(names[5:], r[5:], want[r[:5]].values(), strict=True):
            assert near(got, value), (r[:5], name, got, value)
        day = dict(zip(names, r, strict=True))
        for whole, of in (("input_tokens", PARTS[1:5]), ("output_tokens", PARTS[6:10])):
            assert near(total(day[p] for p in of), day[whole])


# Columns that FOCUS 1.2 demands of every data set.
MANDATORY = """BilledCost BillingAccountId BillingAccountName BillingCurrency BillingPeriodEnd BillingPeriodStart ChargeCategory ChargeClass
    ChargeDescription ChargePeriodEnd ChargePeriodStart ContractedCost EffectiveCost InvoiceIssuerName ListCost PricingQuantity PricingUnit
    ProviderName PublisherName ServiceCategory ServiceName""".split()


def check_focus(names, rows, calls):
    assert set(MANDATORY) <= set(names)
    assert all(n[0].isupper() or n.startswith("x_") for n in names)
    want = charges(calls)
    seen = set()
    spent = Decimal(0)
    for row in rows:
        r = dict(zip(names, row, strict=True))
        begin, cost, quantity, price = r["ChargePeriodStart"], r["BilledCost"], r["PricingQuantity"], r["ListUnitPrice"]
        provider = None if r["ProviderName"] == "unknown" else r["ProviderName"]
        key = (begin.date(), r["BillingAccountName"], r["SubAccountId"], provider, r["SkuId"], r["SkuMeter"], r["PricingUnit"], r["x_CostSource"], r["x_CostIn"])
        assert key in want, key
        assert key not in seen, "two rows of one charge"
        seen.add(key)
        assert near(float(quantity), float(want[key][0])), key
        assert cost == want[key][1], key  # NULL stays NULL, and sums are exact
        assert r["ContractedCost"] == r["EffectiveCost"] == r["ListCost"] == cost
        assert r["ConsumedQuantity"] == quantity and r["ConsumedUnit"] == r["PricingUnit"] and r["ContractedUnitPrice"] == price
        assert (price is None) == (cost is None)
        if cost is not None:
            assert math.isclose(price * float(quantity), float(cost), rel_tol=1e-12)
            spent += cost
        begin, end = begin.replace(tzinfo=None), r["ChargePeriodEnd"].replace(tzinfo=None)
        assert begin == datetime.datetime.combine(begin.date(), datetime.time()) and end - begin == lakes.DAY
        first, last = r["BillingPeriodStart"].replace(tzinfo=None), r["BillingPeriodEnd"].replace(tzinfo=None)
        assert first == begin.replace(day=1) and last == (first + 32 * lakes.DAY).replace(day=1)
        for name in MANDATORY:
            if name not in ("BilledCost", "ContractedCost", "EffectiveCost", "ListCost", "BillingAccountName", "ChargeClass"):
                assert r[name] is not None, name
    assert seen == set(want)
    assert spent == sum(c["cost_usd"] if c["cost_usd"] is not None else c["reported_cost_usd"] or 0 for c in calls)
    assert {r[names.index("x_CostIn")] for r in rows} == {"here", "Calls", "none"}, "the logs have all cases"


def check_whole(names, rows, calls):
    assert names == [c.name for c in TABLES["usage"]] + ["event_date"]
    place = {n: i for i, n in enumerate(names)}
    where = ("source_id", "source_line", "source_row")
    want = {tuple(c[k] for k in where): c for c in calls}
    assert len(rows) == len(want)
    whole = [c.name for c in TABLES["usage"] if c.name.endswith("_tokens")]
    fractions = 0
    for r in rows:
        c = want[tuple(r[place[k]] for k in where)]
        for name in whole:
            got = r[place[name]]
            assert got == (None if c[name] is None else math.floor(c[name] + 0.5)) and not isinstance(got, float), name
            fractions += c[name] is not None and c[name] != got
        for name in ("model", "reported_cost_usd", "cost_usd", "duration_ms", "event_date", "source_file"):
            assert r[place[name]] == c[name], name
    assert fractions, "the logs have tokens that are no whole number"


CHECKS = {"usage_daily": check_daily, "usage_whole": check_whole, "usage_focus": check_focus}


@pytest.fixture(scope="module")
def installed(lake):
    """The schema of an engine with everything that ddl makes there."""
    there = set()

    def get(engine):
        if engine.name not in there:
            there.add(engine.name)
            engine.install("made", lakes.statements(ddl(lake("shapes"), engine.name)))
        engine.use("made")

    return get


@pytest.mark.parametrize("table", ["usage", "reports"])
def test_tables(lake, installed, sql_engine, table):
    """The tables have the contract's columns, in its order, with its comments and figures."""
    installed(sql_engine)
    comments = sql_engine.comments("made", table)
    assert comments[:-1] == [(c.name, c.doc) for c in TABLES[table]]
    assert comments[-1] == ("event_date", "UTC date of event_time; the partition")
    want = lakes.expected(lake("shapes"), table)
    sums = [c.name for c in TABLES[table] if c.kind == "decimal(18,9)"]
    got = sql_engine.rows(f"SELECT count(*), {', '.join(f'sum({n})' for n in sums)} FROM {sql_engine.quoted(table)}")[1][0]
    assert got[0] == want["rows"]
    assert [v or 0 for v in got[1:]] == [want["columns"][n]["sum"] for n in sums]
    days = sql_engine.rows(f"SELECT event_date, count(*) FROM {sql_engine.quoted(table)} GROUP BY event_date")[1]
    assert dict(days) == want["days"]


@pytest.mark.parametrize("view", VIEWS)
def test_views(calls, installed, sql_engine, view):
    installed(sql_engine)
    CHECKS[view](*sql_engine.rows(f"SELECT * FROM {view}"), calls)


def test_pruning(lake, installed, made):
    """A condition on the day goes through the views down to the files."""
    db = made("duckdb")
    installed(db)
    for view in ["usage", "usage_daily", "usage_whole"]:
        plan = db.query(f"EXPLAIN ANALYZE SELECT count(*) FROM {view} WHERE event_date = DATE '2025-03-14'")[0][1]
        assert int(plan.split("Total Files Read: ")[1].split()[0]) == 1, view


# Where sqlglot knows no better than to take a statement as it is. It has no node
# for CALL, and none for WITH PARTITION COLUMNS, without which BigQuery's tables
# are parsed.
OPAQUE = {"trino": r"^CALL system\.sync_partition_metadata\('usagelake', '(usage|reports)', 'FULL'\)$"}
EXTRA = {"bigquery": r"\nWITH PARTITION COLUMNS \(`event_date` DATE\)"}

KINDS = {
    "timestamp": {"TIMESTAMP", "TIMESTAMPTZ", "TIMESTAMPLTZ", "TIMESTAMPNTZ", "DATETIME64"}, "string": {"VARCHAR", "TEXT"}, "double": {"DOUBLE"},
    "int64": {"BIGINT"}, "boolean": {"BOOLEAN"}, "decimal(18,9)": {"DECIMAL"},
}  # fmt: skip


@pytest.fixture(scope="module", params=DIALECTS)
def parsed(request, lake):
    """A dialect's statements, as a parser of that dialect understands them."""
    dialect = request.param
    trees = []
    for s in lakes.statements(ddl(lake("shapes"), dialect)):
        if dialect in EXTRA:
            s = re.sub(EXTRA[dialect], "", s)
        if dialect in OPAQUE and re.match(OPAQUE[dialect], s):
            continue
        (tree,) = sqlglot.parse(s, read=dialect, error_level=sqlglot.ErrorLevel.RAISE)
        assert not isinstance(tree, exp.Command), s
        trees.append(tree)
    return dialect, trees


def named(trees, name):
    for t in trees:
        if isinstance(t, exp.Create):
            target = t.this.this if isinstance(t.this, exp.Schema) else t.this
            if isinstance(target, exp.Table) and target.name == name:
                return t
    raise AssertionError(f"no statement makes {name}")


def test_parse(parsed, lake):
    """Statements are of the kinds they are meant to be, and there is one for everything."""
    dialect, trees = parsed
    days = sum(len(lake("shapes").days(t)) for t in TABLES)
    columns = sum(len(c) + 1 for c in TABLES.values())
    want = {"Create": 5}
    if dialect == "duckdb":
        want["Comment"] = columns + 2
    elif dialect == "snowflake":
        want |= {"Create": 6, "Comment": columns}
    elif dialect == "spark":
        want["Set"] = 1
    elif dialect == "redshift":
        want["Alter"] = days
    assert collections.Counter(type(t).__name__ for t in trees) == want


@pytest.mark.parametrize("table", ["usage", "reports"])
def test_columns(parsed, table):
    """A table has the contract's columns with its types, in its order, and the partition's."""
    dialect, trees = parsed
    tree = named(trees, table)
    if dialect == "duckdb":  # a view: its first half says the columns
        first = tree.expression.left
        columns = [(c.alias, c.this.to) for c in first.expressions]
    else:
        columns = [(c.name, c.args["kind"]) for c in tree.this.expressions if isinstance(c, exp.ColumnDef)]
    kinds = [c.kind for c in TABLES[table]]
    assert [n for n, _ in columns[: len(kinds)]] == [c.name for c in TABLES[table]]
    for (name, got), kind in zip(columns, kinds, strict=False):
        assert got.this.name in KINDS[kind], (name, got, kind)
        if kind.startswith("decimal") and dialect != "bigquery":  # whose NUMERIC has nine decimals
            assert [e.name for e in got.expressions] == ["18", "9"], name


@pytest.mark.parametrize("parsed", [d for d in DIALECTS if d not in ("duckdb", "clickhouse")], indirect=True, scope="module")
@pytest.mark.parametrize("view", VIEWS)
def test_translated(parsed, lake, calls, installed, made, view):
    """The views mean the same in dialects that nobody runs here: sqlglot translates them for DuckDB, which runs them."""
    dialect, trees = parsed
    db = made("duckdb")
    installed(db)
    text = named(trees, view).expression.sql("duckdb").replace('"usagelake"."usage"', "usage").replace("usagelake.usage", "usage")
    names, rows = db.rows(text)
    if dialect == "snowflake":  # says names in capitals
        names = {"usage_focus": focus_names(db)}.get(view, [n.lower() for n in names])
    CHECKS[view](names, rows, calls)


def focus_names(db):
    return db.rows("SELECT * FROM usage_focus LIMIT 0")[0]


def test_not_added():
    """The columns that no sum is made of are numbers of the contract."""
    assert NOT_ADDED <= {c.name for t in TABLES.values() for c in t}
