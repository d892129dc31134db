{#- The one rule of what counts as an order: paid, bought by a customer for themselves to use or
    give, and neither refunded in full nor closed as of the date. ``flag`` is null unless the order
    is one of uncounted_flags(). -#}
{% macro is_valid_order(is_paid='is_paid', flag='order_flag', void_date='void_date') -%}
    ({{ is_paid }} and {{ flag }} is null and {{ void_date }} is null)
{%- endmacro %}

{#- Why an order does not count; null when it does. The first reason in this order is told. -#}
{% macro invalid_reason(is_paid='is_paid', flag='order_flag', void_date='void_date', is_closed='is_closed') -%}
    case
        when {{ flag }} is not null then {{ flag }}
        when not {{ is_paid }} then 'unpaid'
        when {{ void_date }} is not null and {{ is_closed }} then 'closed'
        when {{ void_date }} is not null then 'refunded'
    end
{%- endmacro %}

{#- What an order may be that no member ever bought; of several flags the first is told. -#}
{% macro uncounted_flags() -%}
    {{ return(['test', 'employee', 'brushing', 'wholesale', 'exchange']) }}
{%- endmacro %}

{#- Place of a flag among uncounted_flags(). -#}
{% macro flag_rank(flag) -%}
    case {{ flag }}
        {%- for known in uncounted_flags() %}
        when '{{ known }}' then {{ loop.index }}
        {%- endfor %}
    end
{%- endmacro %}

{#- Whom messages about an order go to: the payer. The receiver only where nobody gives the order
    away: who unpacks a present is not to learn of it, or of its price, from the shop. -#}
{% macro service_contact_ref(is_gift='is_gift', payer='payer_contact_ref', receiver='receiver_contact_ref') -%}
    coalesce({{ payer }}, case when not {{ is_gift }} then {{ receiver }} end)
{%- endmacro %}

{#- Flags of seeds/order_flags.csv: kind of subject, its key, and the first business date. -#}
{% macro flags_by_hand() -%}
    select
        flags.subject,
        flags.flag,
        flags.valid_from,
        {{ shop_key('native_id', 'flags') }} as subject_key
    from {{ ref('order_flags') }} as flags
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
