{# Host of an address in lower case, without user, port, a final dot and a leading `www.`; null for a relative one. #}
{% macro url_host(url) -%}
{% set authority = "regexp_extract(" ~ url ~ ", '^(?:[a-zA-Z][a-zA-Z0-9+.-]*:)?//(?:[^/?#]*@)?([^/?#]*)', 1)" -%}
nullif(regexp_replace(regexp_replace(lower({{ authority }}), '[.]?(:[0-9]*)?$', ''), '^www[.]', ''), '')
{%- endmacro %}

{# What an address lies on, as hosts are told apart: its host, of an app `android-app://` and the name. #}
{% macro url_origin(url) -%}
case when {{ matches_pattern(url, "'^(?i:android-app):'") }} then 'android-app://' else '' end || {{ url_host(url) }}
{%- endmacro %}

{# Path of an address, without query and fragment; `/` for a bare host. #}
{% macro url_path(url) -%}
case
    when {{ url }} is not null
        then coalesce(nullif(regexp_extract({{ url }}, '^(?:[a-zA-Z][a-zA-Z0-9+.-]*:)?(?://[^/?#]*)?([^?#]*)', 1), ''), '/')
end
{%- endmacro %}

{# A path in the one form in which paths are compared: percent-decoded, without a slash at its end but for `/`. #}
{% macro normal_path(path) -%}
coalesce(nullif(trim(trailing '/' from {{ decoded_path(path) }}), ''), left({{ path }}, 1))
{%- endmacro %}

{# A path, percent-decoded as UTF-8. Escapes stay, in upper case, of what would be read otherwise or not be seen:
   `/ ? # % \` and control characters. So do all of a path that has one which is none, or bytes that are no UTF-8. #}
{% macro decoded_path(path) %}{{ adapter.dispatch('decoded_path')(path) }}{% endmacro %}

{% macro duckdb__decoded_path(path) -%}
{% set escaped -%}
array_to_string(
    list_transform(
        string_split({{ path }}, '%'),
        lambda part, place: case
            when place > 1 and {{ matches_pattern('part', "'^[0-9a-fA-F]{2}'") }}
                then upper(left(part, 2)) || substr(part, 3)
            else part
        end
    ),
    '%'
)
{%- endset %}
{% set staying -%}
regexp_replace(
    regexp_replace({{ escaped }}, '%(2[35F]|3F|5C|[01][0-9A-F]|7F)', '%25\1', 'g'),
    '%C2%([89][0-9A-F])', '%25C2%25\1', 'g'
)
{%- endset %}
case
    -- Most have no escape.
    when not contains({{ path }}, '%') then {{ path }}
    else coalesce(
        case when not {{ matches_pattern(escaped, "'%[0-9A-F]?([^0-9A-F]|$)'") }} then try(url_decode({{ staying }})) end,
        {{ escaped }}
    )
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

{# An address without its fragment, and without what its query says but UTM. #}
{% macro cut_query(url) %}{{ adapter.dispatch('cut_query')(url) }}{% endmacro %}

{% macro duckdb__cut_query(url) -%}
{% set address = "split_part(" ~ url ~ ", '#', 1)" %}
split_part({{ address }}, '?', 1) || coalesce('?' || nullif(array_to_string(
    list_filter(
        string_split(substr({{ address }}, length(split_part({{ address }}, '?', 1)) + 2), '&'),
        lambda pair: starts_with(pair, 'utm_')
    ),
    '&'
), ''), '')
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

{# As `json_value`, of an array there its first element. #}
{% macro json_first(json, key) %}{{ adapter.dispatch('json_first')(json, key) }}{% endmacro %}

{% macro duckdb__json_first(json, key) -%}
{% set pointer -%}
'/' || replace(replace({{ key }}, '~', '~0'), '/', '~1')
{%- endset %}
case
    when json_type({{ json }}, {{ pointer }}) = 'ARRAY' then json_extract_string({{ json }}, {{ pointer }} || '/0')
    else json_extract_string({{ json }}, {{ pointer }})
end
{%- endmacro %}

{# Id under one top-level key of a JSON object: its text, or a number without fraction as its integer; else null. `key` is
   plain text. #}
{% macro json_id(json, key) %}{{ adapter.dispatch('json_id')(json, key) }}{% endmacro %}

{% macro duckdb__json_id(json, key) -%}
{% set value = json_value(json, "'" ~ key ~ "'") -%}
case
    when json_type({{ json }}, '/{{ key }}') = 'VARCHAR' then nullif({{ value }}, '')
    when json_type({{ json }}, '/{{ key }}') in ('UBIGINT', 'BIGINT', 'DOUBLE') and {{ matches_pattern(value, "'^-?[0-9]+$'") }}
        then {{ value }}
    when
        json_type({{ json }}, '/{{ key }}') = 'DOUBLE'
        and try_cast({{ value }} as decimal(38, 9)) = try_cast({{ value }} as decimal(38, 0))
        then cast(try_cast({{ value }} as decimal(38, 0)) as varchar)
end
{%- endmacro %}

{# Number that a text is, also with an exponent and blanks around; null when it is none, or not from 0 to 10¹⁴. #}
{% macro decimal_of(text) %}{{ adapter.dispatch('decimal_of')(text) }}{% endmacro %}

{% macro duckdb__decimal_of(text) -%}
case
    when
        {{ matches_pattern(text, "'^ *[+]?([0-9]{1,14}([.][0-9]{0,30})?|[.][0-9]{1,30})([eE][+-]?[0-9]{1,2})? *$'") }}
        and try_cast({{ text }} as decimal(38, 18)) < 100000000000000
        then try_cast({{ text }} as decimal(38, 18))
end
{%- endmacro %}

{# Whether a text is JSON; null for none. #}
{% macro is_json(text) %}{{ adapter.dispatch('is_json')(text) }}{% endmacro %}

{% macro duckdb__is_json(text) %}json_valid({{ text }}){% endmacro %}

{# A row for each element, as JSON, of the array under one top-level key of a JSON object. `key` is plain text. #}
{% macro json_elements(json, key) %}{{ adapter.dispatch('json_elements')(json, key) }}{% endmacro %}

{% macro duckdb__json_elements(json, key) %}unnest(json_extract({{ json }}, '$.{{ key }}[*]')){% endmacro %}

{# A row for each text of a JSON array of texts. #}
{% macro json_texts(json) %}{{ adapter.dispatch('json_texts')(json) }}{% endmacro %}

{% macro duckdb__json_texts(json) %}unnest(json_extract_string({{ json }}, '$[*]')){% endmacro %}

{% macro spark__json_texts(json) %}explode(from_json({{ json }}, 'array<string>')){% endmacro %}

{# JSON array of the parts of a text, which bars separate. #}
{% macro json_array_of_parts(text) %}{{ adapter.dispatch('json_array_of_parts')(text) }}{% endmacro %}

{% macro duckdb__json_array_of_parts(text) %}cast(to_json(string_split({{ text }}, '|')) as varchar){% endmacro %}

{% macro spark__json_array_of_parts(text) %}to_json(split({{ text }}, '[|]')){% endmacro %}

{# What a piece of JSON says, as text: a text without its quotes. #}
{% macro json_text(json) %}{{ adapter.dispatch('json_text')(json) }}{% endmacro %}

{% macro duckdb__json_text(json) %}json_extract_string({{ json }}, '$'){% endmacro %}

{# What stands under one top-level key of a JSON object, as JSON; null when absent. #}
{% macro json_part(json, key) %}{{ adapter.dispatch('json_part')(json, key) }}{% endmacro %}

{% macro duckdb__json_part(json, key) -%}
cast(json_extract({{ json }}, '/' || replace(replace({{ key }}, '~', '~0'), '/', '~1')) as varchar)
{%- endmacro %}

{# A text as JSON. #}
{% macro json_quoted(text) %}{{ adapter.dispatch('json_quoted')(text) }}{% endmacro %}

{% macro duckdb__json_quoted(text) %}cast(to_json({{ text }}) as varchar){% endmacro %}

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

{% macro duckdb__joined_by_commas(texts) %}concat_ws(',', {{ texts }}){% endmacro %}

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
