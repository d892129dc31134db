{#- The business date of the night; the only present that a model knows. -#}
{% macro as_of_date() -%}
    (select run.as_of_date from {{ source('ops', 'run') }} as run)
{%- endmacro %}

{#- UTC timestamp of a wall clock (timestamp) in an IANA zone. An unknown zone is an error, an hour
    skipped in spring counts as an hour later, an hour repeated in autumn as its second passing. -#}
{% macro to_utc(local_at, zone) -%}
    {{ adapter.dispatch('to_utc', 'regulars')(local_at, zone) }}
{%- endmacro %}

{% macro default__to_utc(local_at, zone) -%}
    {{ by_zone(
        zone,
        local_at ~ " - interval '{hours} hours'",
        "timezone('UTC', timezone({zone}, " ~ local_at ~ "))",
    ) }}
{%- endmacro %}

{#- An expression for the zones of var fixed_offset_hours, whose clocks have not changed within any
    shop's lifetime, and one for all others: the engine looks a zone up for every row, which costs
    thirty times what the arithmetic does. They name {hours} and {zone}. -#}
{% macro by_zone(zone, with_fixed_offset, with_lookup) -%}
    case {{ zone }}
        {%- for fixed_zone, hours in var('fixed_offset_hours').items() %}
        when '{{ fixed_zone }}' then {{ with_fixed_offset.replace('{hours}', hours | string) }}
        {%- endfor %}
        else {{ with_lookup.replace('{zone}', zone) }}
    end
{%- endmacro %}

{#- UTC timestamp of a text: with an offset it says itself when it was, without one it is the wall
    clock of ``zone``. Anything else is null: landing has quarantined it already. -#}
{% macro parse_instant(text, zone) -%}
    {{ adapter.dispatch('parse_instant', 'regulars')(text, zone) }}
{%- endmacro %}

{% macro default__parse_instant(text, zone) -%}
    case
        when regexp_matches({{ text }}, ':[0-9.]+ ?(Z|[+-][0-9]{2}(:?[0-9]{2})?)$')
            then timezone('UTC', try_cast({{ text }} as timestamptz))
        else {{ to_utc('try_cast(' ~ text ~ ' as timestamp)', zone) }}
    end
{%- endmacro %}

{#- Shop-local calendar day of a UTC timestamp. -#}
{% macro to_local_date(instant, zone) -%}
    cast({{ to_local_at(instant, zone) }} as date)
{%- endmacro %}

{#- Wall clock of a UTC timestamp in ``zone``. -#}
{% macro to_local_at(instant, zone) -%}
    {{ adapter.dispatch('to_local_at', 'regulars')(instant, zone) }}
{%- endmacro %}

{% macro default__to_local_at(instant, zone) -%}
    {{ by_zone(
        zone,
        instant ~ " + interval '{hours} hours'",
        "timezone({zone}, timezone('UTC', " ~ instant ~ "))",
    ) }}
{%- endmacro %}

{#- Whole days from one date to another (0 on the same day, negative backwards). -#}
{% macro days_between(first_date, last_date) -%}
    {{ adapter.dispatch('days_between', 'regulars')(first_date, last_date) }}
{%- endmacro %}

{% macro default__days_between(first_date, last_date) -%}
    (cast({{ last_date }} as date) - cast({{ first_date }} as date))
{%- endmacro %}

{#- Date so many days later. -#}
{% macro add_days(day, days) -%}
    {{ adapter.dispatch('add_days', 'regulars')(day, days) }}
{%- endmacro %}

{% macro default__add_days(day, days) -%}
    (cast({{ day }} as date) + cast({{ days }} as integer))
{%- endmacro %}

{#- Number of a date's month since year 0: differences are whole calendar months. -#}
{% macro month_number(day) -%}
    (year({{ day }}) * 12 + month({{ day }}))
{%- endmacro %}

{#- UTC timestamp moved by so many hours. -#}
{% macro add_hours(instant, hours) -%}
    {{ adapter.dispatch('add_hours', 'regulars')(instant, hours) }}
{%- endmacro %}

{% macro default__add_hours(instant, hours) -%}
    ({{ instant }} + to_hours(cast({{ hours }} as integer)))
{%- endmacro %}

{#- The instant if it lies before ``visible_until``, else null: law 1, as of a date. -#}
{% macro as_of(instant, visible_until='visible_until') -%}
    case when {{ instant }} < {{ visible_until }} then {{ instant }} end
{%- endmacro %}

{#- True when an instant became visible (or, going back, invisible) since the last consumed night. -#}
{% macro became_visible(instant, shops='run_shops') -%}
    (
        {{ instant }} >= least({{ shops }}.previous_visible_until, {{ shops }}.visible_until)
        and {{ instant }} < greatest({{ shops }}.previous_visible_until, {{ shops }}.visible_until)
    )
{%- endmacro %}
