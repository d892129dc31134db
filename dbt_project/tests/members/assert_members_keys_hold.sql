-- The keys of this subject's models, in one query: each node costs a night sixty milliseconds.
{{ all_hold([
    broken_keys(
        ref('dim_members'),
        key=['member_key'],
        touched=(ref('int_members__touched'), 'member_key'),
    ),
    broken_keys(
        ref('mart_base_summary'),
        key=['brand', 'platform', 'shop', 'customer_group', 'figure']
    ),
    broken_keys(ref('mart_churn_monthly'), key=['brand', 'month_start_date']),
    broken_keys(
        ref('mart_member_behaviour'),
        key=['member_key'],
        touched=(ref('int_members__touched'), 'member_key'),
        references=[
            {'column': 'member_key', 'to': ref('dim_members'), 'field': 'member_key'},
        ],
    ),
    broken_keys(ref('mart_member_gap'), key=['brand', 'currency', 'comparison']),
    broken_keys(
        ref('mart_member_lifecycle'),
        key=['member_key'],
        touched=(ref('int_members__stage_changes'), 'member_key'),
        references=[
            {'column': 'member_key', 'to': ref('dim_members'), 'field': 'member_key'},
        ],
    ),
    broken_keys(
        ref('mart_member_product_cycles'),
        key=['member_key', 'product_group'],
        touched=(ref('int_members__cycles_touched'), 'member_key'),
        references=[
            {'column': 'member_key', 'to': ref('dim_members'), 'field': 'member_key'},
        ],
    ),
    broken_keys(
        ref('mart_member_rfm'),
        key=['member_key'],
        touched=(ref('int_members__touched'), 'member_key'),
        references=[
            {'column': 'member_key', 'to': ref('mart_member_lifecycle'), 'field': 'member_key'},
        ],
    ),
    broken_keys(
        ref('mart_one_time_buyers'), key=['brand', 'cohort_start_date', 'horizon_days']
    ),
    broken_keys(
        ref('mart_platform_reconciliation'),
        key=['brand', 'platform', 'shop', 'report_date'],
    ),
    broken_keys(ref('mart_product_cycles'), key=['brand', 'product_group']),
    broken_keys(
        ref('mart_revenue_concentration'), key=['brand', 'currency', 'top_pct']
    ),
    broken_keys(
        ref('mart_shop_industry_daily'),
        key=['brand', 'platform', 'shop', 'day_date', 'category', 'figure'],
    ),
    broken_keys(ref('mart_shop_traffic_daily'), key=['brand', 'platform', 'shop', 'day_date']),
]) }}
