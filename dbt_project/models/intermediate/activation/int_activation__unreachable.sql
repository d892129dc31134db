{{ config(materialized='table', tags=['activation']) }}

with rules as (
    select * from {{ ref('receipt_rules') }}
),

identities as (
    select * from {{ ref('dim_member_identities') }}
),

-- All that has landed counts, also what happened after the business date: nobody is written to
-- tonight at an address that is known to be dead.
receipts as (
    select
        receipts.brand,
        receipts.send_key,
        receipts.send_id,
        receipts.occurred_at,
        rules.channel,
        rules.suppression_reason,
        rules.binds
    from {{ ref('int_receipts__unioned') }} as receipts
    inner join rules
        on
            receipts.event = rules.event
            and rules.code in (receipts.code, '*')
),

own_messages as (
    select
        decisions.brand,
        decisions.channel,
        decisions.present_member_key as member_key,
        decisions.contact_hash,
        receipts.occurred_at,
        receipts.suppression_reason,
        receipts.binds
    from receipts
    inner join {{ recorded_about_members('state__decisions') }} as decisions
        on
            receipts.send_id = decisions.message_id
            and receipts.brand = decisions.brand
            and receipts.channel in (decisions.channel, '*')
    where decisions.outcome = 'send'
),

newest_sends as (
    select
        brand,
        send_key,
        customer_key,
        channel
    from {{ ref('stg_file__sends') }}
    qualify row_number() over (
        partition by send_key
        order by
            _extracted_at desc nulls last, _batch_id desc nulls last, _line desc nulls last
    ) = 1
),

-- Dropped mailings do not say where they went: it was the address that the member had then.
dropped_messages as (
    select
        newest_sends.brand,
        newest_sends.channel,
        identities.member_key,
        cast(null as varchar) as contact_hash,
        receipts.occurred_at,
        receipts.suppression_reason,
        'person' as binds
    from receipts
    inner join newest_sends
        on
            receipts.send_key = newest_sends.send_key
            and receipts.channel in (newest_sends.channel, '*')
    inner join identities
        on newest_sends.customer_key = identities.customer_key
    left join {{ ref('int_members__profiles') }} as profiles
        on newest_sends.customer_key = profiles.customer_key
    where
        receipts.binds = 'person'
        or coalesce(profiles.known_at <= receipts.occurred_at, true)
),

messages as (
    select * from own_messages
    union all
    select * from dropped_messages
),

-- Whoever consents after it has the last word; a dead address stays dead.
still_bound as (
    select messages.*
    from messages
    left join {{ ref('int_members__consents') }} as consents
        on
            messages.member_key = consents.member_key
            and messages.channel = consents.channel
    where
        messages.suppression_reason = 'undeliverable'
        or not coalesce(
            consents.consent = 'granted' and consents.consent_at > messages.occurred_at, false
        )
)

select
    brand,
    channel,
    case when binds = 'person' then member_key end as member_key,
    case when binds = 'contact' then contact_hash end as contact_hash,
    suppression_reason,
    max(occurred_at) as occurred_at
from still_bound
group by
    brand,
    channel,
    case when binds = 'person' then member_key end,
    case when binds = 'contact' then contact_hash end,
    suppression_reason
