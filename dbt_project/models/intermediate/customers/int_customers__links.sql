{{ config(meta={
    'touched_relation': 'ops.touched_keys',
    'touched_key': 'identifier_key',
    'touched_column': 'key',
    'propagates': {
        'clustered': 'case when unused_reason is null then customer_key end',
        'linked': 'customer_key',
    },
}) }}

with rules as (
    select * from {{ ref('stitching_rules') }}
),

-- Identifiers of customers who are known by now; nothing here crosses a brand, because keys do not.
shared as (
    select
        identifiers.*,
        rules.max_customers,
        rules.max_per_customer,
        rules.max_guest_orders,
        customers.is_guest,
        cast(count(*) over (partition by identifiers.identifier_key) as integer) as customer_count,
        count(*) filter (where not customers.is_guest) over (
            partition by identifiers.identifier_key
        ) as named_count,
        count(*) filter (
            where not customers.is_guest and identifiers.same_type_count <= rules.max_per_customer
        ) over (partition by identifiers.identifier_key) as believed_count
    from {{ ref('int_customers__identifiers') }} as identifiers
    inner join rules
        on
            identifiers.identifier_type = rules.identifier_type
            and rules.may_join
    inner join {{ ref('int_customers__identified') }} as customers
        on identifiers.customer_key = customers.customer_key
    where
        identifiers.is_identity_key
        and {{ only_touched('identifiers.identifier_key', 'ops.touched_keys', 'key') }}
    qualify count(*) over (partition by identifiers.identifier_key) > 1
),

-- What two people have in common who are known to be two says nothing of anybody.
contested as (
    select one.identifier_key
    from {{ decided_pairs('split') }} as splits
    inner join shared as one
        on splits.customer_key = one.customer_key
    inner join shared as other
        on
            splits.other_customer_key = other.customer_key
            and one.identifier_key = other.identifier_key
    group by one.identifier_key
),

-- A limit means people. An order that names no buyer may be anybody's: it is that person's whom all
-- that it was recorded with names, and joins nobody to anybody.
judged as (
    select
        shared.*,
        -- The first reason in this order is told.
        case
            when contested.identifier_key is not null then 'parted_by_hand'
            when shared.named_count > shared.max_customers then 'shared_by_too_many'
            when shared.same_type_count > shared.max_per_customer then 'customer_has_too_many'
            when not shared.is_guest or shared.identifier_type = 'by_hand' then null
            when shared.customer_count - shared.named_count > shared.max_guest_orders
                then 'shared_by_too_many'
            when
                shared.named_count = 0
                or shared.believed_count < shared.named_count
                or shared.recorded_key_count > 1
                then 'guest_names_no_one_person'
        end as unused_reason
    from shared
    left join contested
        on shared.identifier_key = contested.identifier_key
)

select
    customer_key,
    brand,
    identifier_type,
    identifier_key,
    customer_count,
    unused_reason,
    first_seen_at,
    last_seen_at,
    _batch_id,
    _line
from judged
