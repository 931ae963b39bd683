COPY (
    SELECT
        id, model, object,
        make_timestamp(created * 1000000) AS event_time,
        CAST(make_timestamp(created * 1000000) AS DATE) AS event_date,
        usage.prompt_tokens AS input_tokens,
        usage.completion_tokens AS output_tokens,
        usage.total_tokens AS total_tokens,
        usage.prompt_tokens_details.cached_tokens AS cache_read_tokens,
        usage.completion_tokens_details.reasoning_tokens AS reasoning_tokens
    FROM read_json({IN}, format = 'newline_delimited', columns = {
        id: 'VARCHAR', model: 'VARCHAR', object: 'VARCHAR', created: 'BIGINT',
        usage: 'STRUCT(
            prompt_tokens DOUBLE, completion_tokens DOUBLE, total_tokens DOUBLE,
            prompt_tokens_details STRUCT(cached_tokens DOUBLE, audio_tokens DOUBLE),
            completion_tokens_details STRUCT(
                reasoning_tokens DOUBLE, audio_tokens DOUBLE,
                accepted_prediction_tokens DOUBLE, rejected_prediction_tokens DOUBLE))'})
) TO {OUT} (FORMAT parquet, COMPRESSION zstd, PARTITION_BY (event_date));
