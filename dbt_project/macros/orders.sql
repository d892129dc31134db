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
