{{ config(materialized='view') }}

-- A grant is found by its customer, who never changes; the member is whoever that customer is now.
select
    identities.member_key,
    recorded.seq,
    recorded.grant_id,
    recorded.brand,
    recorded.member_key as recorded_member_key,
    recorded.customer_key,
    recorded.program,
    recorded.tier,
    recorded.level,
    recorded.previous_level,
    recorded.reason,
    recorded.decided_on,
    recorded.valid_until
from {{ source('raw', 'state__tier_grants') }} as recorded
inner join {{ ref('dim_member_identities') }} as identities
    on
        recorded.customer_key = identities.customer_key
        and recorded.brand = identities.brand
inner join {{ source('ops', 'run') }} as run
    on recorded.decided_on <= run.as_of_date
