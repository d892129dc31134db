{{ config(meta={
    'touched_relation': 'int_customers__touched',
    'touched_key': 'customer_key',
    'propagates': {'identifiers': 'case when is_identity_key then identifier_key end'},
}) }}

with run_shops as (
    select * from {{ source('ops', 'run_shops') }}
),

types as (
    select * from {{ ref('identifier_types') }}
),

orders as (
    select order_key, customer_key, buyer_id
    from {{ ref('int_orders__current') }}
    where {{ only_touched('customer_key', 'int_customers__touched') }}
),

-- Whoever an older version took for the buyer left nothing behind that is this buyer's.
order_versions as (
    select
        orders.customer_key,
        versions.brand,
        versions.platform,
        versions.shop,
        versions.record_source,
        versions.created_at as seen_at,
        versions.buyer_id,
        versions.addressee_ref,
        versions.payer_phone_hash,
        versions.payer_phone_ref,
        versions.receiver_phone_hash,
        versions.receiver_phone_ref,
        versions._batch_id,
        versions._line
    from {{ ref('int_orders__unioned') }} as versions
    inner join orders on versions.order_key = orders.order_key
    where versions.buyer_id is null or versions.buyer_id = orders.buyer_id
),

members as (
    select
        customer_key,
        brand,
        platform,
        shop,
        record_source,
        coalesce(modified_at, enrolled_at) as seen_at,
        buyer_id,
        member_id,
        phone_hash,
        phone_ref,
        email_hash,
        email_ref,
        _batch_id,
        _line
    from {{ ref('stg_file__members') }}
    where {{ only_touched('customer_key', 'int_customers__touched') }}
),

-- Contacts stand as their keyed hash and the vault's token; nothing here is plain.
mentions as (
    {%- for relation, field, token in [
        ('order_versions', 'buyer_id', none),
        ('order_versions', 'addressee_ref', none),
        ('order_versions', 'payer_phone_hash', 'payer_phone_ref'),
        ('order_versions', 'receiver_phone_hash', 'receiver_phone_ref'),
        ('members', 'buyer_id', none),
        ('members', 'member_id', none),
        ('members', 'phone_hash', 'phone_ref'),
        ('members', 'email_hash', 'email_ref'),
    ] %}
        select
            customer_key,
            brand,
            platform,
            shop,
            record_source,
            seen_at,
            '{{ field }}' as field,
            {{ field }} as native_id,
            {{ token or 'cast(null as varchar)' }} as contact_ref,
            _batch_id,
            _line
        from {{ relation }}
        where {{ field }} is not null
        union all
    {%- endfor %}

    select
        orders.customer_key,
        found.brand,
        found.platform,
        found.shop,
        found.record_source,
        found.seen_at,
        found.field,
        found.native_id,
        cast(null as varchar) as contact_ref,
        found._batch_id,
        found._line
    from {{ ref('int_identifiers__unioned') }} as found
    inner join orders on found.order_key = orders.order_key
    -- What is decided by hand joins like an identifier that the two alone have.
    {%- for key in ['customer_key', 'other_customer_key'] %}
        union all
        select
            customers.customer_key,
            customers.brand,
            customers.platform,
            customers.shop,
            'state' as record_source,
            decided.decided_at as seen_at,
            'by_hand' as field,
            cast(decided.customer_key as varchar)
            || '|' || cast(decided.other_customer_key as varchar) as native_id,
            cast(null as varchar) as contact_ref,
            cast(null as varchar) as _batch_id,
            cast(null as bigint) as _line
        from {{ decided_pairs('merge') }} as decided
        inner join {{ ref('int_customers__identified') }} as customers
            on decided.{{ key }} = customers.customer_key
        where {{ only_touched('customers.customer_key', 'int_customers__touched') }}
    {%- endfor %}
),

-- A record without an instant (a member file may leave it out) shows at once.
visible as (
    select mentions.*
    from mentions
    inner join run_shops
        on
            mentions.brand = run_shops.brand
            and mentions.platform = run_shops.platform
            and mentions.shop = run_shops.shop
    where
        mentions.seen_at is null
        or mentions.seen_at < run_shops.visible_until
        -- A decision corrects who somebody always was: it holds from when it is known.
        or mentions.field = 'by_hand'
),

known_fields as (
    select
        field,
        platform,
        record_source
    from visible
    group by field, platform, record_source
),

-- The nearest row of the seed: of this source on this platform, of the platform, of the field.
types_of_fields as (
    select
        known_fields.field,
        known_fields.platform,
        known_fields.record_source,
        types.identifier_type,
        types.scope,
        types.is_identity_key
    from known_fields
    inner join types
        on
            known_fields.field = types.field
            and types.platform in (known_fields.platform, '*')
            and types.record_source in (known_fields.record_source, '*')
    qualify row_number() over (
        partition by known_fields.field, known_fields.platform, known_fields.record_source
        order by
            types.record_source <> '*' desc nulls last,
            types.platform <> '*' desc nulls last
    ) = 1
),

-- Equal keys name the same thing, and only as far as its scope reaches: another shop's number is
-- another number. Nothing crosses a brand.
typed as (
    select
        visible.customer_key,
        visible.brand,
        visible.platform,
        visible.shop,
        types_of_fields.identifier_type,
        {{ generate_key([
            'visible.brand',
            "case when types_of_fields.scope <> 'brand' then visible.platform end",
            "case when types_of_fields.scope in ('shop', 'order') then visible.shop end",
            'types_of_fields.identifier_type',
            'visible.native_id',
        ]) }} as identifier_key,
        visible.contact_ref,
        types_of_fields.scope,
        types_of_fields.is_identity_key,
        visible.seen_at,
        visible._batch_id,
        visible._line,
        {{ ordering([
            "coalesce(visible.seen_at, timestamp '1970-01-01 00:00:00')",
            "coalesce(visible._batch_id, '')",
            'coalesce(visible._line, 0)',
        ]) }} as sequence
    from visible
    inner join types_of_fields
        on
            visible.field = types_of_fields.field
            and visible.platform = types_of_fields.platform
            and visible.record_source = types_of_fields.record_source
)

select
    customer_key,
    brand,
    platform,
    shop,
    identifier_type,
    identifier_key,
    max(contact_ref) as contact_ref,
    scope,
    is_identity_key,
    min(seen_at) as first_seen_at,
    max(seen_at) as last_seen_at,
    -- Every row of a customer is made together, so the window sees all of them.
    cast(count(*) over (partition by customer_key, identifier_type) as integer) as same_type_count,
    cast(
        count(*) filter (where is_identity_key and identifier_type <> 'by_hand') over (
            partition by customer_key
        ) as integer
    ) as recorded_key_count,
    min_by(_batch_id, sequence) as _batch_id,
    min_by(_line, sequence) as _line
from typed
group by
    customer_key, brand, platform, shop, identifier_type, identifier_key, scope, is_identity_key
