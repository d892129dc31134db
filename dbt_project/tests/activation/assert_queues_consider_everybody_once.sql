-- A message is proposed once, in one queue; what is suppressed says why, what is drawn has an arm.
with proposals as (
    select message_id, outcome, arm, reason, bucket
    from {{ ref('queue_sms__first_month_gift') }}
    union all
    select message_id, outcome, arm, reason, bucket
    from {{ ref('queue_sms__just_silent_coupon') }}
),

repeated_messages as (
    select message_id
    from proposals
    group by message_id
    having count(*) > 1
)

select
    'queue_sms: a message is proposed twice' as violation,
    count(*) as violation_count
from repeated_messages
having count(*) > 0
union all
select
    'queue_sms: outcome, arm, reason and bucket contradict each other' as violation,
    count(*) as violation_count
from proposals
where
    (outcome = 'suppressed') <> (reason is not null)
    or (outcome = 'suppressed') <> (arm is null)
    or (outcome = 'suppressed') <> (bucket is null)
    or (outcome = 'holdout') <> (coalesce(arm, '') = 'holdout')
having count(*) > 0
