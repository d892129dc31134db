{{ config(meta={
    'touched_relation': 'ops.pending_batches',
    'touched_key': '_batch_id',
    'touched_column': 'batch_id',
}) }}

with records as (
    select *
    from {{ source('raw', 'file__members') }}
    where {{ only_pending_batches() }}
),

run_shops as (
    select * from {{ source('ops', 'run_shops') }}
),

parsed as (
    select
        records._brand as brand,
        records._platform as platform,
        records._shop as shop,
        records.member_id,
        records.buyer_id,
        {{ parse_instant('records.enrolled_at', 'run_shops.zone') }} as enrolled_at,
        records.enrol_source,
        records.phone_ref,
        records.phone_hash,
        records.phone_masked,
        records.email_ref,
        records.email_hash,
        records.email_masked,
        try_cast(records.birthday as date) as birthday,
        records.gender,
        records.city,
        records.province,
        records.age_band,
        records.sms_consent,
        {{ parse_instant('records.sms_consent_at', 'run_shops.zone') }} as sms_consent_at,
        records.email_consent,
        {{ parse_instant('records.email_consent_at', 'run_shops.zone') }} as email_consent_at,
        records.consent_evidence,
        {{ parse_flag('records.is_employee') }} as is_employee,
        {{ parse_flag('records.is_blacklisted') }} as is_blacklisted,
        {{ parse_instant('records.modified_at', 'run_shops.zone') }} as modified_at,
        records._batch_id,
        records._line,
        records._extracted_at
    from records
    inner join run_shops
        on
            records._brand = run_shops.brand
            and records._platform = run_shops.platform
            and records._shop = run_shops.shop
)

select
    brand,
    platform,
    shop,
    member_id,
    {{ shop_key('buyer_id') }} as customer_key,
    buyer_id,
    enrolled_at,
    enrol_source,
    phone_ref,
    phone_hash,
    phone_masked,
    email_ref,
    email_hash,
    email_masked,
    birthday,
    gender,
    city,
    province,
    age_band,
    sms_consent,
    sms_consent_at,
    email_consent,
    email_consent_at,
    consent_evidence,
    is_employee,
    is_blacklisted,
    modified_at,
    'file' as record_source,
    _batch_id,
    _line,
    _extracted_at
from parsed
