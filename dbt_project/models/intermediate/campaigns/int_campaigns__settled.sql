{#- Credit becomes final by time alone: customers change although nothing happened to them. -#}
{{ config(materialized='table') }}

with run as (
    select
        *,
        {{ add_days(
            'least(previous_as_of_date, as_of_date)',
            '-' ~ parameter('credit_final_days', 'integer')
        ) }} as settling_after_date,
        {{ add_days(
            'greatest(previous_as_of_date, as_of_date)',
            '-' ~ parameter('credit_final_days', 'integer')
        ) }} as settling_until_date
    from {{ source('ops', 'run') }}
)

select touched.customer_key
from {{ ref('int_campaigns__touched') }} as touched
union
select credits.customer_key
from {{ ref('int_campaigns__credits') }} as credits
inner join run
    on
        credits.credit_final_on > least(run.previous_as_of_date, run.as_of_date)
        and credits.credit_final_on <= greatest(run.previous_as_of_date, run.as_of_date)
where credits.is_credited
union
select orders.customer_key
from {{ ref('fct_orders') }} as orders
inner join run
    on
        orders.paid_date > run.settling_after_date
        and orders.paid_date <= run.settling_until_date
