COPY (
    SELECT
        make_timestamp(created * 1000000) AS event_time,
        CAST(make_timestamp(created * 1000000) AS DATE) AS event_date,
        size, quality,
        usage.input_tokens AS input_tokens,
        usage.output_tokens AS output_tokens,
        usage.total_tokens AS total_tokens,
        usage.input_tokens_details.text_tokens AS input_text_tokens,
        usage.input_tokens_details.image_tokens AS input_image_tokens
    FROM read_json({IN}, format = 'newline_delimited', maximum_object_size = 33554432, columns = {
        created: 'BIGINT', size: 'VARCHAR', quality: 'VARCHAR',
        usage: 'STRUCT(
            input_tokens DOUBLE, output_tokens DOUBLE, total_tokens DOUBLE,
            input_tokens_details STRUCT(text_tokens DOUBLE, image_tokens DOUBLE))'})
) TO {OUT} (FORMAT parquet, COMPRESSION zstd, PARTITION_BY (event_date));
