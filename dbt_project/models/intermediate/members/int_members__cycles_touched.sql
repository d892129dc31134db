{#- A cycle that is set or learned anew moves the due dates of members to whom nothing happened.
    What their dates were reckoned with stands in the mart itself, which cannot be referred to here,
    because it waits for this list: it is looked up as it was left by the last night that built it,
    and whatever differs tonight is reckoned again. -#}
{{ config(materialized='table') }}

{%- set due_dates = none %}
{%- if execute %}
    {%- set cycles = ref('mart_product_cycles') %}
    {%- set due_dates = adapter.get_relation(
        cycles.database, cycles.schema, 'mart_member_product_cycles'
    ) %}
{%- endif %}

select touched.member_key
from {{ ref('int_members__touched') }} as touched
{%- if due_dates %}
    union
    select due_dates.member_key
    from {{ due_dates }} as due_dates
    inner join {{ ref('mart_product_cycles') }} as cycles
        on
            due_dates.brand = cycles.brand
            and due_dates.product_group = cycles.product_group
    where
        not coalesce(due_dates.cycle_days = cycles.cycle_days, false)
        or due_dates.cycle_basis <> cycles.cycle_basis
{%- endif %}
-- depends_on: {{ ref('mart_product_cycles') }}
