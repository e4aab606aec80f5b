{# What models say through `adapter.dispatch`, in DuckDB's SQL. The macros that dispatch say what each gives. #}

{% macro duckdb__key_number(text) %}hash({{ text }}){% endmacro %}

{% macro duckdb__sha256_hex(text) %}sha256({{ text }}){% endmacro %}

{% macro duckdb__order_id(text) -%}
nullif(regexp_replace({{ trimmed(text) }}, '^([0-9]+)[.]0+$', '\1'), '')
{%- endmacro %}

{% macro duckdb__is_sampled(hash, share, whole) -%}
(cast('0x' || left({{ hash }}, 8) as bigint) * cast({{ whole }} as hugeint) < cast({{ share }} as hugeint) * 4294967296)
{%- endmacro %}

{% macro duckdb__each_number_below(count) %}unnest(range({{ count }})){% endmacro %}

{% macro duckdb__quota(total, weight, weight_sum, type) -%}
cast((cast({{ total }} as hugeint) * cast({{ weight }} as hugeint)) // cast({{ weight_sum }} as hugeint) as {{ type }})
{%- endmacro %}

{% macro duckdb__quota_remainder(total, weight, weight_sum) -%}
cast((cast({{ total }} as hugeint) * cast({{ weight }} as hugeint)) % cast({{ weight_sum }} as hugeint) as bigint)
{%- endmacro %}

{% macro duckdb__converted(amount_minor, numerator, denominator) -%}
cast(
    sign({{ amount_minor }})
    * (
        (2 * abs(cast({{ amount_minor }} as hugeint)) * {{ numerator }} + cast({{ denominator }} as hugeint))
        // (2 * cast({{ denominator }} as hugeint))
    )
    as decimal(38, 0)
)
{%- endmacro %}

{% macro duckdb__ratio(numerator, denominator) -%}
cast(cast((cast({{ numerator }} as hugeint) * 20000 + cast({{ denominator }} as hugeint)) // nullif(cast({{ denominator }} as hugeint) * 2, 0) as decimal(30, 0)) * cast(0.0001 as decimal(4, 4)) as decimal(34, 4))
{%- endmacro %}

{% macro duckdb__without(text, pattern) %}regexp_replace({{ text }}, {{ pattern }}, '', 'g'){% endmacro %}

{% macro duckdb__composed(text) %}lower(nfc_normalize({{ text }})){% endmacro %}

{% macro duckdb__one_space(text) %}regexp_replace({{ text }}, '\p{Z}+', ' ', 'g'){% endmacro %}

{% macro duckdb__record(table) %}
    {% set files, types, by_name = source('raw', table), [], 'union_by_name = true' %}
    {% if not execute %}{{ return(files) }}{% endif %}
    {% if by_name not in files | string %}
        {% do exceptions.raise_compiler_error("the files of '" ~ table ~ "' are not read with " ~ by_name) %}
    {% endif %}
    {% set columns = (graph.sources.values() | selectattr('name', 'equalto', table) | first).columns.values() %}
    {% for column in columns %}
        {% do types.append(
            "'" ~ column.name ~ "': {name: '" ~ column.name ~ "', type: '" ~ column.data_type ~ "', default_value: null}"
        ) %}
    {% endfor %}
    {% set schema = 'schema = map {' ~ types | join(', ') ~ '}' %}
    {% set raw = env_var('FUNNELHOUSE_HOME', '../data').replace("'", "''") ~ '/raw/' %}
    {{ return((files | string).replace("'raw/", "'" ~ raw).replace(by_name, schema)) }}
{% endmacro %}

{% macro duckdb__rule_paths(value) -%}
{{ normal_path(value) }} as match_path,
{{ decoded_path(value) }} as match_prefix,
{{ wildcard_pieces(value) }}[1] as match_start,
{{ wildcard_pieces(value) }}[-1] as match_end,
case
    when {{ stars(value) }} <= {{ work_limit('wildcard_stars') }} then {{ wildcard_pieces(value) }}
end as match_pieces
{%- endmacro %}

{% macro duckdb__wildcard_pieces(value) -%}
list_transform(
    string_split({{ value }}, '*'),
    lambda piece, number: case
        when number <= {{ stars(value) }} then {{ decoded_path('piece') }}
        when number = 1 then {{ normal_path('piece') }}
        else trim(trailing '/' from {{ decoded_path('piece') }})
    end
)
{%- endmacro %}

{% macro duckdb__wildcard_texts(value) -%}
string_split({{ value }}, '*')[1] as match_start,
string_split({{ value }}, '*')[-1] as match_end,
case when {{ stars(value) }} <= {{ work_limit('wildcard_stars') }} then string_split({{ value }}, '*') end as match_pieces
{%- endmacro %}

{% macro duckdb__wildcard_picks(rule, text) -%}
case
    when not (starts_with({{ text }}, {{ rule }}.match_start) and ends_with({{ text }}, {{ rule }}.match_end)) then false
    when len({{ rule }}.match_pieces) = 1 then {{ text }} = {{ rule }}.match_start
    when length({{ text }}) < length({{ rule }}.match_start) + length({{ rule }}.match_end) then false
    when len({{ rule }}.match_pieces) = 2 then true
    else list_reduce(
        list_slice({{ rule }}.match_pieces, 2, -2),
        -- What is left after the piece; null, and so from then on, where it is not found.
        lambda rest, piece: substr(rest, nullif(strpos(rest, piece), 0) + length(piece)),
        substr(
            {{ text }},
            length({{ rule }}.match_start) + 1,
            length({{ text }}) - length({{ rule }}.match_start) - length({{ rule }}.match_end)
        )
    ) is not null
end
{%- endmacro %}

{% macro duckdb__joined_text(column, separator, order) -%}
string_agg({{ column }}, {{ separator }} order by {{ order }})
{%- endmacro %}

{# Not by string_agg: there, an order of its own for each of a million groups takes four times as long. #}
{% macro duckdb__joined_distinct(column, separator) -%}
array_to_string(list_sort(list_distinct(array_agg({{ column }}))), {{ separator }})
{%- endmacro %}

{% macro duckdb__trimmed(text) -%}
regexp_replace({{ text }}, '^[\p{Z}\p{Cc}\p{Cf}]+|[\p{Z}\p{Cc}\p{Cf}]+$', '', 'g')
{%- endmacro %}

{% macro duckdb__letters_apart(text) %}regexp_replace({{ text }}, '[^a-z]', ' ', 'g'){% endmacro %}

{% macro duckdb__text_bytes(text) %}strlen({{ text }}){% endmacro %}

{% macro duckdb__cut_to_bytes(text, bytes) -%}
case
    when strlen({{ text }}) <= {{ bytes }} then {{ text }}
    -- A character has four bytes at most; bytes that end inside of one are no text.
    else coalesce(
        {% for less in range(4) %}
        try(decode(encode({{ text }})[1:{{ bytes - less }}])){{ ',' if not loop.last }}
        {% endfor %}
    )
end
{%- endmacro %}

{% macro duckdb__utc_timestamp(us) %}make_timestamp({{ us }}){% endmacro %}

{% macro duckdb__unix_us(timestamp) %}epoch_us({{ timestamp }}){% endmacro %}

{% macro duckdb__moment(us, seq) %}(cast({{ us }} as hugeint) * 1000000000000 + {{ seq }}){% endmacro %}

{% macro duckdb__project_date(us, time_zone) -%}
case
    -- Looking up a zone's clock takes longer than everything else about a row.
    when {{ time_zone }} = 'UTC' then cast(make_timestamp({{ us }}) as date)
    else cast(timezone({{ time_zone }}, timezone('UTC', make_timestamp({{ us }}))) as date)
end
{%- endmacro %}

{% macro duckdb__is_time_zone(text) %}{{ text }} in (select name from pg_timezone_names()){% endmacro %}

{% macro duckdb__whole_units(us, unit_us) %}cast({{ us }} // {{ unit_us }} as bigint){% endmacro %}

{% macro duckdb__days_between(first_day, last_day) %}date_diff('day', {{ first_day }}, {{ last_day }}){% endmacro %}

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
        case when not {{ matches_pattern(escaped, "'%[0-9A-F]?([^0-9A-F]|$)'") }} then {{ tried_decoding(staying) }} end,
        {{ escaped }}
    )
end
{%- endmacro %}

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

{# A percent-decoded text; null where that is no UTF-8. In a list of one, because DuckDB decodes the dictionary of a column
   as a whole: where one value of it fails, `try` gives null for all of them, or the process ends. #}
{% macro tried_decoding(text) %}list_transform([{{ text }}], lambda said: try(url_decode(said)))[1]{% endmacro %}

{% macro duckdb__url_decoded(text) -%}
coalesce(replace({{ tried_decoding("replace(" ~ text ~ ", '+', ' ')") }}, chr(0), ''), {{ text }})
{%- endmacro %}

{% macro duckdb__json_value(json, key) -%}
json_extract_string({{ json }}, '/' || replace(replace({{ key }}, '~', '~0'), '/', '~1'))
{%- endmacro %}

{% macro duckdb__json_first(json, key) -%}
{% set pointer -%}
'/' || replace(replace({{ key }}, '~', '~0'), '/', '~1')
{%- endset %}
case
    when json_type({{ json }}, {{ pointer }}) = 'ARRAY' then json_extract_string({{ json }}, {{ pointer }} || '/0')
    else json_extract_string({{ json }}, {{ pointer }})
end
{%- endmacro %}

{% macro duckdb__json_id(json, key) -%}
{% set value = json_value(json, "'" ~ key ~ "'") -%}
case
    when json_type({{ json }}, '/{{ key }}') = 'VARCHAR' then nullif({{ value }}, '')
    when json_type({{ json }}, '/{{ key }}') in ('UBIGINT', 'BIGINT', 'DOUBLE') and {{ matches_pattern(value, "'^-?[0-9]+$'") }}
        then {{ value }}
    when
        json_type({{ json }}, '/{{ key }}') = 'DOUBLE'
        and try_cast({{ value }} as decimal(38, 9)) = try_cast(try_cast({{ value }} as decimal(38, 0)) as decimal(38, 9))
        then cast(try_cast({{ value }} as decimal(38, 0)) as varchar)
end
{%- endmacro %}

{% macro duckdb__is_json(text) %}json_valid({{ text }}){% endmacro %}

{% macro duckdb__json_elements(json, key) %}unnest(json_extract({{ json }}, '$.{{ key }}[*]')){% endmacro %}

{% macro duckdb__json_texts(json) %}unnest(json_extract_string({{ json }}, '$[*]')){% endmacro %}

{% macro duckdb__json_array_of_parts(text) %}cast(to_json(string_split({{ text }}, '|')) as varchar){% endmacro %}

{% macro duckdb__json_text(json) %}json_extract_string({{ json }}, '$'){% endmacro %}

{% macro duckdb__json_part(json, key) -%}
cast(json_extract({{ json }}, '/' || replace(replace({{ key }}, '~', '~0'), '/', '~1')) as varchar)
{%- endmacro %}

{% macro duckdb__json_quoted(text) %}cast(to_json({{ text }}) as varchar){% endmacro %}

{% macro duckdb__joined_by_commas(texts) %}concat_ws(',', {{ texts }}){% endmacro %}

{% macro duckdb__json_item(json, index) %}json_extract_string({{ json }}, '/' || cast({{ index }} as varchar)){% endmacro %}

{% macro duckdb__each_json_key(json, at_most) %}unnest(json_keys({{ json }})[1:{{ at_most }}]){% endmacro %}

{% macro duckdb__json_key_count(json) %}len(json_keys({{ json }})){% endmacro %}

{% macro duckdb__matches_pattern(text, pattern) %}regexp_matches({{ text }}, {{ pattern }}){% endmacro %}

{% macro duckdb__begins_with(text, beginning) %}starts_with({{ text }}, {{ beginning }}){% endmacro %}

{% macro duckdb__lower_case(text) %}lower({{ text }}){% endmacro %}

{% macro duckdb__part_matching(text, pattern, group) %}regexp_extract({{ text }}, {{ pattern }}, {{ group }}){% endmacro %}

{% macro duckdb__without_once(text, pattern) %}regexp_replace({{ text }}, {{ pattern }}, ''){% endmacro %}

{% macro duckdb__materialized() %}materialized{% endmacro %}

{% macro duckdb__minor_units(major_text, minor_per_major) -%}
cast(round(cast({{ major_text }} as decimal(38, 18)) * {{ minor_per_major }}, 0) as bigint)
{%- endmacro %}

{% macro duckdb__latest_known(value) %}last_value({{ value }} ignore nulls){% endmacro %}

{% macro duckdb__earliest_known(value) %}first_value({{ value }} ignore nulls){% endmacro %}

{% macro duckdb__sum_exact(minor) %}sum({{ minor }}){% endmacro %}
