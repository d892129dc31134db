{{ config(materialized='table') }}

with identities as (
    select * from {{ ref('dim_member_identities') }}
),

run_shops as (
    select * from {{ source('ops', 'run_shops') }}
),

pending_batches as (
    select * from {{ source('ops', 'pending_batches') }}
),

versions as (
    select * from {{ ref('stg_file__points') }}
),

changed_entries as (
    select points_entry_key
    from versions
    where _batch_id in (select pending_batches.batch_id from pending_batches)
    group by points_entry_key
),

touched_customers as (
    -- A corrected entry may have been somebody else's before.
    select versions.customer_key
    from versions
    inner join changed_entries
        on versions.points_entry_key = changed_entries.points_entry_key
    union
    select versions.customer_key
    from versions
    inner join run_shops
        on
            versions.brand = run_shops.brand
            and versions.platform = run_shops.platform
            and versions.shop = run_shops.shop
    where {{ became_visible('versions.occurred_at') }}
    union
    -- Recorded words have no batch, and may be recorded after the end of the date that they belong
    -- to; whoever has taken a gift is looked at every night, which is cheap because few have.
    select redemptions.customer_key
    from {{ source('raw', 'state__point_redemptions') }} as redemptions
)

-- Orders that earn and refunds that claw back touch their member anyhow; so do merges.
select touched.member_key
from {{ ref('int_members__touched') }} as touched
union
select identities.member_key
from touched_customers
inner join identities
    on touched_customers.customer_key = identities.customer_key
