-- The keys of this subject's models, in one query: each node costs a night sixty milliseconds.
{{ all_hold([
    broken_proposals(ref('queue_sms__first_month_gift')),
    broken_proposals(ref('queue_sms__just_silent_coupon')),
]) }}
