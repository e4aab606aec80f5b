{# Personal data in the normal forms in which ad platforms hash it; null where it cannot be what it should. Texts are
   trimmed. Google and Meta differ in e-mail addresses, the plus of phone numbers and titles of names. #}

{# A text without what a pattern finds. #}
{% macro without(text, pattern) %}{{ adapter.dispatch('without')(text, pattern) }}{% endmacro %}

{# A text with its accents as one character each, where there is one (Unicode's form NFC), in lower case. #}
{% macro composed(text) %}{{ adapter.dispatch('composed')(text) }}{% endmacro %}

{% macro normal_email(text) -%}
case when {{ matches_pattern(text, "'^[^@]+@[^@]+$'") }} then {{ lower_case(text) }} end
{%- endmacro %}

{# Of an address in its normal form: without white space; at Gmail without dots and suffix of the name too. #}
{% macro google_email(email) -%}
{% set compact = without(email, "'[\\p{Z}\\p{Cc}\\p{Cf}]'") %}
case
    when split_part({{ compact }}, '@', 2) in ('gmail.com', 'googlemail.com')
        then
            nullif(replace(split_part(split_part({{ compact }}, '@', 1), '+', 1), '.', ''), '')
            || '@' || split_part({{ compact }}, '@', 2)
    else {{ compact }}
end
{%- endmacro %}

{# Of the digits of a phone number: country code first, without a plus and zeros before it. A number that comes without
   one is of the country whose code and trunk prefix these are. #}
{% macro normal_phone(digits, has_country_code, calling_code, trunk_prefix) -%}
{% set national -%}
{{ calling_code }} || case
    when {{ trunk_prefix }} = '' or not {{ begins_with(digits, trunk_prefix) }} then {{ digits }}
    -- A prefix other than zero may be how a number begins; with it the number is longer.
    when {{ begins_with(trunk_prefix, "'0'") }} or length({{ digits }}) > 10
        then substr({{ digits }}, length({{ trunk_prefix }}) + 1)
    else {{ digits }}
end
{%- endset %}
{% set number = "case when " ~ has_country_code ~ " then trim(leading '0' from " ~ digits ~ ") else " ~ national ~ " end" %}
case when length({{ number }}) between 7 and 15 then {{ number }} end
{%- endmacro %}

{# Lower case, without punctuation; words stay apart. #}
{% macro normal_name(text) -%}
nullif(trim({{ one_space(without(composed(text), "'[\\p{P}\\p{S}\\p{Cc}\\p{Cf}]'")) }}), '')
{%- endmacro %}

{# A text with one blank for each run of white space. #}
{% macro one_space(text) %}{{ adapter.dispatch('one_space')(text) }}{% endmacro %}

{# A normal name without its first or last word where that is a title and not all of it. #}
{% macro without_title_before(name) -%}
case
    when contains({{ name }}, ' ') and split_part({{ name }}, ' ', 1) in (
        select name_titles.title from {{ ref('name_titles') }} as name_titles where name_titles.place = 'before'
    )
        then substr({{ name }}, length(split_part({{ name }}, ' ', 1)) + 2)
    else {{ name }}
end
{%- endmacro %}

{% macro without_title_after(name) -%}
case
    when contains({{ name }}, ' ') and split_part({{ name }}, ' ', -1) in (
        select name_titles.title from {{ ref('name_titles') }} as name_titles where name_titles.place = 'after'
    )
        then left({{ name }}, length({{ name }}) - length(split_part({{ name }}, ' ', -1)) - 1)
    else {{ name }}
end
{%- endmacro %}

{# Lower case, letters and their accents only. #}
{% macro letters_of(text) %}nullif({{ without(composed(text), "'[^\\p{L}\\p{M}]'") }}, ''){% endmacro %}

{# Lower case, letters and digits only; of a ZIP code with its extension the first five. #}
{% macro normal_postal_code(text) -%}
case
    when {{ matches_pattern(text, "'^[0-9]{5}-[0-9]{4}$'") }} then left({{ text }}, 5)
    else nullif({{ without(composed(text), "'[^\\p{L}\\p{M}\\p{N}]'") }}, '')
end
{%- endmacro %}

{# ISO 3166 code in lower case. #}
{% macro normal_country(text) -%}
case
    when {{ lower_case(text) }} = 'uk' then 'gb'
    when {{ matches_pattern(text, "'^[a-zA-Z]{2}$'") }} then {{ lower_case(text) }}
end
{%- endmacro %}

{% macro normal_gender(text) -%}
case
    when {{ lower_case(text) }} in ('f', 'female', 'woman') then 'f'
    when {{ lower_case(text) }} in ('m', 'male', 'man') then 'm'
end
{%- endmacro %}

{# YYYYMMDD of a date that begins with its year: others could be read in two ways. #}
{% macro normal_birthday(text) -%}
{% set day = part_matching(text, "'^((19|20)[0-9]{2}[-/.]?[01][0-9][-/.]?[0-3][0-9])([^0-9].*)?$'", 1) %}
nullif({{ without(day, "'[^0-9]'") }}, '')
{%- endmacro %}

{# Two hashes as forwardings show them: one, or both as a JSON array. #}
{% macro one_or_both(first, second) -%}
case
    when {{ first }} <> {{ second }} then '["' || {{ first }} || '","' || {{ second }} || '"]'
    else coalesce({{ first }}, {{ second }})
end
{%- endmacro %}
