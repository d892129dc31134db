{{ config(meta={
    'touched_relation': 'ops.touched_keys',
    'touched_key': 'customer_key',
    'touched_column': 'key',
}) }}

with links as (
    select * from {{ ref('int_customers__links') }}
    where {{ only_touched('customer_key', 'ops.touched_keys', 'key') }}
),

clusters as (
    select * from {{ ref('int_customers__clusters') }}
),

judged as (
    select
        links.*,
        coalesce(
            links.unused_reason,
            case
                when coalesce(clusters.is_parted, false) and links.identifier_type <> 'by_hand'
                    then 'connects_two_people'
            end
        ) as told_reason
    from links
    left join clusters
        on links.customer_key = clusters.customer_key
)

select
    judged.customer_key,
    identities.member_key,
    judged.brand,
    judged.identifier_type,
    judged.identifier_key,
    judged.customer_count,
    judged.told_reason is null as is_used,
    judged.told_reason as unused_reason,
    judged.first_seen_at,
    judged.last_seen_at,
    judged._batch_id,
    judged._line
from judged
inner join {{ ref('dim_member_identities') }} as identities
    on judged.customer_key = identities.customer_key
