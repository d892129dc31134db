{{ config(meta={'touched_relation': 'int_members__touched', 'touched_key': 'member_key'}) }}

with identities as (
    select *
    from {{ ref('dim_member_identities') }}
    where {{ only_touched('member_key', 'int_members__touched') }}
),

refusals as (
    select * from {{ recorded_about_members('state__refusals') }} as recorded
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

channels as (
    select 'sms' as channel
    union all
    select 'email' as channel
),

-- The contact at which each customer of a person is known, and which of them is the one used.
contacts as (
    select
        profiles.member_key,
        profiles.customer_key,
        channels.channel,
        case channels.channel when 'sms' then phone_hash else email_hash end as contact_hash,
        case channels.channel when 'sms' then is_reached_by_sms else is_reached_by_email end
            as is_used
    from profiles
    cross join channels
),

used_contacts as (
    select * from contacts
    where is_used
),

-- A record that does not show yet tells one thing all the same: who does not want to be messaged.
later_records as (
    select
        identities.member_key,
        records.customer_key,
        records.phone_hash,
        records.email_hash,
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
        customer_key,
        phone_hash as contact_hash,
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
        customer_key,
        email_hash as contact_hash,
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
        customer_key,
        phone_hash as contact_hash,
        'sms' as channel,
        sms_consent as word,
        said_at,
        0 as seq
    from later_records
    where sms_consent = 'refused'
    union all
    select
        member_key,
        customer_key,
        email_hash as contact_hash,
        'email' as channel,
        email_consent as word,
        said_at,
        0 as seq
    from later_records
    where email_consent = 'refused'
),

-- What is refused at a contact is refused for everybody who has it. A consent that names its
-- member was given by that member alone: it does not take back what others with the contact said.
-- Whoever speaks is a customer, so that a person who comes apart takes its own words along.
speakers as (
    select
        refusals.seq,
        identities.member_key,
        coalesce(refusals.founder_key, refusals.named_key) as customer_key
    from refusals
    inner join identities
        on coalesce(refusals.founder_key, refusals.named_key) = identities.customer_key
    where refusals.member_key is not null
    union
    select
        refusals.seq,
        profiles.member_key,
        profiles.customer_key
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
        profiles.member_key,
        profiles.customer_key
    from refusals
    inner join profiles
        on
            refusals.brand = profiles.brand
            and refusals.contact_hash = profiles.email_hash
    where
        refusals.channel in ('email', 'all')
        and (refusals.kind = 'refusal' or refusals.member_key is null)
),

recorded_words as (
    select
        speakers.member_key,
        speakers.customer_key,
        coalesce(refusals.contact_hash, contacts.contact_hash) as contact_hash,
        channels.channel,
        case when refusals.kind = 'consent' then 'granted' else 'refused' end as word,
        refusals.occurred_at as said_at,
        refusals.seq
    from speakers
    inner join refusals
        on speakers.seq = refusals.seq
    inner join channels
        on refusals.channel in (channels.channel, 'all')
    left join contacts
        on
            speakers.customer_key = contacts.customer_key
            and channels.channel = contacts.channel
),

all_words as (
    select * from dropped_words
    union all
    select * from recorded_words
),

-- A refusal binds the person at every contact. A consent is one to be reached at the contact that
-- it was given with: it says nothing of another one that the person has.
words as (
    select
        words.member_key,
        words.customer_key,
        words.channel,
        words.word,
        words.said_at,
        coalesce(words.contact_hash, '') as contact_hash,
        used_contacts.contact_hash as used_contact_hash,
        coalesce(words.said_at, timestamp '1970-01-01 00:00:00') < presents.visible_until
            as is_visible,
        {{ ordering([
            "coalesce(words.said_at, timestamp '1970-01-01 00:00:00')",
            "case when words.word = 'refused' then 1 else 0 end",
            'words.seq',
            'words.customer_key',
            "coalesce(words.contact_hash, '')",
        ]) }} as sequence
    from all_words as words
    inner join presents
        on words.member_key = presents.member_key
    left join used_contacts
        on
            words.member_key = used_contacts.member_key
            and words.channel = used_contacts.channel
    where
        words.word = 'refused'
        or coalesce(words.contact_hash, '') = coalesce(used_contacts.contact_hash, '')
)

select
    member_key,
    channel,
    max(used_contact_hash) as contact_hash,
    coalesce(max_by(word, sequence) filter (where is_visible), 'unknown') as consent,
    max_by(said_at, sequence) filter (where is_visible) as consent_at,
    max_by(customer_key, sequence) filter (where is_visible) as consent_customer_key,
    nullif(max_by(contact_hash, sequence) filter (where is_visible), '') as consent_contact_hash,
    -- Whoever refuses after the business date's end is not messaged that night either.
    max_by(word, sequence) = 'refused' as is_refused_by_now,
    max_by(customer_key, sequence) filter (where word = 'refused') as refused_customer_key,
    nullif(max_by(contact_hash, sequence) filter (where word = 'refused'), '')
        as refused_contact_hash
from words
group by member_key, channel
