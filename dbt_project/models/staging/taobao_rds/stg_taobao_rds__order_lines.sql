{{ config(meta={
    'touched_relation': 'ops.pending_batches',
    'touched_key': '_batch_id',
    'touched_column': 'batch_id',
}) }}

{{ taobao_order_lines(source('raw', 'taobao_rds__orders'), 'taobao_rds') }}
