-- The marts come from exactly one run.
select
    'mart_publication does not hold exactly one row' as violation,
    count(*) as violation_count
from {{ ref('mart_publication') }}
having count(*) <> 1
