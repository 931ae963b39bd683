INSERT INTO FUNCTION file({OUT}, 'Parquet')
PARTITION BY event_date
SELECT
    id, provider, model, object, user,
    toDateTime(created, 'UTC') AS event_time,
    toString(toDate(event_time)) AS event_date,
    usage.prompt_tokens AS input_tokens,
    usage.completion_tokens AS output_tokens,
    usage.total_tokens AS total_tokens,
    usage.prompt_tokens_details.cached_tokens AS cache_read_tokens,
    usage.completion_tokens_details.reasoning_tokens AS reasoning_tokens,
    usage.cost AS cost
FROM file({IN}, 'JSONEachRow', '
    id String, provider String, model String, object String, created Int64, user String,
    usage Tuple(
        prompt_tokens Float64, completion_tokens Float64, total_tokens Float64, cost Float64,
        prompt_tokens_details Tuple(cached_tokens Float64, audio_tokens Float64),
        completion_tokens_details Tuple(
            reasoning_tokens Float64, audio_tokens Float64,
            accepted_prediction_tokens Float64, rejected_prediction_tokens Float64))')
SETTINGS
    max_threads = {THREADS}, max_partitions_per_insert_block = 0,
    input_format_skip_unknown_fields = 1,
    output_format_parquet_compression_method = 'zstd'
