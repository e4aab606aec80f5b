{# Minor units (whole cents) of a decimal text in major units, of which a unit has at most 10000; half a unit rounds away
   from zero. #}
{% macro minor_units(major_text, minor_per_major) %}{{ adapter.dispatch('minor_units')(major_text, minor_per_major) }}{% endmacro %}

{# Whether an amount can be minor units of any currency: a plain decimal that fits 64 bits, whole in minor units. #}
{% macro is_amount(amount_text, amount_unit) -%}
{{ matches_pattern(amount_text, "'[0-9]'") }} and case {{ amount_unit }}
    when 'minor' then {{ matches_pattern(amount_text, "'^[+-]?0*[0-9]{0,18}([.]0*)?$'") }}
    when 'major' then {{ matches_pattern(amount_text, "'^[+-]?0*[0-9]{0,14}([.][0-9]*)?$'") }}
    else false
end
{%- endmacro %}

{# Floor of total * weight / weight_sum in exact integers, wide enough for money times 10⁹. Nothing is below 0. #}
{% macro quota(total, weight, weight_sum, type='bigint') %}{{ adapter.dispatch('quota')(total, weight, weight_sum, type) }}{% endmacro %}

{# What the floor of `quota` left over, in units of 1 / weight_sum: the largest remainders get one more. #}
{% macro quota_remainder(total, weight, weight_sum) %}{{ adapter.dispatch('quota_remainder')(total, weight, weight_sum) }}{% endmacro %}

{# A share of an amount that is not below 0, in whole minor units; a half goes to the even one. #}
{% macro share_half_even(amount_minor, share, whole) -%}
{% set floor, rest = quota(amount_minor, share, whole), quota_remainder(amount_minor, share, whole) %}
{{ floor }} + case
    when 2 * {{ rest }} > {{ whole }} then 1
    when 2 * {{ rest }} = {{ whole }} then {{ quota_remainder(floor, 1, 2) }}
    else 0
end
{%- endmacro %}

{# Minor units of another currency at a rate of numerator / denominator; half a unit rounds away from zero. #}
{% macro converted(amount_minor, numerator, denominator) %}{{ adapter.dispatch('converted')(amount_minor, numerator, denominator) }}{% endmacro %}

{# Whether a row of `int_exchange_rates` has the rate of a currency on a day. #}
{% macro is_rate_of(rates, currency, reporting_currency, day) -%}
{{ rates }}.currency = {{ currency }}
and {{ rates }}.reporting_currency = {{ reporting_currency }}
and {{ rates }}.valid_from <= {{ day }}
and ({{ rates }}.valid_until is null or {{ day }} < {{ rates }}.valid_until)
{%- endmacro %}

{# Minor units of the reporting currency at a row of `int_exchange_rates`; null where no rate is known. #}
{% macro reporting_minor(amount_minor, currency, reporting_currency, rates) -%}
case
    when {{ currency }} = {{ reporting_currency }} then {{ amount_minor }}
    else {{ converted(amount_minor, rates ~ '.numerator', rates ~ '.denominator') }}
end
{%- endmacro %}

{# Sum of amounts, each of which fits 64 bits; all of them together need not. #}
{% macro sum_exact(minor) %}{{ adapter.dispatch('sum_exact')(minor) }}{% endmacro %}

{# Sum of amounts in the reporting currency, beside that of the amounts themselves; null where none could be converted. #}
{% macro reporting_sum(reporting_minor, amount_minor) -%}
cast(coalesce({{ sum_exact(reporting_minor) }}, case when {{ sum_exact(amount_minor) }} = 0 then 0 end) as decimal(38, 0))
{%- endmacro %}

{# Decimal of a count of 10⁻⁹. #}
{% macro of_nano(nano) -%}
cast(cast({{ nano }} as decimal(28, 0)) * cast(0.000000001 as decimal(9, 9)) as decimal(28, 9))
{%- endmacro %}

{# Decimal of a count of 10⁻¹². #}
{% macro of_pico(pico) -%}
cast(cast({{ pico }} as decimal(20, 0)) * cast(0.000000000001 as decimal(12, 12)) as decimal(20, 12))
{%- endmacro %}

{# numerator / denominator of whole numbers, neither below 0, to four decimals, a half rounded up; null when it divides by 0. #}
{% macro ratio(numerator, denominator) %}{{ adapter.dispatch('ratio')(numerator, denominator) }}{% endmacro %}
