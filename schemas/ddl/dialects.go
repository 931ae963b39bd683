package ddl

import "usagelake/schemas"

// kinds are the types of columns, by kind.
type kinds [schemas.Money + 1]string

// Dialect is how an engine says what the contract says. In templates {x} stands
// for what a writer fills in.
type Dialect struct {
	Name string

	// schemes are those of locations that the statements read as they are: BigQuery
	// wants a connection for another cloud's, DuckDB finds no files by a pattern over
	// HTTP.
	schemes []string
	local   bool   // reads paths of this machine
	globs   bool   // its paths are patterns
	schema  string // where the session's does not do

	quote     string // around names; none where quoting a name would make it another
	backslash bool   // escapes quotes in texts; else they are doubled

	types    kinds
	required string // type of columns that are never NULL, where it differs
	date     string

	before  []string          // remarks: what must be there
	once    []string          // statements before the tables
	create  string            // the statement of a table
	empty   string            // the same, where there are no files and the engine wants some
	line    string            // of a column
	dayLine string            // of the partition column, where it differs
	apart   bool              // the partition column is not among the others
	after   []string          // statements behind a table's
	addDay  string            // the statement of a partition, where the engine does not find them
	readers map[string]string // functions that read files, by the location's scheme

	// Where comments are no part of the table's statement.
	commentTable, commentColumn string

	// Of views.
	viewQuote          string // where it differs
	viewsLoose         bool   // in the session's schema, not the tables'
	viewTail           string
	double, whole, str string // types to cast to
	start, next        string // the day's first instant, and the next day's
	month, monthEnd    string // the month's first instant, and the next month's
}

// hive are the types of Hive's metastore, and of Spark.
var hive = kinds{
	schemas.Time: "TIMESTAMP", schemas.String: "STRING", schemas.Double: "DOUBLE",
	schemas.Int: "BIGINT", schemas.Bool: "BOOLEAN", schemas.Money: "DECIMAL(18, 9)",
}

// dialects are in the order of the help. Which of them are run by a test, and
// which only parsed, is in docs/warehouse.md.
var dialects = []*Dialect{
	{
		Name: "duckdb", schemes: []string{"s3", "gs", "gcs", "r2", "az", "abfss"}, local: true, globs: true,
		quote: `"`,
		types: kinds{
			schemas.Time: "TIMESTAMP WITH TIME ZONE", schemas.String: "VARCHAR", schemas.Double: "DOUBLE",
			schemas.Int: "BIGINT", schemas.Bool: "BOOLEAN", schemas.Money: "DECIMAL(18, 9)",
		},
		date: "DATE",
		// The first half has no rows: it says order and types, also of columns that
		// no file has yet.
		create: `CREATE OR REPLACE VIEW {table} AS
SELECT
{columns}
WHERE FALSE
UNION ALL BY NAME
SELECT * FROM read_parquet({glob}, union_by_name = TRUE, hive_partitioning = TRUE, hive_types = {'event_date': DATE})`,
		empty:         "CREATE OR REPLACE VIEW {table} AS\nSELECT\n{columns}\nWHERE FALSE",
		line:          "CAST(NULL AS {type}) AS {name}{comma}",
		commentTable:  "COMMENT ON VIEW {table} IS {about}",
		commentColumn: "COMMENT ON COLUMN {table}.{name} IS {doc}",
		double:        "DOUBLE", whole: "BIGINT", str: "VARCHAR",
		start: "CAST([event_date] AS TIMESTAMP)", next: "CAST([event_date] + INTERVAL 1 DAY AS TIMESTAMP)",
		month:    "CAST(date_trunc('month', [event_date]) AS TIMESTAMP)",
		monthEnd: "CAST(date_trunc('month', [event_date]) + INTERVAL 1 MONTH AS TIMESTAMP)",
	},
	{
		Name: "clickhouse", schemes: []string{"s3", "gs", "https", "http"}, local: true, globs: true,
		quote: "`", backslash: true,
		types: kinds{
			schemas.Time: "Nullable(DateTime64(6, 'UTC'))", schemas.String: "Nullable(String)", schemas.Double: "Nullable(Float64)",
			schemas.Int: "Nullable(Int64)", schemas.Bool: "Nullable(Bool)", schemas.Money: "Nullable(Decimal(18, 9))",
		},
		required: "DateTime64(6, 'UTC')",
		date:     "Date",
		create: `CREATE OR REPLACE VIEW {table} (
{columns}
) AS
SELECT {names}
FROM {reader}({glob}, 'Parquet', {structure})
SETTINGS use_hive_partitioning = 1`,
		line:    "{name} {type} COMMENT {doc}{comma}",
		readers: map[string]string{"": "file", "s3": "s3", "https": "s3", "http": "s3", "gs": "gcs"},
		double:  "Nullable(Float64)", whole: "Nullable(Int64)", str: "Nullable(String)",
		start: "toDateTime([event_date], 'UTC')", next: "toDateTime(addDays([event_date], 1), 'UTC')",
		month:    "toDateTime(toStartOfMonth([event_date]), 'UTC')",
		monthEnd: "toDateTime(addMonths(toStartOfMonth([event_date]), 1), 'UTC')",
	},
	{
		Name: "bigquery", schemes: []string{"gs"}, schema: "usagelake",
		quote: "`", backslash: true,
		types: kinds{
			schemas.Time: "TIMESTAMP", schemas.String: "STRING", schemas.Double: "FLOAT64",
			schemas.Int: "INT64", schemas.Bool: "BOOL", schemas.Money: "NUMERIC",
		},
		date: "DATE",
		before: []string{
			"The dataset must be there: CREATE SCHEMA {schema}. BigQuery finds new days by itself.",
		},
		create: `CREATE OR REPLACE EXTERNAL TABLE {table} (
{columns}
)
WITH PARTITION COLUMNS ({daycolumn})
OPTIONS (
  format = 'PARQUET',
  uris = [{all}],
  hive_partition_uri_prefix = {dir},
  require_hive_partition_filter = FALSE,
  description = {about}
)`,
		line: "{name} {type} OPTIONS (description = {doc}){comma}", apart: true,
		double: "FLOAT64", whole: "INT64", str: "STRING",
		start: "CAST([event_date] AS TIMESTAMP)", next: "CAST(DATE_ADD([event_date], INTERVAL 1 DAY) AS TIMESTAMP)",
		month:    "CAST(DATE_TRUNC([event_date], MONTH) AS TIMESTAMP)",
		monthEnd: "CAST(DATE_ADD(DATE_TRUNC([event_date], MONTH), INTERVAL 1 MONTH) AS TIMESTAMP)",
	},
	{
		Name: "snowflake", schemes: []string{"s3", "s3gov", "gcs", "azure"},
		types: kinds{
			schemas.Time: "TIMESTAMP_LTZ", schemas.String: "VARCHAR", schemas.Double: "DOUBLE",
			schemas.Int: "BIGINT", schemas.Bool: "BOOLEAN", schemas.Money: "NUMBER(18, 9)",
		},
		date: "DATE",
		before: []string{
			"The stage needs access: ALTER STAGE usagelake SET STORAGE_INTEGRATION = NAME.",
			"After each load: ALTER EXTERNAL TABLE usage REFRESH, and the same of reports; or AUTO_REFRESH = TRUE and event notifications.",
		},
		once: []string{"CREATE STAGE IF NOT EXISTS {stage}\nURL = {lake/}\nFILE_FORMAT = (TYPE = PARQUET)"},
		create: `CREATE OR REPLACE EXTERNAL TABLE {table} (
{columns}
)
PARTITION BY ({partition})
LOCATION = @{stage}/{stagedir}
REFRESH_ON_CREATE = TRUE
AUTO_REFRESH = FALSE
PATTERN = '.*part-[0-9]+[.]parquet'
FILE_FORMAT = (TYPE = PARQUET USE_LOGICAL_TYPE = TRUE)
COMMENT = {about}`,
		line:          "{name} {type} AS (value:{name}::{type}){comma}",
		dayLine:       "{name} {type} AS (TO_DATE(SPLIT_PART(SPLIT_PART(METADATA$FILENAME, 'event_date=', 2), '/', 1), 'YYYY-MM-DD'))",
		commentColumn: "COMMENT ON COLUMN {table}.{name} IS {doc}",
		double:        "DOUBLE", whole: "BIGINT", str: "VARCHAR",
		start: "CAST([event_date] AS TIMESTAMP_NTZ)", next: "CAST(DATEADD(DAY, 1, [event_date]) AS TIMESTAMP_NTZ)",
		month:    "CAST(DATE_TRUNC('MONTH', [event_date]) AS TIMESTAMP_NTZ)",
		monthEnd: "CAST(DATEADD(MONTH, 1, DATE_TRUNC('MONTH', [event_date])) AS TIMESTAMP_NTZ)",
	},
	{
		Name: "athena", schemes: []string{"s3"},
		quote: "`", backslash: true,
		types: hive, date: "DATE",
		before: []string{
			"Days are projected, so no partition is ever added. Without a condition on event_date Athena looks for each day since 2015:",
			"set projection.event_date.range to when your logs begin.",
		},
		create: `CREATE EXTERNAL TABLE IF NOT EXISTS {table} (
{columns}
)
COMMENT {about}
PARTITIONED BY ({day})
STORED AS PARQUET
LOCATION {dir/}
TBLPROPERTIES (
  'projection.enabled' = 'true',
  'projection.event_date.type' = 'date',
  'projection.event_date.format' = 'yyyy-MM-dd',
  'projection.event_date.range' = '2015-01-01,NOW+2DAYS',
  'storage.location.template' = {days}
)`,
		line: "{name} {type} COMMENT {doc}{comma}", apart: true,
		viewQuote: `"`, double: "DOUBLE", whole: "BIGINT", str: "VARCHAR",
		start: trinoStart, next: trinoNext, month: trinoMonth, monthEnd: trinoMonthEnd,
	},
	{
		Name: "trino", schemes: []string{"s3", "s3a", "gs", "abfss", "hdfs", "file", "local"}, schema: "usagelake",
		quote: `"`,
		types: kinds{
			schemas.Time: "TIMESTAMP(3)", schemas.String: "VARCHAR", schemas.Double: "DOUBLE",
			schemas.Int: "BIGINT", schemas.Bool: "BOOLEAN", schemas.Money: "DECIMAL(18, 9)",
		},
		date: "DATE",
		before: []string{
			"In a catalog of the Hive connector that may make external tables. The schema must be there: CREATE SCHEMA {schema}.",
			"After a load that brought new days run the two CALLs again.",
		},
		create: `CREATE TABLE IF NOT EXISTS {table} (
{columns}
)
COMMENT {about}
WITH (external_location = {dir}, format = 'PARQUET', partitioned_by = ARRAY['event_date'])`,
		line:   "{name} {type} COMMENT {doc}{comma}",
		after:  []string{"CALL system.sync_partition_metadata('{schemaname}', {tablename}, 'FULL')"},
		double: "DOUBLE", whole: "BIGINT", str: "VARCHAR",
		start: trinoStart, next: trinoNext, month: trinoMonth, monthEnd: trinoMonthEnd,
	},
	{
		Name: "spark", schemes: []string{"s3a", "s3", "gs", "abfss", "hdfs", "file"}, local: true,
		quote: "`", backslash: true,
		types: hive, date: "DATE",
		before: []string{
			"Days are found in the files, not in the catalog: that is what the SET is for, when the tables are made.",
			"A session that is open while a load runs wants REFRESH TABLE.",
		},
		once:   []string{"SET spark.sql.hive.manageFilesourcePartitions = false"},
		create: sparkTable,
		line:   "{name} {type} COMMENT {doc}{comma}",
		double: "DOUBLE", whole: "BIGINT", str: "STRING",
		start: sparkStart, next: sparkNext, month: sparkMonth, monthEnd: sparkMonthEnd,
	},
	{
		Name: "redshift", schemes: []string{"s3"}, schema: "usagelake",
		quote: `"`,
		types: kinds{
			schemas.Time: "TIMESTAMP", schemas.String: "VARCHAR(65535)", schemas.Double: "DOUBLE PRECISION",
			schemas.Int: "BIGINT", schemas.Bool: "BOOLEAN", schemas.Money: "DECIMAL(18, 9)",
		},
		date: "DATE",
		before: []string{
			"The external schema must be there: CREATE EXTERNAL SCHEMA {schema} FROM DATA CATALOG DATABASE 'usagelake' IAM_ROLE DEFAULT CREATE EXTERNAL DATABASE IF NOT EXISTS.",
			"Spectrum keeps no comments on columns of external tables. After a load that brought new days run the ALTERs of a new ddl.",
		},
		create: `CREATE EXTERNAL TABLE {table} (
{columns}
)
PARTITIONED BY ({daycolumn})
STORED AS PARQUET
LOCATION {dir/}`,
		line: "{name} {type}{comma} -- {remark}", apart: true,
		addDay:     "ALTER TABLE {table} ADD IF NOT EXISTS PARTITION ({partition} = {date}) LOCATION {daydir}",
		viewsLoose: true, viewTail: "\nWITH NO SCHEMA BINDING",
		double: "DOUBLE PRECISION", whole: "BIGINT", str: "VARCHAR(65535)",
		start: "CAST([event_date] AS TIMESTAMP)", next: "CAST(DATEADD(DAY, 1, [event_date]) AS TIMESTAMP)",
		month:    "CAST(DATE_TRUNC('MONTH', [event_date]) AS TIMESTAMP)",
		monthEnd: "CAST(DATEADD(MONTH, 1, DATE_TRUNC('MONTH', [event_date])) AS TIMESTAMP)",
	},
	{
		Name: "databricks", schemes: []string{"s3", "s3a", "gs", "abfss", "dbfs", "r2"},
		quote: "`", backslash: true,
		types: hive, date: "DATE",
		before: []string{
			"In Unity Catalog, which finds new days by itself; the location must be an external one. In hive_metastore run",
			"MSCK REPAIR TABLE after each load that brought new days.",
		},
		create: sparkTable,
		line:   "{name} {type} COMMENT {doc}{comma}",
		double: "DOUBLE", whole: "BIGINT", str: "STRING",
		start: sparkStart, next: sparkNext, month: sparkMonth, monthEnd: sparkMonthEnd,
	},
}

const sparkTable = `CREATE TABLE IF NOT EXISTS {table} (
{columns}
)
USING PARQUET
PARTITIONED BY ({partition})
LOCATION {dir}
COMMENT {about}`

const (
	trinoStart    = "CAST([event_date] AS TIMESTAMP)"
	trinoNext     = "CAST(date_add('day', 1, [event_date]) AS TIMESTAMP)"
	trinoMonth    = "CAST(date_trunc('month', [event_date]) AS TIMESTAMP)"
	trinoMonthEnd = "CAST(date_add('month', 1, date_trunc('month', [event_date])) AS TIMESTAMP)"

	// Without a zone: a session's would move midnight.
	sparkStart    = "CAST([event_date] AS TIMESTAMP_NTZ)"
	sparkNext     = "CAST(date_add([event_date], 1) AS TIMESTAMP_NTZ)"
	sparkMonth    = "CAST(trunc([event_date], 'MONTH') AS TIMESTAMP_NTZ)"
	sparkMonthEnd = "CAST(add_months(trunc([event_date], 'MONTH'), 1) AS TIMESTAMP_NTZ)"
)
