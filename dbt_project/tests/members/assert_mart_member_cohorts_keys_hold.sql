-- A cohort is looked at once in each period, and all of it bought in its own.
{{ broken_keys(
    ref('mart_member_cohorts'),
    key=['brand', 'currency', 'cohort_start_date', 'period_number']
) }}
union all
select
    'mart_member_cohorts: somebody of a cohort did not buy in its first period' as violation,
    count(*) as violation_count
from {{ ref('mart_member_cohorts') }}
where
    period_number = 1
    and is_complete
    and active_member_count <> member_count
having count(*) > 0
