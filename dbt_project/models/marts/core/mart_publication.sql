{{ config(materialized='table') }}

select
    run_id,
    as_of_date
from {{ source('ops', 'run') }}
