{{ config(materialized='table') }}

with identities as (
    select * from {{ ref('dim_member_identities') }}
),

run as (
    select
        *,
        {{ add_days(
            'least(previous_as_of_date, as_of_date)', '-' ~ parameter('rfm_window_days', 'integer')
        ) }} as leaving_after_date,
        {{ add_days(
            'greatest(previous_as_of_date, as_of_date)',
            '-' ~ parameter('rfm_window_days', 'integer')
        ) }} as leaving_until_date
    from {{ source('ops', 'run') }}
),

run_shops as (
    select * from {{ source('ops', 'run_shops') }}
),

-- The end of the business date for words about a person: a brand's, as int_members__consents sees
-- it.
brand_shops as (
    select
        brand,
        max(visible_until) as visible_until,
        max(previous_visible_until) as previous_visible_until
    from run_shops
    group by brand
),

refusals as (
    select * from {{ source('raw', 'state__refusals') }}
),

member_records as (
    select * from {{ ref('stg_file__members') }}
),

pending_batches as (
    select * from {{ source('ops', 'pending_batches') }}
),

statements as (
    select
        review_key as statement_key,
        customer_key,
        _batch_id
    from {{ ref('int_reviews__unioned') }}
    union all
    select
        interaction_key as statement_key,
        customer_key,
        _batch_id
    from {{ ref('stg_file__interactions') }}
),

corrected_statements as (
    select statement_key
    from statements
    where _batch_id in (select pending_batches.batch_id from pending_batches)
),

-- Whose group, or being bought again at all, the pending records change; as
-- int_members__product_purchases names it.
product_records as (
    select
        product_key,
        coalesce(product_group, category, 'unsorted') || '|' || coalesce(repurchase, 'yes')
            as bought_as,
        _batch_id not in (select pending_batches.batch_id from pending_batches) as is_known,
        {{ ordering([
            "coalesce(modified_at, timestamp '1970-01-01 00:00:00')",
            '_extracted_at',
            '_batch_id',
            '_line',
        ]) }} as version
    from {{ ref('stg_file__products') }}
),

regrouped_products as (
    select product_key
    from product_records
    group by product_key
    having
        max_by(bought_as, version)
        <> coalesce(max_by(bought_as, version) filter (where is_known), 'unsorted|yes')
),

touched_customers as (
    select customer_key from {{ ref('int_customers__touched') }}
    union
    -- A member's record shows from its own instant on, which is not the enrolment's.
    select records.customer_key
    from member_records as records
    inner join run_shops
        on
            records.brand = run_shops.brand
            and records.platform = run_shops.platform
            and records.shop = run_shops.shop
    where {{ became_visible('records.modified_at') }}
    union
    -- So does a consent: a file may carry one that is said after it was written.
    select records.customer_key
    from member_records as records
    inner join brand_shops
        on records.brand = brand_shops.brand
    where
        {{ became_visible('records.sms_consent_at', 'brand_shops') }}
        or {{ became_visible('records.email_consent_at', 'brand_shops') }}
    union
    -- A corrected review may have been somebody else's before.
    select statements.customer_key
    from statements
    inner join corrected_statements
        on statements.statement_key = corrected_statements.statement_key
    union
    select contacts.customer_key
    from {{ ref('stg_file__agent_contacts') }} as contacts
    inner join run_shops
        on
            contacts.brand = run_shops.brand
            and contacts.platform = run_shops.platform
            and contacts.shop = run_shops.shop
    where
        -- A corrected contact may have been with somebody else before.
        contacts.agent_contact_key in (
            select corrected.agent_contact_key
            from {{ ref('stg_file__agent_contacts') }} as corrected
            where corrected._batch_id in (select pending_batches.batch_id from pending_batches)
        )
        or {{ became_visible('contacts.contacted_at') }}
    union
    select lines.customer_key
    from {{ ref('fct_order_lines') }} as lines
    where lines.product_key in (select regrouped.product_key from regrouped_products as regrouped)
    union
    -- An order that leaves the RFM window changes its member although nothing happened to it.
    select orders.customer_key
    from {{ ref('fct_orders') }} as orders
    inner join run
        on
            orders.paid_date > run.leaving_after_date
            and orders.paid_date <= run.leaving_until_date
),

-- Whoever's cluster was looked at may have joined somebody or left, and a member may have gone.
clustered_members as (
    select identities.member_key
    from {{ source('ops', 'touched_keys') }} as clustered
    inner join identities
        on
            clustered.key = identities.customer_key
            and clustered.subject = 'clustered'
    union
    select identities.founded_member_key as member_key
    from {{ source('ops', 'touched_keys') }} as clustered
    inner join identities
        on
            clustered.key = identities.customer_key
            and clustered.subject = 'clustered'
),

-- Recorded words have no batch and may arrive long after they were said; whoever has spoken is
-- looked at every night, which is cheap because few have.
refusing_members as (
    -- Said under the key of a member who has been merged since, it is said by whom that became.
    select spoken.present_member_key as member_key
    from {{ recorded_about_members('state__refusals') }} as spoken
    where spoken.member_key is not null
    -- Joined by equality, or every refusal would meet every record of its brand.
    {%- for contact in ['phone_hash', 'email_hash'] %}
        union
        select identities.member_key
        from refusals
        inner join member_records as records
            on
                refusals.brand = records.brand
                and refusals.contact_hash = records.{{ contact }}
        inner join identities
            on records.customer_key = identities.customer_key
    {%- endfor %}
)

select identities.member_key
from touched_customers
inner join identities
    on touched_customers.customer_key = identities.customer_key
union
select handed_on.key as member_key
from {{ source('ops', 'touched_keys') }} as handed_on
where handed_on.subject = 'members'
union
select clustered_members.member_key
from clustered_members
union
select refusing_members.member_key
from refusing_members
union
select identities.member_key
from identities
inner join run
    on run.previous_as_of_date is null
