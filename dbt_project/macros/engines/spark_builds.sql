{#
  Builds on Spark. Each is a full one and writes a folder of its own, `FUNNELHOUSE_SPARK_WAREHOUSE`, in which the table of a
  model or seed is the folder of its name. Tables are known by name as long as the process lives.
#}
{% macro spark__refuse_by_hand() %}{% endmacro %}

{% macro spark__is_incremental_build() %}{{ return(false) }}{% endmacro %}

{% macro spark__create_schema(relation) -%}
    {% call statement('create_schema') -%}
        create schema if not exists {{ relation }} location {{ spark_text(env_var('FUNNELHOUSE_SPARK_WAREHOUSE')) }}
    {%- endcall %}
{% endmacro %}

{# The record's tables. Their columns are said, so that one that an older file lacks is null there. #}
{% macro spark__begin_build() %}
    {% do run_query('create schema if not exists raw') %}
    {% for table in graph.sources.values() %}
        {% set columns = [] %}
        {% for column in table.columns.values() %}
            {% do columns.append(adapter.quote(column.name) ~ ' ' ~ spark_type(column.data_type)) %}
        {% endfor %}
        {% do run_query('drop table if exists raw.' ~ table.name) %}
        {% do run_query(
            'create table raw.' ~ table.name ~ ' (' ~ columns | join(', ') ~ ') using parquet '
            ~ "options (recursiveFileLookup 'true', pathGlobFilter '*.parquet') location "
            ~ spark_text(env_var('FUNNELHOUSE_HOME', '../data') ~ '/raw/' ~ table.name)
        ) %}
    {% endfor %}
{% endmacro %}

{% macro spark__record(table) -%}
{% do source('raw', table) -%}
(select *, _metadata.file_path as filename from raw.{{ table }}) as {{ table }}
{%- endmacro %}

{# Contracts and seeds say types as DuckDB calls them. #}
{% macro spark_type(type) %}{{ return('string' if type | lower == 'varchar' else type | lower) }}{% endmacro %}

{# A text of Spark's SQL. #}
{% macro spark_text(text) -%}
'{{ text | string | replace('\\', '\\\\') | replace("'", "\\'") }}'
{%- endmacro %}

{% macro spark__escape_single_quotes(expression) -%}
{{ expression | replace('\\', '\\\\') | replace("'", "\\'") }}
{%- endmacro %}

{# A contract is checked by what the query would give, and its constraints while rows are written. #}
{% macro spark__create_table_as(temporary, relation, compiled_code, language='sql') -%}
create table {{ relation }} using parquet as
{% if config.get('contract').enforced -%}
{{ get_assert_columns_equivalent(compiled_code) }}
select
    {% for column in model.columns.values() %}
    {% set name = adapter.quote(column.name) %}
    {% if column.constraints | selectattr('type', 'equalto', 'not_null') | list -%}
    coalesce({{ name }}, raise_error('{{ relation.identifier }}.{{ column.name }} is null')) as {{ name }}
    {%- else %}{{ name }}{% endif %}{{ ',' if not loop.last }}
    {% endfor %}
from (
{{ compiled_code }}
) as made
{%- else -%}
{{ compiled_code }}
{%- endif %}
{% endmacro %}

{% macro spark__get_empty_schema_sql(columns) -%}
select
    {% for column in columns.values() %}
    cast(null as {{ spark_type(column.data_type) }}) as {{ adapter.quote(column.name) }}{{ ',' if not loop.last }}
    {% endfor %}
{% endmacro %}

{# A model in Python gives a table of Arrow; it runs where dbt does. #}
{% macro spark__py_write_table(compiled_code, target_relation) %}
{{ compiled_code }}

made_by_python = model(dbtObj(spark.table), spark)
spark.createDataFrame(made_by_python).write.format('parquet').saveAsTable('{{ target_relation }}')
{% endmacro %}

{# Seeds: one statement, since a statement for every few rows writes as many files. #}
{% macro spark__load_csv_rows(model, agate_table) %}{{ return('') }}{% endmacro %}

{% macro spark__reset_csv_table(model, full_refresh, old_relation, agate_table) %}
    {% do adapter.drop_relation(old_relation) %}
    {{ return(create_csv_table(model, agate_table)) }}
{% endmacro %}

{% macro spark__create_csv_table(model, agate_table) %}
    {% set names = agate_table.column_names %}
    {% set told = model.config.get('column_types', {}) %}
    {% set sql %}
create table {{ this }} using parquet as
select
    {% for name in names %}
    cast({{ adapter.quote('c' ~ loop.index0) }} as {{ spark_type(told.get(name, adapter.convert_type(agate_table, loop.index0))) }})
        as {{ adapter.quote(name) }}{{ ',' if not loop.last }}
    {% endfor %}
from values
    {% for row in agate_table.rows %}
    ({% for value in row %}{{ 'null' if value is none else spark_text(value) }}, {% endfor %}true),
    {% endfor %}
    {# Without rows there would be no values. #}
    ({% for name in names %}null, {% endfor %}false)
    as rows ({% for name in names %}c{{ loop.index0 }}, {% endfor %}is_row)
where is_row
    {% endset %}
    {% do adapter.add_query(sql, abridge_sql_log=True) %}
    {{ return(sql) }}
{% endmacro %}

{# In the rows of a unit test a list is a text, as DuckDB writes it; a text can't be cast to one. #}
{% macro spark__safe_cast(field, type) -%}
{% if type.startswith('array') -%}
from_json(cast({{ field }} as string), '{{ type }}')
{%- else -%}
cast({{ field }} as {{ type }})
{%- endif %}
{%- endmacro %}
