{#- Value of a row of seed value_parameters. -#}
{% macro value_parameter(name, data_type) -%}
    (
        select cast(parameters.value as {{ data_type }})
        from {{ ref('value_parameters') }} as parameters
        where parameters.name = '{{ name }}'
    )
{%- endmacro %}

{#- Days ahead that the scores look: the columns expected_orders_30d, _90d and _365d. -#}
{% macro outlook_days() -%}
    {{ return([30, 90, 365]) }}
{%- endmacro %}

{#- Days that no_order_90d_probability speaks of, and therefore those that are held back in the test
    of a model (F-RF13): a test on other days would say nothing about what is published. -#}
{% macro tested_days() -%}
    {{ return(90) }}
{%- endmacro %}

{#- Whether a member is one of those that a model of ``member_count`` members is fitted on (definitions
    3.5): all of them up to fit_max_members, of more a share drawn by the key, the same every time. -#}
{% macro is_in_fit_sample(member_key, member_count) -%}
    (
        {{ member_count }} <= {{ value_parameter('fit_max_members', 'bigint') }}
        or {{ holdout_bucket("'fit'", 'cast(' ~ member_key ~ ' as varchar)') }} * {{ member_count }}
        < {{ value_parameter('fit_max_members', 'bigint') }} * 10000
    )
{%- endmacro %}

{#- BG/NBD (Fader, Hardie and Lee 2005): probability that a member with x repeat order days, the
    last ``recency`` days after the first, has not left for good. What members of its kind share is
    computed once for all of them: ``kind`` is an alias with columns alpha_days, rate_shape (r + x),
    log_age (ln(alpha + T)) and odds_factor (a / (b + x - 1), 0 for x = 0). -#}
{% macro alive_probability(recency, kind) -%}
    1e0 / nullif(
        1e0 + {{ kind }}.odds_factor * exp(
            {{ kind }}.rate_shape * ({{ kind }}.log_age - ln({{ kind }}.alpha_days + {{ recency }}))
        ), 0
    )
{%- endmacro %}

{#- Probability that a member that is still there orders within ``days``: its rate is
    Gamma(r + x, alpha + T), so its wait is Pareto. Columns as above. -#}
{% macro order_probability(days, kind) -%}
    1e0 - exp(
        {{ kind }}.rate_shape
        * ({{ kind }}.log_age - ln({{ kind }}.alpha_days + {{ kind }}.age_days + {{ days }}))
    )
{%- endmacro %}

{#- The Gauss hypergeometric series behind the expected number of orders, by Horner's rule: the sum
    of ``terms`` terms from number ``k`` on, relative to that term. The factor from one term to the
    next is (A + k) (B + k) z / ((C + k) (k + 1)); as C > -1, its divisor is never 0. -#}
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
    (a_term + ({{ k }})) * (b_term + ({{ k }})) / ((c_term + ({{ k }})) * ({{ k }} + 1)) * z
{%- endmacro %}

{#- Bucket of repeat order days, the last one open. -#}
{% macro frequency_bucket(x) -%}
    least({{ x }}, {{ value_parameter('frequency_bucket_max', 'bigint') }})
{%- endmacro %}

{#- True while more terms are needed. The rest of the series is at most the next term over 1 less the
    larger of z and the next factor, for the factors tend to z from one side. What leaves the range of
    a double, or does not end, is given up: is_series_summed() tells it apart. -#}
{% macro is_series_unfinished() -%}
    (
        abs(total) < 1e300
        and abs(term) < 1e300
        and k < 100000
        and {{ is_remainder_large() }}
    )
{%- endmacro %}

{#- True where the sum stands to the stated precision. -#}
{% macro is_series_summed() -%}
    (abs(total) < 1e300 and abs(term) < 1e300 and not {{ is_remainder_large() }})
{%- endmacro %}

{% macro is_remainder_large() -%}
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
