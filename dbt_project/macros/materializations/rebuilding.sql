{# dbt asks this of every incremental model: whether it is made anew, or its strategy runs. #}
{% macro should_full_refresh() %}{{ return(not is_scoped()) }}{% endmacro %}

{#
  Strategy `rebuilt`: the rows that are rebuilt are deleted, and those of the query put in; `is_rebuilt` says which.
#}
{% macro get_incremental_rebuilt_sql(arguments) %}
    {% set columns = arguments['dest_columns'] | map(attribute='quoted') | join(', ') %}
    {% set condition = is_rebuilt(config) %}
    delete from {{ arguments['target_relation'] }} where {{ condition }};
    insert into {{ arguments['target_relation'] }} ({{ columns }})
    select {{ columns }} from {{ arguments['temp_relation'] }} where {{ condition }};
{% endmacro %}

{#
  Strategy `gathered`, of lists of what is to be rebuilt. They grow until a build is published: what a build that was
  broken off had begun to change is rebuilt by the next one.
#}
{% macro get_incremental_gathered_sql(arguments) %}
    {% if asked_once('select follows_publication from build_scope')[0][0] %}
    delete from {{ arguments['target_relation'] }};
    {% endif %}
    insert into {{ arguments['target_relation'] }}
    select * from {{ arguments['temp_relation'] }}
    except
    select * from {{ arguments['target_relation'] }};
{% endmacro %}

{# The part of a kept table that this build works on: all of it, and no copy, in a whole build. #}
{% materialization slice, adapter='duckdb' %}
    {{ return(materialization_table_duckdb() if is_scoped() else materialization_view_duckdb()) }}
{% endmaterialization %}
