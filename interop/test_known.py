"""Rows and sums that are known beforehand, counted where the logs are made."""

import json
from decimal import Decimal

import pyarrow.parquet as pq

import lakes


def one(engine, lake, table, text):
    return [str(v) for v in engine.query(text.format(engine.scan(lake.dir(table))))[0]]


def test_corpus(lake, made):
    corpus, db = lake("corpus"), made("duckdb")
    want = json.loads((lakes.ROOT / "testdata/expected.json").read_text())
    books = corpus.report["books"]
    for n in ("rows", "duplicates", "no_usage", "quarantined"):
        assert books[n] == want[n], n
    assert corpus.report["reasons"] == want["reasons"]
    scan = db.scan(corpus.dir("usage"))
    for name, text in want["sums"].items():
        kind = "DECIMAL(38, 9)" if name.endswith("_usd") else "DECIMAL(38, 6)"
        assert db.query(f"SELECT coalesce(sum(CAST({name} AS {kind})), 0) FROM {scan}")[0][0] == Decimal(text), name
    for name, rows in want["not_null"].items():  # NULL is not 0
        assert db.query(f"SELECT count({name}) FROM {scan}")[0][0] == rows, name
    for day, rows in want["dates"].items():
        assert db.query(f"SELECT count(*) FROM {scan} WHERE event_date = '{day}'")[0][0] == rows, day


# The two examples of the reference. Bit by bit: the texts are the shortest that
# give the doubles.
IMAGE = "1713833628000000 100.0 50.0 50.0 10.0 40.0 50.0 1 openai.images body"
CHAT = "9399.77 9559.6 7060.03 1093.75 130.3 7308.38 2801.33 6205.53 1522.95 3354.07 openai.chat file_name True"


def test_reference(lake, made):
    corpus, db = lake("corpus"), made("duckdb")
    assert (
        one(db, corpus, "usage", """
        SELECT epoch_us(event_time), total_tokens, input_tokens, output_tokens, input_text_tokens, input_image_tokens,
            output_image_tokens, image_count, dialect, event_time_source
        FROM {} WHERE event_time = TIMESTAMPTZ '2024-04-23 00:53:48+00'""")
        == IMAGE.split()
    )  # fmt: skip
    assert (
        one(db, corpus, "usage", """
        SELECT output_tokens, input_tokens, total_tokens, reasoning_tokens, output_audio_tokens, accepted_prediction_tokens,
            rejected_prediction_tokens, cache_read_tokens, input_audio_tokens, uncached_input_tokens, dialect, event_time_source,
            quality_flags LIKE '%total_mismatch%'
        FROM {} WHERE output_tokens = 9399.77::DOUBLE""")
        == CHAT.split()
    )  # fmt: skip


def test_samples(lake):
    assert lake("samples").report["books"]["rows"] > 1000


def test_reports(lake, made):
    reports, db = lake("reports"), made("duckdb")
    for table in ("usage", "reports"):
        lakes.expected(reports, table)
    assert one(db, reports, "reports", "SELECT count(*) FROM {} WHERE bucket_end IS NULL OR bucket_end <= event_time") == ["0"]
    speech = "SELECT epoch(event_time), epoch(bucket_end), quantity, quantity_unit, requests FROM {} WHERE operation = 'audio_speeches'"
    noon = 1755000000  # 2025-08-12 12:00
    assert one(db, reports, "reports", speech) == [f"{noon}.0", f"{noon + 86400}.0", "45.0", "characters", "1"]
    cost = "SELECT reported_cost_usd, line_item FROM {} WHERE quantity_unit = '1000_tokens'"
    assert one(db, reports, "reports", cost) == ["0.060000000", "GPT-5, input"]


def test_large(lake):
    """Is big enough that columns have many pages."""
    rows = [pq.ParquetFile(f).metadata.num_rows for f in lake("large").files("usage")]
    assert len(rows) == 5 and min(rows) > 32768
