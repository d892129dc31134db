{{ config(materialized='view') }}

-- A grant follows the customer who founded the member that it was given to, as all that is recorded
-- of members does; where that one is gone, the customer it names.
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
from {{ recorded_about_members('state__tier_grants') }} as recorded
inner join {{ ref('dim_member_identities') }} as identities
    on
        coalesce(recorded.founder_key, recorded.named_key) = identities.customer_key
        and recorded.brand = identities.brand
inner join {{ source('ops', 'run') }} as run
    on recorded.decided_on <= run.as_of_date
