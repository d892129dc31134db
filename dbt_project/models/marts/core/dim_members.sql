{{ config(meta={'touched_relation': 'int_members__touched', 'touched_key': 'member_key'}) }}

with identities as (
    select *
    from {{ ref('dim_member_identities') }}
    where {{ only_touched('member_key', 'int_members__touched') }}
),

customers as (
    select * from {{ ref('dim_customers') }}
),

consents as (
    select *
    from {{ ref('int_members__consents') }}
    where {{ only_touched('member_key', 'int_members__touched') }}
),

profiles as (
    select *
    from {{ ref('int_members__profiles') }}
    where {{ only_touched('member_key', 'int_members__touched') }}
),

newest_profiles as (
    select *
    from profiles
    qualify row_number() over (
        partition by member_key
        order by known_at desc nulls last, customer_key asc nulls last
    ) = 1
),

-- Where messages go to is not what the newest record says, when that says nothing.
phones as (
    select * from profiles
    where is_reached_by_sms
),

emails as (
    select * from profiles
    where is_reached_by_email
),

-- One record that says so is enough, whichever shop of the brand keeps it.
flags as (
    select
        member_key,
        min(enrolled_at) as enrolled_at,
        max(case when is_employee then 1 else 0 end) = 1 as is_employee,
        max(case when is_blacklisted then 1 else 0 end) = 1 as is_blacklisted
    from profiles
    group by member_key
),

members as (
    select
        identities.member_key,
        identities.brand,
        min_by(
            identities.customer_key,
            {{ ordering([
                "coalesce(customers.first_order_date, date '9999-12-31')",
                'identities.customer_key',
            ]) }}
        ) as first_customer_key,
        cast(count(*) as integer) as customer_count,
        bool_and(coalesce(customers.is_guest, false)) as is_guest
    from identities
    left join customers
        on identities.customer_key = customers.customer_key
    group by identities.member_key, identities.brand
)

select
    members.member_key,
    members.brand,
    newest_profiles.member_key is not null as is_enrolled,
    flags.enrolled_at,
    newest_profiles.enrol_source,
    cast(newest_profiles.birth_month as integer) as birth_month,
    cast(newest_profiles.birth_day as integer) as birth_day,
    newest_profiles.gender,
    newest_profiles.city,
    newest_profiles.province,
    newest_profiles.age_band,
    phones.phone_hash,
    phones.phone_masked,
    emails.email_hash,
    emails.email_masked,
    phones.phone_ref as contact_ref,
    case when phones.phone_ref is not null then 'sms' else 'none' end as route,
    coalesce(sms_consents.consent, 'unknown') as sms_consent,
    sms_consents.consent_at as sms_consent_at,
    coalesce(email_consents.consent, 'unknown') as email_consent,
    coalesce(flags.is_employee, false) as is_employee,
    coalesce(flags.is_blacklisted, false) as is_blacklisted,
    members.first_customer_key,
    members.customer_count,
    members.is_guest
from members
left join newest_profiles
    on members.member_key = newest_profiles.member_key
left join phones
    on members.member_key = phones.member_key
left join emails
    on members.member_key = emails.member_key
left join flags
    on members.member_key = flags.member_key
left join consents as sms_consents
    on
        members.member_key = sms_consents.member_key
        and sms_consents.channel = 'sms'
left join consents as email_consents
    on
        members.member_key = email_consents.member_key
        and email_consents.channel = 'email'
