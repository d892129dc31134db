-- Members and customers are compared once each way.
{{ broken_keys(ref('mart_member_gap'), key=['brand', 'currency', 'comparison']) }}
