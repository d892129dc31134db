{{ config(meta={'touched_relation': 'int_customers__touched', 'touched_key': 'customer_key'}) }}

-- One customer makes one member until identities are resolved across shops; readers go through
-- this bridge already, so that nothing of theirs changes then.
select
    customer_key,
    member_key,
    brand,
    'single customer' as evidence
from {{ ref('int_customers__identified') }}
where {{ only_touched('customer_key', 'int_customers__touched') }}
