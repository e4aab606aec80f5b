{# Host of an address in lower case, without user, port and a leading `www.`; null for a relative one. #}
{% macro url_host(url) -%}
nullif(regexp_replace(lower(regexp_extract({{ url }}, '^(?:[a-zA-Z][a-zA-Z0-9+.-]*:)?//(?:[^/?#@]*@)?([^/?#:]*)', 1)), '^www[.]', ''), '')
{%- endmacro %}

{# Path of an address, without query and fragment; `/` for a bare host. #}
{% macro url_path(url) -%}
case
    when {{ url }} is not null
        then coalesce(nullif(regexp_extract({{ url }}, '^(?:[a-zA-Z][a-zA-Z0-9+.-]*:)?(?://[^/?#]*)?([^?#]*)', 1), ''), '/')
end
{%- endmacro %}

{# Decoded value of a query parameter of an address, the last one of that name; null when absent or empty. `name` is
   SQL: quote a literal. A pattern made of a column would be compiled for each row, so the name is in none. #}
{% macro url_parameter(url, name) -%}
case
    -- Most addresses lack it.
    when contains({{ url }}, {{ name }} || '=')
        then nullif({{ url_decoded("split_part(split_part('&' || regexp_extract(" ~ url ~ ", '^[^#?]*[?]([^#]*)', 1), '&' || " ~ name ~ " || '=', -1), '&', 1)") }}, '')
end
{%- endmacro %}

{# Percent-decoded text; what is no valid encoding stays as it is. U+0000 is no part of a text: no engine but one takes it. #}
{% macro url_decoded(text) %}{{ adapter.dispatch('url_decoded')(text) }}{% endmacro %}

{% macro duckdb__url_decoded(text) -%}
coalesce(replace(try(url_decode(replace({{ text }}, '+', ' '))), chr(0), ''), {{ text }})
{%- endmacro %}

{# Text of one top-level key of a JSON object; null when absent, or when the JSON is no object. #}
{% macro json_value(json, key) %}{{ adapter.dispatch('json_value')(json, key) }}{% endmacro %}

{% macro duckdb__json_value(json, key) -%}
json_extract_string({{ json }}, '/' || replace(replace({{ key }}, '~', '~0'), '/', '~1'))
{%- endmacro %}

{# Whether a text is JSON; null for none. #}
{% macro is_json(text) %}{{ adapter.dispatch('is_json')(text) }}{% endmacro %}

{% macro duckdb__is_json(text) %}json_valid({{ text }}){% endmacro %}

{# A row for each element, as JSON, of the array under one top-level key of a JSON object. `key` is plain text. #}
{% macro json_elements(json, key) %}{{ adapter.dispatch('json_elements')(json, key) }}{% endmacro %}

{% macro duckdb__json_elements(json, key) %}unnest(json_extract({{ json }}, '$.{{ key }}[*]')){% endmacro %}

{# Text of one item of a JSON array, counted from 0; null beyond its end. #}
{% macro json_item(json, index) %}{{ adapter.dispatch('json_item')(json, index) }}{% endmacro %}

{% macro duckdb__json_item(json, index) %}json_extract_string({{ json }}, '/' || cast({{ index }} as varchar)){% endmacro %}

{# A row for each of the first top-level keys of a JSON object; none when the JSON is no object. Stands alone in a select. #}
{% macro each_json_key(json, at_most) %}{{ adapter.dispatch('each_json_key')(json, at_most) }}{% endmacro %}

{% macro duckdb__each_json_key(json, at_most) %}unnest(json_keys({{ json }})[1:{{ at_most }}]){% endmacro %}

{# How many top-level keys a JSON object has. #}
{% macro json_key_count(json) %}{{ adapter.dispatch('json_key_count')(json) }}{% endmacro %}

{% macro duckdb__json_key_count(json) %}len(json_keys({{ json }})){% endmacro %}

{# Whether text matches a regular expression (the common subset: no look-around, no back-references). #}
{% macro matches_pattern(text, pattern) %}{{ adapter.dispatch('matches_pattern')(text, pattern) }}{% endmacro %}

{% macro duckdb__matches_pattern(text, pattern) %}regexp_matches({{ text }}, {{ pattern }}){% endmacro %}
