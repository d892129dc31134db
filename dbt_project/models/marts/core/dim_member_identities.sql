{{ config(meta={
    'touched_relation': 'ops.touched_keys',
    'touched_key': 'customer_key',
    'touched_column': 'key',
}) }}

with customers as (
    select * from {{ ref('int_customers__identified') }}
),

clusters as (
    select * from {{ ref('int_customers__clusters') }}
),

touched_components as (
    select component_key
    from clusters
    where {{ only_touched('customer_key', 'ops.touched_keys', 'key') }}
    group by component_key
),

-- The key recorded first stays: who joins later takes it over, and has the own one back on leaving.
members as (
    select
        clusters.component_key,
        min_by(
            customers.founded_member_key,
            {{ ordering(['customers.first_recorded_at', 'customers.customer_key']) }}
        ) as member_key,
        count(*) as customer_count
    from clusters
    inner join touched_components
        on clusters.component_key = touched_components.component_key
    inner join customers
        on clusters.customer_key = customers.customer_key
    group by clusters.component_key
),

joined_by_hand as (
    select customer_key
    from {{ ref('int_customers__links') }}
    where
        identifier_type = 'by_hand'
        and unused_reason is null
    group by customer_key
)

select
    customers.customer_key,
    coalesce(members.member_key, customers.founded_member_key) as member_key,
    customers.brand,
    case
        when coalesce(members.customer_count, 1) = 1 then 'single customer'
        when joined_by_hand.customer_key is not null then 'merged by hand'
        else 'shared identifier'
    end as evidence,
    customers.founded_member_key,
    customers.first_recorded_at
from customers
left join clusters
    on customers.customer_key = clusters.customer_key
left join members
    on clusters.component_key = members.component_key
left join joined_by_hand
    on customers.customer_key = joined_by_hand.customer_key
where {{ only_touched('customers.customer_key', 'ops.touched_keys', 'key') }}
