{#- Dates only: whoever wants to know who is dormant compares them with the day. -#}
{{ config(meta={
    'touched_relation': 'int_members__cycles_touched',
    'touched_key': 'member_key',
}) }}

with rules as (
    select
        {{ lifecycle_parameter('cycle_grace_days', 'integer') }} as grace_days,
        {{ lifecycle_parameter('cycle_quantity_cap', 'integer') }} as quantity_cap
),

-- Half a pack is a pack; more than a year's stock is not one member's.
stocks as (
    select
        *,
        sum(units) over (
            partition by member_key, product_group
            order by
                started_date desc nulls last,
                purchase_date desc nulls last,
                order_key desc nulls last
            rows between unbounded preceding and current row
        ) as units_from_here
    from (
        select
            purchases.*,
            least(greatest(purchases.quantity, 1), rules.quantity_cap) as units
        from {{ ref('int_members__product_purchases') }} as purchases
        cross join rules
        where
            purchases.is_repurchasable
            and {{ only_touched('purchases.member_key', 'int_members__cycles_touched') }}
    ) as counted
),

-- What was bought early waits until the stock before it is used up: the due date of all purchases
-- together is the latest that any of them reaches with those after it.
reached as (
    select
        stocks.member_key,
        stocks.brand,
        stocks.product_group,
        cycles.cycle_days,
        cycles.cycle_basis,
        max(
            {{ add_days(
                'stocks.started_date', 'ceil(cycles.cycle_days * stocks.units_from_here)'
            ) }}
        ) as reached_on,
        max({{ add_days('stocks.started_date', 'cycles.cycle_days * rules.quantity_cap') }})
            as capped_on,
        max(stocks.purchase_date) filter (where stocks.is_last_of_group) as purchase_date,
        max(stocks.started_date) filter (where stocks.is_last_of_group) as started_date,
        max(stocks.quantity) filter (where stocks.is_last_of_group) as quantity
    from stocks
    inner join {{ ref('mart_product_cycles') }} as cycles
        on
            stocks.brand = cycles.brand
            and stocks.product_group = cycles.product_group
    cross join rules
    group by
        stocks.member_key,
        stocks.brand,
        stocks.product_group,
        cycles.cycle_days,
        cycles.cycle_basis
),

due as (
    select
        reached.*,
        rules.grace_days,
        least(reached.reached_on, reached.capped_on) as due_on
    from reached
    cross join rules
)

select
    member_key,
    brand,
    product_group,
    purchase_date as last_purchase_date,
    started_date,
    quantity,
    cycle_days,
    cycle_basis,
    due_on,
    {{ add_days('due_on', 'grace_days + 1') }} as dormant_on
from due
