INSERT INTO FUNCTION file({OUT}, 'Parquet')
PARTITION BY event_date
SELECT
    toDateTime(created, 'UTC') AS event_time,
    toString(toDate(event_time)) AS event_date,
    size, quality,
    usage.input_tokens AS input_tokens,
    usage.output_tokens AS output_tokens,
    usage.total_tokens AS total_tokens,
    usage.input_tokens_details.text_tokens AS input_text_tokens,
    usage.input_tokens_details.image_tokens AS input_image_tokens
FROM file({IN}, 'JSONEachRow', '
    created Int64, size String, quality String,
    usage Tuple(
        input_tokens Float64, output_tokens Float64, total_tokens Float64,
        input_tokens_details Tuple(text_tokens Float64, image_tokens Float64))')
SETTINGS
    max_threads = {THREADS}, max_partitions_per_insert_block = 0,
    input_format_skip_unknown_fields = 1,
    output_format_parquet_compression_method = 'zstd'
