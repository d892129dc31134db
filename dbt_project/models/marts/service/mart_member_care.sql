{#- Rewritten every night: who is lost, and how long nobody has written, changes by the day. Built
    with the campaigns, whose messages it reads. -#}
{{ config(materialized='table') }}

{%- set contact_points = ['phone', 'email', 'wangwang', 'wechat', 'qq_group', 'weibo', 'weitao'] %}

with run as (
    select
        as_of_date,
        {{ lifecycle_parameter('abandon_failed_sends', 'integer') }} as abandon_failed_sends,
        {{ add_days('as_of_date', '-' ~ lifecycle_parameter('abandon_wait_days', 'integer')) }}
            as failed_until_date,
        {{ add_days('as_of_date', '-' ~ lifecycle_parameter('churn_silence_days', 'integer')) }}
            as silent_since_date
    from {{ source('ops', 'run') }}
),

run_shops as (
    select * from {{ source('ops', 'run_shops') }}
),

identities as (
    select * from {{ ref('dim_member_identities') }}
),

fields as (
    select * from {{ ref('profile_fields') }}
),

churn_evidence as (
    select * from {{ ref('churn_evidence') }}
),

members as (
    select
        members.member_key,
        members.brand,
        run.as_of_date,
        members.birth_month is not null and members.birth_day is not null as has_birthday,
        members.phone_hash is not null as has_phone,
        members.email_hash is not null as has_email,
        -- Scores that are not ready are chance: then the band of the average order says it, as it
        -- does for the named segments.
        coalesce(
            case
                when rfm.rfm_segment_basis = 'cut_points' then rfm.monetary_score = 5
                else coalesce(rfm.aov_band = 'high', rfm.monetary_score = 5)
            end,
            false
        ) as is_key_member,
        rfm.rfm_segment_basis as key_member_basis,
        lifecycle.activity_stage,
        lifecycle.last_valid_order_date,
        lifecycle.lost_on,
        coalesce(lifecycle.activity_stage in ('lost', 'dead'), false) as is_away
    from {{ ref('dim_members') }} as members
    left join {{ ref('mart_member_rfm') }} as rfm
        on members.member_key = rfm.member_key
    left join {{ ref('mart_member_lifecycle') }} as lifecycle
        on members.member_key = lifecycle.member_key
    cross join run
    where not members.is_guest
),

interactions as (
    select
        identities.member_key,
        interactions.kind,
        interactions.detail,
        interactions.interaction_key,
        interactions.occurred_at,
        {{ to_local_date('interactions.occurred_at', 'run_shops.zone') }} as occurred_date
    from (
        select *
        from {{ ref('int_customers__interactions') }}
        where kind in ('follow', 'survey')
    ) as interactions
    inner join identities
        on interactions.customer_key = identities.customer_key
    inner join run_shops
        on
            interactions.brand = run_shops.brand
            and interactions.platform = run_shops.platform
            and interactions.shop = run_shops.shop
    where interactions.occurred_at < run_shops.visible_until
),

tags as (
    select
        identities.member_key,
        tags.tag
    from {{ ref('int_customers__tags') }} as tags
    inner join identities
        on tags.customer_key = identities.customer_key
    inner join run_shops
        on
            tags.brand = run_shops.brand
            and tags.platform = run_shops.platform
            and tags.shop = run_shops.shop
    where
        tags.tagged_at < run_shops.visible_until
        and coalesce(tags.removed_at >= run_shops.visible_until, true)
),

contacts as (
    select
        identities.member_key,
        contacts.kind,
        contacts.outcome,
        {{ to_local_date('contacts.contacted_at', 'run_shops.zone') }} as contacted_date
    from {{ ref('int_customers__agent_contacts') }} as contacts
    inner join identities
        on contacts.customer_key = identities.customer_key
    inner join run_shops
        on
            contacts.brand = run_shops.brand
            and contacts.platform = run_shops.platform
            and contacts.shop = run_shops.shop
    where contacts.contacted_at < run_shops.visible_until
),

messages as (
    select
        identities.member_key,
        sends.purpose,
        {{ to_local_date('sends.sent_at', 'run_shops.zone') }} as sent_date
    from {{ ref('fct_campaign_sends') }} as sends
    inner join identities
        on sends.customer_key = identities.customer_key
    inner join run_shops
        on
            sends.brand = run_shops.brand
            and sends.platform = run_shops.platform
            and sends.shop = run_shops.shop
    where
        sends.outcome = 'sent'
        and sends.sent_at < run_shops.visible_until
        -- What never arrived has not been said.
        and coalesce(sends.delivery_state, '') not in ('failed', 'intercepted')
),

known as (
    select member_key, 'column' as evidence, 'birthday' as match
    from members
    where has_birthday
    union all
    select member_key, 'column' as evidence, 'phone' as match
    from members
    where has_phone
    union all
    select member_key, 'column' as evidence, 'email' as match
    from members
    where has_email
    union all
    select member_key, 'tag' as evidence, tag as match
    from tags
    union all
    select member_key, 'interaction' as evidence, kind as match
    from interactions
),

known_fields as (
    select
        known.member_key,
        fields.field,
        fields.kind,
        max(fields.weight) as weight
    from known
    inner join fields
        on
            known.evidence = fields.evidence
            and fields.match in (known.match, '*')
    group by known.member_key, fields.field, fields.kind
),

profiles as (
    select
        member_key,
        sum(weight) as weight_sum,
        {%- for point in contact_points %}
            max(case when kind = 'contact_point' and field = '{{ point }}' then 1 else 0 end)
                as {{ point }}_mark,
        {%- endfor %}
        count(*) filter (where kind = 'contact_point') as contact_point_count
    from known_fields
    group by member_key
),

attributes as (
    select
        field,
        ask_rank,
        label_zh
    from fields
    where kind = 'attribute'
    group by field, ask_rank, label_zh
),

-- Of most members nothing is known: they are not crossed with every attribute.
first_attributes as (
    select
        min_by(field, ask_rank) as field,
        min_by(label_zh, ask_rank) as label_zh,
        min(ask_rank) as ask_rank
    from attributes
),

next_attributes as (
    select
        profiles.member_key,
        min_by(attributes.field, attributes.ask_rank) as field,
        min_by(attributes.label_zh, attributes.ask_rank) as label_zh,
        min(attributes.ask_rank) as ask_rank
    from profiles
    cross join attributes
    left join known_fields
        on
            profiles.member_key = known_fields.member_key
            and attributes.field = known_fields.field
            and known_fields.kind = 'attribute'
    where known_fields.member_key is null
    group by profiles.member_key
    union all
    select
        members.member_key,
        first_attributes.field,
        first_attributes.label_zh,
        first_attributes.ask_rank
    from members
    cross join first_attributes
    left join profiles
        on members.member_key = profiles.member_key
    where profiles.member_key is null
),

-- Only who stays away is asked why.
away as (
    select *
    from members
    where is_away
),

newest_surveys as (
    select
        away.member_key,
        max_by(
            lower(trim(interactions.detail)),
            {{ ordering(['interactions.occurred_at', 'interactions.interaction_key']) }}
        ) as match
    from away
    inner join interactions
        on
            away.member_key = interactions.member_key
            and away.last_valid_order_date <= interactions.occurred_date
    where interactions.kind = 'survey'
    group by away.member_key
),

away_customers as (
    select identities.customer_key
    from identities
    inner join away
        on identities.member_key = away.member_key
),

-- Reviews are many, those of who stays away are few: the others' versions are not even sorted.
away_reviews as (
    select review_key
    from {{ ref('int_reviews__unioned') }}
    where
        customer_key in (select away_customers.customer_key from away_customers)
        or order_key in (
            select orders.order_key
            from {{ ref('fct_orders') }} as orders
            inner join away_customers
                on orders.customer_key = away_customers.customer_key
        )
),

-- A review that was changed says what its newest version says.
newest_versions as (
    select *
    from {{ ref('int_reviews__unioned') }}
    where review_key in (select away_reviews.review_key from away_reviews)
    qualify row_number() over (
        partition by review_key
        order by _extracted_at desc nulls last, _batch_id desc nulls last, _line desc nulls last
    ) = 1
),

newest_reviews as (
    select
        away.member_key,
        max_by(
            coalesce(reviews.result, 'unrated'),
            {{ ordering(['reviews.created_at', 'reviews.review_key']) }}
        ) as match
    from newest_versions as reviews
    inner join run_shops
        on
            reviews.brand = run_shops.brand
            and reviews.platform = run_shops.platform
            and reviews.shop = run_shops.shop
    left join {{ ref('fct_orders') }} as orders
        on reviews.order_key = orders.order_key
    inner join identities
        on coalesce(reviews.customer_key, orders.customer_key) = identities.customer_key
    inner join away
        on identities.member_key = away.member_key
    where reviews.created_at < run_shops.visible_until
    group by away.member_key
),

spoken_with as (
    select messages.member_key
    from messages
    inner join run
        on messages.sent_date > run.silent_since_date
    union
    select contacts.member_key
    from contacts
    inner join run
        on contacts.contacted_date > run.silent_since_date
),

addressed as (
    select member_key from messages
    union
    select member_key from contacts
),

-- Where neither messages nor contacts are told, silence is the source's.
telling_brands as (
    select members.brand
    from members
    inner join addressed
        on members.member_key = addressed.member_key
    group by members.brand
),

found as (
    select member_key, 'survey' as evidence, match
    from newest_surveys
    union all
    select identities.member_key, 'open_refund' as evidence, '*' as match
    from {{ ref('fct_refunds') }} as refunds
    inner join identities
        on refunds.customer_key = identities.customer_key
    where refunds.refund_status in ('requested', 'agreed')
    union all
    select contacts.member_key, 'contact_outcome' as evidence, contacts.outcome as match
    from contacts
    inner join away
        on
            contacts.member_key = away.member_key
            and contacts.contacted_date >= away.last_valid_order_date
    union all
    select contacts.member_key, 'contact_kind' as evidence, contacts.kind as match
    from contacts
    inner join away
        on
            contacts.member_key = away.member_key
            and contacts.contacted_date >= away.last_valid_order_date
    union all
    select member_key, 'review' as evidence, match
    from newest_reviews
    union all
    select away.member_key, 'no_message' as evidence, '*' as match
    from away
    inner join telling_brands
        on away.brand = telling_brands.brand
    left join spoken_with
        on away.member_key = spoken_with.member_key
    where spoken_with.member_key is null
    union all
    select member_key, 'none' as evidence, '*' as match
    from away
),

churn_reasons as (
    select
        away.member_key,
        min_by(churn_evidence.churn_reason, churn_evidence.evidence_rank) as churn_reason,
        min_by(churn_evidence.label_zh, churn_evidence.evidence_rank) as churn_reason_zh,
        min_by(churn_evidence.evidence, churn_evidence.evidence_rank) as churn_evidence
    from away
    inner join found
        on away.member_key = found.member_key
    inner join churn_evidence
        on
            found.evidence = churn_evidence.evidence
            and found.match = churn_evidence.match
    group by away.member_key
),

-- A message has failed when its time is over and the member is as far away as before.
failed_messages as (
    select
        away.member_key,
        count(*) as failed_send_count,
        min(messages.sent_date) as first_failed_date
    from away
    inner join messages
        on
            away.member_key = messages.member_key
            and away.lost_on <= messages.sent_date
    cross join run
    where
        messages.sent_date <= run.failed_until_date
        and coalesce(messages.purpose, 'marketing') = 'marketing'
    group by away.member_key
),

-- Any order speaks for the member, be it unpaid or given back.
ordering_members as (
    select failed_messages.member_key
    from failed_messages
    inner join identities
        on failed_messages.member_key = identities.member_key
    inner join {{ ref('fct_orders') }} as orders
        on
            identities.customer_key = orders.customer_key
            and failed_messages.first_failed_date <= orders.created_date
    where {{ is_countable_order('orders') }}
    group by failed_messages.member_key
),

uplifts as (
    select
        brands.brand,
        uplifts.currency,
        uplifts.expected_uplift_amount,
        uplifts.message_cost_amount
    from (select members.brand from members group by members.brand) as brands
    cross join run
    inner join {{ ref('winback_uplifts') }} as uplifts
        on
            uplifts.brand in (brands.brand, '*')
            and run.as_of_date >= uplifts.valid_from
    qualify row_number() over (
        partition by brands.brand
        order by
            uplifts.brand <> '*' desc nulls last,
            uplifts.valid_from desc nulls last
    ) = 1
),

judged as (
    select
        members.*,
        coalesce(failed_messages.failed_send_count, 0) as failed_winback_count,
        members.activity_stage = 'dead'
        and coalesce(failed_messages.failed_send_count, 0) >= run.abandon_failed_sends
        and ordering_members.member_key is null as is_given_up,
        uplifts.currency,
        uplifts.expected_uplift_amount,
        uplifts.message_cost_amount
    from members
    cross join run
    left join failed_messages
        on members.member_key = failed_messages.member_key
    left join ordering_members
        on members.member_key = ordering_members.member_key
    left join uplifts
        on members.brand = uplifts.brand
)

select
    judged.member_key,
    judged.brand,
    judged.as_of_date,
    cast(coalesce(profiles.weight_sum, 0) as decimal(9, 4)) as profile_completeness_rate,
    next_attributes.field as next_missing_attribute,
    next_attributes.label_zh as next_missing_attribute_zh,
    judged.is_key_member,
    judged.key_member_basis,
    -- Few can be asked: key members alone, and those whose first attribute is missing first.
    case when judged.is_key_member then next_attributes.ask_rank end as ask_rank,
    {%- for point in contact_points %}
        coalesce(profiles.{{ point }}_mark = 1, false) as has_{{ point }},
    {%- endfor %}
    cast(coalesce(profiles.contact_point_count, 0) as integer) as contact_point_count,
    churn_reasons.churn_reason,
    churn_reasons.churn_reason_zh,
    churn_reasons.churn_evidence,
    cast(judged.failed_winback_count as integer) as failed_winback_count,
    judged.currency,
    judged.expected_uplift_amount as winback_uplift_amount,
    -- What nobody has measured gives nobody up.
    coalesce(
        judged.is_given_up and judged.expected_uplift_amount < judged.message_cost_amount, false
    ) as is_abandoned,
    case
        when coalesce(judged.is_given_up, false) and judged.expected_uplift_amount is null
            then 'uplift_not_measured'
    end as abandon_gap_reason
from judged
left join profiles
    on judged.member_key = profiles.member_key
left join next_attributes
    on judged.member_key = next_attributes.member_key
left join churn_reasons
    on judged.member_key = churn_reasons.member_key
