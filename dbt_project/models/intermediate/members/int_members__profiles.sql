{{ config(meta={'touched_relation': 'int_members__touched', 'touched_key': 'member_key'}) }}

with identities as (
    select *
    from {{ ref('dim_member_identities') }}
    where {{ only_touched('member_key', 'int_members__touched') }}
),

records as (
    select
        identities.member_key,
        records.*
    from {{ ref('stg_file__members') }} as records
    inner join identities
        on records.customer_key = identities.customer_key
    where records.buyer_id is not null
),

run_shops as (
    select * from {{ source('ops', 'run_shops') }}
),

visible as (
    select
        records.*,
        run_shops.visible_until,
        coalesce(records.modified_at, records.enrolled_at) as known_at
    from records
    inner join run_shops
        on
            records.brand = run_shops.brand
            and records.platform = run_shops.platform
            and records.shop = run_shops.shop
    where
        coalesce(records.modified_at, records.enrolled_at) < run_shops.visible_until
        or coalesce(records.modified_at, records.enrolled_at) is null
),

newest as (
    select *
    from visible
    qualify row_number() over (
        partition by customer_key
        order by
            known_at desc nulls last,
            _extracted_at desc nulls last,
            _batch_id desc nulls last,
            _line desc nulls last
    ) = 1
)

select
    customer_key,
    member_key,
    brand,
    platform,
    shop,
    member_id,
    known_at,
    {{ as_of('enrolled_at') }} as enrolled_at,
    enrol_source,
    phone_ref,
    phone_hash,
    phone_masked,
    email_ref,
    email_hash,
    email_masked,
    month(birthday) as birth_month,
    day(birthday) as birth_day,
    gender,
    city,
    province,
    age_band,
    sms_consent,
    sms_consent_at,
    email_consent,
    email_consent_at,
    is_employee,
    is_blacklisted,
    -- Where the person is reached: the newest record that says where. Nobody's record without a
    -- contact hides one that has it.
    row_number() over (
        partition by member_key
        order by
            phone_ref is null asc nulls last,
            phone_hash is null asc nulls last,
            known_at desc nulls last,
            customer_key asc nulls last
    ) = 1 as is_reached_by_sms,
    row_number() over (
        partition by member_key
        order by
            email_ref is null asc nulls last,
            email_hash is null asc nulls last,
            known_at desc nulls last,
            customer_key asc nulls last
    ) = 1 as is_reached_by_email,
    _batch_id,
    _line
from newest
