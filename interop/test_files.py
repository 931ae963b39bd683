"""What is in the files, read with pyarrow and DuckDB: types, ids, order, encodings, and each file's sums."""

import datetime
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import lakes
from conftest import READ
from contract import TABLES
from engines import glob

pytestmark = pytest.mark.parametrize(("where", "table"), READ)

PHYSICAL = {
    "timestamp": ("INT64", "Timestamp(isAdjustedToUTC=true, timeUnit=microseconds, is_from_converted_type=false, force_set_converted_type=false)"),
    "string": ("BYTE_ARRAY", "String"),
    "double": ("DOUBLE", "None"),
    "int64": ("INT64", "Int(bitWidth=64, isSigned=true)"),
    "boolean": ("BOOLEAN", "None"),
    "decimal(18,9)": ("INT64", "Decimal(precision=18, scale=9)"),
}
ORDER = ["event_time", "source_file", "source_line", "source_row", "source_id"]


@pytest.fixture
def files(lake, where, table):
    """Each file of the table with what the report of its load says of it."""
    report = {f["path"]: f for f in lake(where).report["files"]}
    found = lake(where).files(table)
    assert {f"{table}/{f.parent.name}/{f.name}" for f in found} == {p for p in report if p.startswith(table + "/")}
    return [(f, report[f"{table}/{f.parent.name}/{f.name}"]) for f in found]


def test_partitions(lake, files, where, table):
    """As many as reported; all rows of a file are of its day."""
    assert [f"{table}/{f.parent.name}" for f, _ in files] == sorted(p for p in lake(where).report["partitions"] if p.startswith(table + "/"))
    for f, _ in files:
        day = datetime.date.fromisoformat(f.parent.name.removeprefix("event_date="))
        begin = datetime.datetime(day.year, day.month, day.day, tzinfo=datetime.timezone.utc)
        ends = pc.min_max(pq.ParquetFile(f).read(["event_time"])["event_time"]).as_py()
        assert begin <= ends["min"] and ends["max"] < begin + lakes.DAY


def test_schema(files, where, table):
    codec = "SNAPPY" if where == "snappy" else "ZSTD"
    for f, _ in files:
        file = pq.ParquetFile(f)
        for i, c in enumerate(TABLES[table]):
            column = file.schema.column(i)
            assert (column.name, column.physical_type, str(column.logical_type)) == (c.name, *PHYSICAL[c.kind])
            assert column.max_definition_level == (0 if c.required else 1) and column.max_repetition_level == 0
            assert file.schema_arrow.field(i).metadata[b"PARQUET:field_id"] == str(c.id).encode()
        assert len(file.schema) == len(TABLES[table])
        for g in range(file.num_row_groups):
            group = file.metadata.row_group(g)
            assert [file.schema.column(s.column_index).name for s in group.sorting_columns] == ORDER
            for i, c in enumerate(TABLES[table]):
                chunk = group.column(i)
                assert set(chunk.encodings) <= {"PLAIN", "RLE", "RLE_DICTIONARY"}, "encodings that not every reader knows"
                assert chunk.compression == codec
                assert chunk.is_stats_set and chunk.statistics.has_null_count


def test_books(files, where, table):
    """Each file holds what the report says of it."""
    for f, said in files:
        content = lakes.read_file(f)
        assert len(content) == said["rows"]
        for c in TABLES[table]:
            if c.additive:
                assert lakes.column_facts(c, content[c.name])["sum"] == Decimal(said["sums"].get(c.name, "0")), c.name


def test_order(files, where, table):
    """Rows are sorted by a key, and no two have the same."""
    for f, _ in files:
        key = pq.ParquetFile(f).read(ORDER).combine_chunks()
        places = pc.sort_indices(key, sort_keys=[(n, "ascending") for n in ORDER])
        assert places.equals(pa.array(range(len(key)), pa.uint64())), f
        assert key.group_by(ORDER).aggregate([]).num_rows == len(key)


def test_values(files, where, table):
    """Numbers are finite and none is -0 or less; no text is empty; no event time is NULL."""
    for f, _ in files:
        content = lakes.read_file(f)
        for c in TABLES[table]:
            v = content[c.name]
            if c.kind == "double":
                assert pc.all(pc.is_finite(v)).as_py() in (True, None), c.name
                bits = pa.chunked_array([x.view(pa.int64()) for x in v.chunks], pa.int64())
                assert (pc.min(bits).as_py() or 0) >= 0, f"{c.name}: the sign bit is set"
            elif c.kind == "string":
                assert not pc.any(pc.equal(v, "")).as_py(), c.name
            elif c.required:
                assert v.null_count == 0, c.name


def test_lookup(lake, made, files, where, table):
    """Statistics and bloom filters hide no row."""
    db = made("duckdb")
    scan = db.scan(lake(where).dir(table))
    ids = [r[0] for r in db.query(f"SELECT DISTINCT request_id FROM {scan} WHERE request_id IS NOT NULL ORDER BY ALL LIMIT 20")]
    assert ids
    for id in ids:
        text = id.replace("'", "''")
        assert db.query(f"SELECT count(*) FROM {scan} WHERE request_id = '{text}'")[0][0] > 0
        probed = db.query(f"SELECT bool_or(NOT bloom_filter_excludes) FROM parquet_bloom_probe({glob(lake(where).dir(table))}, 'request_id', '{text}')")
        assert probed == [(True,)], f"{id} is in the table, and no bloom filter says so"
