{# Texts of a group, joined in an order. All three are SQL: quote a literal. #}
{% macro joined_text(column, separator, order) %}{{ adapter.dispatch('joined_text')(column, separator, order) }}{% endmacro %}

{# The different values of a group, sorted, as one text. #}
{% macro joined_distinct(column, separator) %}{{ adapter.dispatch('joined_distinct')(column, separator) }}{% endmacro %}

{# Whether a text begins with another. #}
{% macro begins_with(text, beginning) %}{{ adapter.dispatch('begins_with')(text, beginning) }}{% endmacro %}

{# Lower case, each letter by itself, wherever it stands in a word. #}
{% macro lower_case(text) %}{{ adapter.dispatch('lower_case')(text) }}{% endmacro %}

{# A group of the first thing in a text that a pattern finds, counted from 1; 0 is all of it. Empty where it finds none. #}
{% macro part_matching(text, pattern, group) %}{{ adapter.dispatch('part_matching')(text, pattern, group) }}{% endmacro %}

{# A text without the one thing that a pattern finds, which it ties to an end of the text. #}
{% macro without_once(text, pattern) %}{{ adapter.dispatch('without_once')(text, pattern) }}{% endmacro %}

{# What makes an engine work out a CTE by itself before it is read. #}
{% macro materialized() %}{{ adapter.dispatch('materialized')() }}{% endmacro %}

{# A text without white space and control characters, visible or not, at its ends. #}
{% macro trimmed(text) %}{{ adapter.dispatch('trimmed')(text) }}{% endmacro %}

{# A text in lower case with a blank in the place of each character that is no letter from a to z. #}
{% macro letters_apart(text) %}{{ adapter.dispatch('letters_apart')(text) }}{% endmacro %}

{# A part of an origin as it is compared: null where it is empty, or a word that says none. #}
{% macro origin_text(text, part) -%}
{% set said = trimmed(lower_case(text) if part in ('source', 'medium') else text) -%}
case
    when {{ lower_case(said) }} not in (select no_source_words.word from {{ ref('no_source_words') }} as no_source_words)
        then nullif({{ said }}, '')
end
{%- endmacro %}

{# How long a text is in UTF-8, in bytes. #}
{% macro text_bytes(text) %}{{ adapter.dispatch('text_bytes')(text) }}{% endmacro %}

{# A text, null where it is longer than so many bytes. #}
{% macro within_bytes(text, bytes) %}case when {{ text_bytes(text) }} <= {{ bytes }} then {{ text }} end{% endmacro %}

{# Whether any text is longer than its bound; `columns` are lists by the variable that is the bound. #}
{% macro is_any_beyond(columns) -%}
{% for bound, names in columns.items() -%}
{% set longest = namespace(bytes=[]) %}
{%- for name in names %}{% do longest.bytes.append(text_bytes(name)) %}{% endfor -%}
coalesce(greatest({{ longest.bytes | join(', ') }}, 0) > {{ var(bound) }}, false){{ ' or ' if not loop.last }}
{%- endfor %}
{%- endmacro %}

{# A text, cut after its last whole character within so many bytes. #}
{% macro cut_to_bytes(text, bytes) %}{{ adapter.dispatch('cut_to_bytes')(text, bytes) }}{% endmacro %}
