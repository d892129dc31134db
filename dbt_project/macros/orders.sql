{#- The one rule of what counts as an order: paid, bought by a customer and
    not by the shop itself, and neither refunded in full nor closed as of the date. -#}
{% macro is_valid_order(is_paid='is_paid', is_test='is_test', is_employee='is_employee', void_date='void_date') -%}
    ({{ is_paid }} and not {{ is_test }} and not {{ is_employee }} and {{ void_date }} is null)
{%- endmacro %}

{#- Why an order does not count; null when it does. The first reason in this order is told. -#}
{% macro invalid_reason(is_paid='is_paid', is_test='is_test', is_employee='is_employee', void_date='void_date', is_closed='is_closed') -%}
    case
        when {{ is_test }} then 'test'
        when {{ is_employee }} then 'employee'
        when not {{ is_paid }} then 'unpaid'
        when {{ void_date }} is not null and {{ is_closed }} then 'closed'
        when {{ void_date }} is not null then 'refunded'
    end
{%- endmacro %}

{#- A threshold of seeds/order_rules.csv. -#}
{% macro order_rule(rule) -%}
    (select rules.value from {{ ref('order_rules') }} as rules where rules.rule = '{{ rule }}')
{%- endmacro %}

{#- Every source that delivered rows of ``versions``, with what seed source_ranks says of it: its
    own row, else the row of all others ('*'). -#}
{% macro ranked_sources(versions) -%}
    select
        present.record_source,
        coalesce(own.source_rank, others.source_rank) as source_rank,
        coalesce(own.delivers_all_lines, others.delivers_all_lines) as delivers_all_lines,
        coalesce(own.names_coupons, others.names_coupons) as names_coupons
    from (
        select record_source
        from {{ versions }}
        group by record_source
    ) as present
    left join {{ ref('source_ranks') }} as own
        on present.record_source = own.record_source
    left join {{ ref('source_ranks') }} as others
        on others.record_source = '*'
{%- endmacro %}
