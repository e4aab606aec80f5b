{#
  A table that stays from build to build. A full build makes it like any other; an incremental one deletes the rows that it
  makes again, as `replaced_rows` tells from the model's configuration, and puts in those of the query.
#}
{% materialization incremental, adapter='duckdb' %}
    {% set existing = load_cached_relation(this) %}
    {% if existing is none or not existing.is_table or not is_incremental_build() %}
        {{ return(materialization_table_duckdb()) }}
    {% endif %}
    {% set target = this.incorporate(type='table') %}
    {% set made = api.Relation.create(identifier=this.identifier ~ '__made', type='table') %}
    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}
    {% call statement('make') %}
        create or replace temporary table {{ made }} as (
        {{ compiled_code }}
        );
    {% endcall %}
    {% call statement('main') %}
        delete from {{ target }} where {{ replaced_rows(config) }};
        insert into {{ target }} by name from {{ made }};
        drop table {{ made }};
    {% endcall %}
    {{ return(finished(target)) }}
{% endmaterialization %}

{# Other engines make it anew in each build. #}
{% materialization incremental, adapter='spark' %}{{ return(materialization_table_spark()) }}{% endmaterialization %}

{# A list that grows until a build is published: what one that was broken off has changed is no longer to be seen. #}
{% materialization gathered, adapter='duckdb' %}
    {% set existing = load_cached_relation(this) %}
    {% if existing is none or not is_incremental_build() or follows_publication() %}
        {{ return(materialization_table_duckdb()) }}
    {% endif %}
    {% set target = this.incorporate(type='table') %}
    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}
    {% call statement('main') %}
        insert into {{ target }} by name from (
        {{ compiled_code }}
        ) except select * from {{ target }};
    {% endcall %}
    {{ return(finished(target)) }}
{% endmaterialization %}

{% materialization gathered, adapter='spark' %}{{ return(materialization_table_spark()) }}{% endmaterialization %}

{# The part of another table that this build works on: all of it, and no copy, in a full build. #}
{% materialization in_work, adapter='duckdb' %}
    {{ return(materialization_table_duckdb() if is_incremental_build() else materialization_view_duckdb()) }}
{% endmaterialization %}

{% materialization in_work, adapter='spark' %}{{ return(materialization_view_spark()) }}{% endmaterialization %}
