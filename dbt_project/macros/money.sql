{# Minor units (whole cents) of a decimal text in major units; half a unit rounds away from zero. #}
{% macro minor_units(major_text, minor_per_major) -%}
cast(round(cast({{ major_text }} as decimal(38, 18)) * {{ minor_per_major }}, 0) as bigint)
{%- endmacro %}

{# Floor of total * weight / weight_sum in exact integers, wide enough for money times 10⁹. #}
{% macro quota(total, weight, weight_sum) %}{{ adapter.dispatch('quota')(total, weight, weight_sum) }}{% endmacro %}

{% macro duckdb__quota(total, weight, weight_sum) -%}
cast((cast({{ total }} as hugeint) * {{ weight }}) // {{ weight_sum }} as bigint)
{%- endmacro %}

{# What the floor of `quota` left over, in units of 1 / weight_sum: the largest remainders get one more. #}
{% macro quota_remainder(total, weight, weight_sum) %}{{ adapter.dispatch('quota_remainder')(total, weight, weight_sum) }}{% endmacro %}

{% macro duckdb__quota_remainder(total, weight, weight_sum) -%}
cast((cast({{ total }} as hugeint) * {{ weight }}) % {{ weight_sum }} as bigint)
{%- endmacro %}

{# Minor units of another currency at a rate of numerator / denominator; half a unit rounds away from zero. #}
{% macro converted(amount_minor, numerator, denominator) %}{{ adapter.dispatch('converted')(amount_minor, numerator, denominator) }}{% endmacro %}

{% macro duckdb__converted(amount_minor, numerator, denominator) -%}
cast(
    sign({{ amount_minor }})
    * ((2 * abs(cast({{ amount_minor }} as hugeint)) * {{ numerator }} + {{ denominator }}) // (2 * cast({{ denominator }} as hugeint)))
    as bigint
)
{%- endmacro %}

{# Minor units of the reporting currency at a row of `int_exchange_rates`; null where no rate is known. #}
{% macro reporting_minor(amount_minor, currency, reporting_currency, rates) -%}
case
    when {{ currency }} = {{ reporting_currency }} then {{ amount_minor }}
    else {{ converted(amount_minor, rates ~ '.numerator', rates ~ '.denominator') }}
end
{%- endmacro %}
