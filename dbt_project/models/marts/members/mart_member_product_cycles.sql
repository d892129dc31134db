{#- Rewritten every night, because a cycle learned anew moves every due date: therefore narrow. -#}
{{ config(materialized='table') }}

with run as (
    select
        as_of_date,
        {{ lifecycle_parameter('cycle_grace_days', 'integer') }} as grace_days,
        {{ lifecycle_parameter('cycle_quantity_cap', 'integer') }} as quantity_cap
    from {{ source('ops', 'run') }}
),

-- Half a pack is a pack; more than a year's stock is not one member's.
due as (
    select
        purchases.member_key,
        purchases.brand,
        purchases.product_group,
        purchases.purchase_date,
        purchases.started_date,
        purchases.quantity,
        cycles.cycle_days,
        cycles.cycle_basis,
        run.as_of_date,
        run.grace_days,
        {{ add_days(
            'purchases.started_date',
            'ceil(cycles.cycle_days * least(greatest(purchases.quantity, 1), run.quantity_cap))',
        ) }} as due_on
    from {{ ref('int_members__product_purchases') }} as purchases
    inner join {{ ref('mart_product_cycles') }} as cycles
        on
            purchases.brand = cycles.brand
            and purchases.product_group = cycles.product_group
    cross join run
    where
        purchases.is_last_of_group
        and purchases.is_repurchasable
)

select
    member_key,
    brand,
    product_group,
    as_of_date,
    purchase_date as last_purchase_date,
    started_date,
    quantity,
    cycle_days,
    cycle_basis,
    due_on,
    {{ add_days('due_on', 'grace_days + 1') }} as dormant_on,
    {{ add_days('due_on', 'grace_days') }} < as_of_date as is_dormant
from due
