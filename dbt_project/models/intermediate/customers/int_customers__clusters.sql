{{ config(materialized='clusters') }}

with links as (
    select * from {{ ref('int_customers__links') }}
    where unused_reason is null
),

{% if not execute or is_incremental() %}
    -- Customers that changed, and whoever was or is joined by an identifier that tonight somebody
    -- else gained or lost: it may join more, or have become one of too many.
    changed as (
        select customer_key
        from {{ ref('int_customers__touched') }}
        union
        select handed_on.key as customer_key
        from {{ source('ops', 'touched_keys') }} as handed_on
        where handed_on.subject = 'clustered'
    ),

    changed_clusters as (
        select earlier.cluster_key
        from {{ this }} as earlier
        inner join changed
            on earlier.customer_key = changed.customer_key
        group by earlier.cluster_key
    ),

    -- Whole clusters as they were: a link that is not new joins nobody else to them.
    looked_at as (
        select customer_key
        from changed
        union
        select earlier.customer_key
        from {{ this }} as earlier
        inner join changed_clusters
            on earlier.cluster_key = changed_clusters.cluster_key
    ),
{% else %}
    looked_at as (
        select customer_key
        from links
        group by customer_key
    ),
{% endif %}

own_links as (
    select
        links.customer_key,
        links.identifier_type,
        min(links.customer_key) over (partition by links.identifier_key) as other_customer_key
    from links
    inner join looked_at
        on links.customer_key = looked_at.customer_key
)

select
    customer_key,
    other_customer_key,
    case when identifier_type = 'by_hand' then 'by_hand' else 'joined' end as kind
from own_links
where customer_key <> other_customer_key
union all
select
    splits.customer_key,
    splits.other_customer_key,
    'parted' as kind
from {{ decided_pairs('split') }} as splits
inner join looked_at
    on splits.customer_key = looked_at.customer_key
union all
select
    customer_key,
    customer_key as other_customer_key,
    'alone' as kind
from looked_at
