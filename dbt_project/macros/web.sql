{# Host of an address in lower case, without user, port, a final dot and a leading `www.`; null for a relative one. #}
{% macro url_host(url) -%}
{% set authority = part_matching(url, "'^(?:[a-zA-Z][a-zA-Z0-9+.-]*:)?//(?:[^/?#]*@)?([^/?#]*)'", 1) -%}
nullif({{ without_once(without_once(lower_case(authority), "'[.]?(:[0-9]*)?$'"), "'^www[.]'") }}, '')
{%- endmacro %}

{# What an address lies on, as hosts are told apart: its host, of an app `android-app://` and the name. #}
{% macro url_origin(url) -%}
case when {{ matches_pattern(url, "'^(?i:android-app):'") }} then 'android-app://' else '' end || {{ url_host(url) }}
{%- endmacro %}

{# Path of an address, without query and fragment; `/` for a bare host. #}
{% macro url_path(url) -%}
case
    when {{ url }} is not null
        then coalesce(nullif({{ part_matching(url, "'^(?:[a-zA-Z][a-zA-Z0-9+.-]*:)?(?://[^/?#]*)?([^?#]*)'", 1) }}, ''), '/')
end
{%- endmacro %}

{# A path in the one form in which paths are compared: percent-decoded, without a slash at its end but for `/`. #}
{% macro normal_path(path) -%}
coalesce(nullif(trim(trailing '/' from {{ decoded_path(path) }}), ''), left({{ path }}, 1))
{%- endmacro %}

{# A path, percent-decoded as UTF-8. Escapes stay, in upper case, of what would be read otherwise or not be seen:
   `/ ? # % \` and control characters. So do all of a path that has one which is none, or bytes that are no UTF-8. #}
{% macro decoded_path(path) %}{{ adapter.dispatch('decoded_path')(path) }}{% endmacro %}

{# Decoded value of a query parameter of an address, the last one of that name; null when absent or empty. `name` is
   SQL: quote a literal. A pattern made of a column would be compiled for each row, so the name is in none. #}
{% macro url_parameter(url, name) -%}
case
    -- Most addresses lack it.
    when contains({{ url }}, {{ name }} || '=')
        then nullif({{ url_decoded("split_part(split_part('&' || " ~ part_matching(url, "'^[^#?]*[?]([^#]*)'", 1) ~ ", '&' || " ~ name ~ " || '=', -1), '&', 1)") }}, '')
end
{%- endmacro %}

{# An address without its fragment, and without what its query says but UTM. #}
{% macro cut_query(url) %}{{ adapter.dispatch('cut_query')(url) }}{% endmacro %}

{# Percent-decoded text; what is no valid encoding stays as it is. U+0000 is no part of a text: no engine but one takes it. #}
{% macro url_decoded(text) %}{{ adapter.dispatch('url_decoded')(text) }}{% endmacro %}

{# Text of one top-level key of a JSON object; null when absent, or when the JSON is no object. #}
{% macro json_value(json, key) %}{{ adapter.dispatch('json_value')(json, key) }}{% endmacro %}

{# As `json_value`, of an array there its first element. #}
{% macro json_first(json, key) %}{{ adapter.dispatch('json_first')(json, key) }}{% endmacro %}

{# Id under one top-level key of a JSON object: its text, or a number without fraction as its integer; else null. `key` is
   plain text. #}
{% macro json_id(json, key) %}{{ adapter.dispatch('json_id')(json, key) }}{% endmacro %}

{# Number that a text is, also with an exponent and blanks around; null when it is none, or not from 0 to 10¹⁴. #}
{% macro decimal_of(text) -%}
case
    when
        {{ matches_pattern(text, "'^ *[+]?([0-9]{1,14}([.][0-9]{0,30})?|[.][0-9]{1,30})([eE][+-]?[0-9]{1,2})? *$'") }}
        and try_cast({{ text }} as decimal(38, 18)) < 100000000000000
        then try_cast({{ text }} as decimal(38, 18))
end
{%- endmacro %}

{# Whether a text is JSON; null for none. #}
{% macro is_json(text) %}{{ adapter.dispatch('is_json')(text) }}{% endmacro %}

{# A row for each element, as JSON, of the array under one top-level key of a JSON object. `key` is plain text. #}
{% macro json_elements(json, key) %}{{ adapter.dispatch('json_elements')(json, key) }}{% endmacro %}

{# A row for each text of a JSON array of texts. #}
{% macro json_texts(json) %}{{ adapter.dispatch('json_texts')(json) }}{% endmacro %}

{# JSON array of the parts of a text, which bars separate. #}
{% macro json_array_of_parts(text) %}{{ adapter.dispatch('json_array_of_parts')(text) }}{% endmacro %}

{# What a piece of JSON says, as text: a text without its quotes. #}
{% macro json_text(json) %}{{ adapter.dispatch('json_text')(json) }}{% endmacro %}

{# What stands under one top-level key of a JSON object, as JSON; null when absent. #}
{% macro json_part(json, key) %}{{ adapter.dispatch('json_part')(json, key) }}{% endmacro %}

{# A text as JSON. #}
{% macro json_quoted(text) %}{{ adapter.dispatch('json_quoted')(text) }}{% endmacro %}

{# JSON object of the rows of a group: by a key of plain letters a value, which is JSON. Null without any. #}
{% macro json_object_of_rows(key, value, condition) -%}
'{' || {{ joined_text("case when " ~ condition ~ " then '\"' || " ~ key ~ " || '\":' || " ~ value ~ " end", "','", key) }} || '}'
{%- endmacro %}

{# JSON array of texts, without those that are null; null without any. #}
{% macro json_array_with(texts) -%}
{% set members = [] -%}
{% for text in texts %}{% do members.append(json_quoted(text)) %}{% endfor -%}
nullif('[' || {{ joined_by_commas(members | join(', ')) }} || ']', '[]')
{%- endmacro %}

{# JSON object of plain texts by name, without those that are null; null without any. #}
{% macro json_object_with(texts) -%}
{% set members = [] -%}
{% for name, text in texts.items() %}{% do members.append("'\"" ~ name ~ "\":\"' || " ~ text ~ " || '\"'") %}{% endfor -%}
nullif('{' || {{ joined_by_commas(members | join(', ')) }} || '}', '{}')
{%- endmacro %}

{# Texts of one row, which a list of SQL names, joined; without those that are null. #}
{% macro joined_by_commas(texts) %}{{ adapter.dispatch('joined_by_commas')(texts) }}{% endmacro %}

{# Text of one item of a JSON array, counted from 0; null beyond its end. #}
{% macro json_item(json, index) %}{{ adapter.dispatch('json_item')(json, index) }}{% endmacro %}

{# A row for each of the first top-level keys of a JSON object; none when the JSON is no object. Stands alone in a select. #}
{% macro each_json_key(json, at_most) %}{{ adapter.dispatch('each_json_key')(json, at_most) }}{% endmacro %}

{# How many top-level keys a JSON object has. #}
{% macro json_key_count(json) %}{{ adapter.dispatch('json_key_count')(json) }}{% endmacro %}

{# Whether text matches a regular expression (the common subset: no look-around, no back-references). #}
{% macro matches_pattern(text, pattern) %}{{ adapter.dispatch('matches_pattern')(text, pattern) }}{% endmacro %}
