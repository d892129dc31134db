{{ config(meta={'touched_relation': 'int_members__touched', 'touched_key': 'member_key'}) }}

with identities as (
    select *
    from {{ ref('dim_member_identities') }}
    where {{ only_touched('member_key', 'int_members__touched') }}
),

refusals as (
    select * from {{ source('raw', 'state__refusals') }}
),

run_shops as (
    select * from {{ source('ops', 'run_shops') }}
),

-- The business date ends for a person with the last shop of the brand; other brands have no say.
brand_shops as (
    select
        brand,
        max(visible_until) as visible_until
    from run_shops
    group by brand
),

presents as (
    select
        identities.member_key,
        max(brand_shops.visible_until) as visible_until
    from identities
    inner join brand_shops
        on identities.brand = brand_shops.brand
    group by identities.member_key
),

profiles as (
    select *
    from {{ ref('int_members__profiles') }}
    where {{ only_touched('member_key', 'int_members__touched') }}
),

-- A record that does not show yet tells one thing all the same: who does not want to be messaged.
later_records as (
    select
        identities.member_key,
        records.sms_consent,
        records.email_consent,
        greatest(records.modified_at, brand_shops.visible_until) as said_at
    from {{ ref('stg_file__members') }} as records
    inner join identities
        on records.customer_key = identities.customer_key
    inner join run_shops
        on
            records.brand = run_shops.brand
            and records.platform = run_shops.platform
            and records.shop = run_shops.shop
    inner join brand_shops
        on records.brand = brand_shops.brand
    where records.modified_at >= run_shops.visible_until
    qualify row_number() over (
        partition by records.customer_key
        order by
            records.modified_at desc nulls last,
            records._extracted_at desc nulls last,
            records._batch_id desc nulls last,
            records._line desc nulls last
    ) = 1
),

-- A refusal without an instant was known when its record was. A grant without one proves nothing
-- about when it was given, so any dated word beats it.
dropped_words as (
    select
        member_key,
        'sms' as channel,
        sms_consent as word,
        case
            when sms_consent = 'refused' then coalesce(sms_consent_at, known_at)
            else sms_consent_at
        end as said_at,
        0 as seq
    from profiles
    where sms_consent in ('granted', 'refused')
    union all
    select
        member_key,
        'email' as channel,
        email_consent as word,
        case
            when email_consent = 'refused' then coalesce(email_consent_at, known_at)
            else email_consent_at
        end as said_at,
        0 as seq
    from profiles
    where email_consent in ('granted', 'refused')
    union all
    select
        member_key,
        'sms' as channel,
        sms_consent as word,
        said_at,
        0 as seq
    from later_records
    where sms_consent = 'refused'
    union all
    select
        member_key,
        'email' as channel,
        email_consent as word,
        said_at,
        0 as seq
    from later_records
    where email_consent = 'refused'
),

-- What is refused at a contact is refused for everybody who has it. A consent that names its
-- member was given by that member alone: it does not take back what others with the contact said.
speakers as (
    select
        refusals.seq,
        identities.member_key
    from refusals
    left join {{ retired_members() }} as retired
        on refusals.member_key = retired.founded_member_key
    inner join identities
        on coalesce(retired.member_key, refusals.member_key) = identities.member_key
    union
    select
        refusals.seq,
        profiles.member_key
    from refusals
    inner join profiles
        on
            refusals.brand = profiles.brand
            and refusals.contact_hash = profiles.phone_hash
    where
        refusals.channel in ('sms', 'all')
        and (refusals.kind = 'refusal' or refusals.member_key is null)
    union
    select
        refusals.seq,
        profiles.member_key
    from refusals
    inner join profiles
        on
            refusals.brand = profiles.brand
            and refusals.contact_hash = profiles.email_hash
    where
        refusals.channel in ('email', 'all')
        and (refusals.kind = 'refusal' or refusals.member_key is null)
),

channels as (
    select 'sms' as channel
    union all
    select 'email' as channel
),

recorded_words as (
    select
        speakers.member_key,
        channels.channel,
        case when refusals.kind = 'consent' then 'granted' else 'refused' end as word,
        refusals.occurred_at as said_at,
        refusals.seq
    from speakers
    inner join refusals
        on speakers.seq = refusals.seq
    inner join channels
        on refusals.channel in (channels.channel, 'all')
),

words as (
    select
        words.*,
        coalesce(words.said_at, timestamp '1970-01-01 00:00:00') < presents.visible_until
            as is_visible,
        {{ ordering([
            "coalesce(words.said_at, timestamp '1970-01-01 00:00:00')",
            "case when words.word = 'refused' then 1 else 0 end",
            'words.seq',
        ]) }} as sequence
    from (
        select * from dropped_words
        union all
        select * from recorded_words
    ) as words
    inner join presents
        on words.member_key = presents.member_key
)

select
    member_key,
    channel,
    coalesce(max_by(word, sequence) filter (where is_visible), 'unknown') as consent,
    max_by(said_at, sequence) filter (where is_visible) as consent_at,
    -- Whoever refuses after the business date's end is not messaged that night either.
    max_by(word, sequence) = 'refused' as is_refused_by_now
from words
group by member_key, channel
