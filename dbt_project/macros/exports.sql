{#- An amount of the order that an export repeats on each of the order's rows: taken once. Where the
    rows differ, it was each row's own after all, and they add up. ``over`` makes it a window. -#}
{% macro told_once(amount, over='') -%}
    case
        when min({{ amount }}){{ over }} = max({{ amount }}){{ over }}
            then min({{ amount }}){{ over }}
        else sum({{ amount }}){{ over }}
    end
{%- endmacro %}

{#- What was paid before anything was given back. Taobao's reports lower the payment by what was
    refunded, so that an order refunded in full shows nothing paid; before the payment they show
    nothing either. ``total`` is what was to be paid. -#}
{% macro paid_before_refunds(paid, refunded, total, paid_at, status) -%}
    case
        when {{ paid_at }} is null then coalesce({{ total }}, {{ paid }})
        when {{ paid }} + coalesce({{ refunded }}, 0) = {{ total }} then {{ total }}
        when {{ status }} = '交易关闭' and {{ paid }} = 0
            then coalesce(nullif({{ refunded }}, 0), {{ total }}, {{ paid }})
        else {{ paid }}
    end
{%- endmacro %}

{#- List price of what a row bought, of its price per piece and its pieces. -#}
{% macro listed_amount(price='price', quantity='quantity') -%}
    cast({{ parse_amount(price) }} * {{ parse_quantity(quantity) }} as decimal(18, 2))
{%- endmacro %}

{#- The postage that was paid. Discounts that exceed the goods have paid for postage: no line has
    been paid less than nothing. -#}
{% macro paid_postage(shipping, paid) -%}
    least(coalesce({{ shipping }}, 0), {{ paid }})
{%- endmacro %}

{#- UTC timestamp of the midnight (GMT+8) of the day that a Pinduoduo order number begins with. -#}
{% macro day_of_order_number(order_id) -%}
    {{ to_utc(
        "try_cast('20' || substr(" ~ order_id ~ ", 1, 2) || '-' || substr(" ~ order_id
        ~ ", 3, 2) || '-' || substr(" ~ order_id ~ ", 5, 2) as timestamp)",
        "'Asia/Shanghai'"
    ) }}
{%- endmacro %}
