{#- Value of a row of seed value_parameters. -#}
{% macro value_parameter(name, data_type) -%}
    (
        select cast(parameters.value as {{ data_type }})
        from {{ ref('value_parameters') }} as parameters
        where parameters.name = '{{ name }}'
    )
{%- endmacro %}

{#- BG/NBD (Fader, Hardie and Lee 2005): probability that a member with ``x`` repeat order days, the
    last ``recency`` days after the first and now ``age`` days after it, has not left for good.
    ``model`` is an alias with columns r, alpha_days, a and b. -#}
{% macro alive_probability(x, recency, age, model) -%}
    case
        when {{ x }} = 0 then 1e0
        else 1e0 / nullif(
            1e0 + {{ model }}.a / nullif({{ model }}.b + {{ x }} - 1, 0) * exp(
                ({{ model }}.r + {{ x }})
                * (ln({{ model }}.alpha_days + {{ age }}) - ln({{ model }}.alpha_days + {{ recency }}))
            ), 0
        )
    end
{%- endmacro %}

{#- Probability that no order follows within ``days``: gone already, or still there and silent. Given
    that the member is there, its rate is Gamma(r + x, alpha + age) and the wait for the next order
    Pareto. -#}
{% macro no_order_probability(alive, x, age, days, model) -%}
    1e0 - ({{ alive }}) * (
        1e0 - exp(
            -({{ model }}.r + {{ x }})
            * (ln({{ model }}.alpha_days + {{ age }} + {{ days }}) - ln({{ model }}.alpha_days + {{ age }}))
        )
    )
{%- endmacro %}

{#- Gamma-Gamma (Fader and Hardie 2013): expected value of an order day, given ``x`` repeat order
    days that brought ``amount`` in all; the population's mean where x = 0. -#}
{% macro expected_order_value(x, amount, model) -%}
    {{ model }}.spend_p * ({{ model }}.spend_v + {{ amount }})
    / nullif({{ model }}.spend_p * {{ x }} + {{ model }}.spend_q - 1, 0)
{%- endmacro %}

{#- The Gauss hypergeometric series behind the expected number of orders, by Horner's rule: the sum
    of ``terms`` terms from number ``k`` on, relative to that term. The factor from one term to the
    next is (A + k) (B + k) z / ((C + k) (k + 1)). -#}
{% macro series_sum(k, terms) -%}
    {%- for step in range(terms - 1) -%}
        (1e0 + {{ series_factor(k ~ ' + ' ~ step) }} *
    {%- endfor %} 1e0 {{ ')' * (terms - 1) }}
{%- endmacro %}

{#- The term that follows ``terms`` terms after number ``k``, relative to that term. -#}
{% macro series_next(k, terms) -%}
    {%- for step in range(terms) -%}
        {{ series_factor(k ~ ' + ' ~ step) }}{{ ' * ' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}

{% macro series_factor(k) -%}
    (a_term + {{ k }}) * (b_term + {{ k }}) / nullif((c_term + {{ k }}) * ({{ k }} + 1), 0) * z
{%- endmacro %}

{#- Bucket of repeat order days, the last one open. -#}
{% macro frequency_bucket(x) -%}
    least({{ x }}, {{ value_parameter('frequency_bucket_max', 'bigint') }})
{%- endmacro %}

{#- True while more terms are needed. The rest of the series is at most the next term over 1 less the
    larger of z and the next factor, for the factors tend to z from one side. -#}
{% macro is_series_unfinished() -%}
    (
        abs({{ series_factor('k') }}) >= 1e0
        or power(1e0 - z, b_term) * abs(term)
        > 1e-10 * (1e0 - greatest(z, abs({{ series_factor('k') }})))
    )
{%- endmacro %}

{#- A subquery with column ``step``: 1, 2, ... up to ``count``. -#}
{% macro numbers_to(count) -%}
    {{ adapter.dispatch('numbers_to', 'regulars')(count) }}
{%- endmacro %}

{% macro default__numbers_to(count) -%}
    select unnest(range(1, {{ count }} + 1)) as step
{%- endmacro %}
