{#
  Tables and views of DuckDB, each made in the place of the one before by one statement in one transaction: what fails
  leaves the last one as it was, and nothing is renamed. dbt-duckdb's own ones ask the catalog ten times and rename
  twice, which costs a small model more than its rows do.
#}
{% materialization table, adapter='duckdb', supported_languages=['sql', 'python'] %}
    {% set target = replaceable(this.incorporate(type='table')) %}
    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}
    {% call statement('main', language=model.language) %}
        {{- replaced_table(target, compiled_code, model.language) -}}
    {% endcall %}
    {{ return(finished(target)) }}
{% endmaterialization %}

{% materialization view, adapter='duckdb' %}
    {% set target = replaceable(this.incorporate(type='view')) %}
    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}
    {% call statement('main') %}
        {% if config.get('contract').enforced and not is_incremental_build() %}{{ get_assert_columns_equivalent(compiled_code) }}{% endif %}
        create or replace view {{ target }} as (
        {{ compiled_code }}
        );
    {% endcall %}
    {{ return(finished(target)) }}
{% endmaterialization %}

{# What stands in the place of a table or view is dropped, in its transaction, where it is of another type. #}
{% macro replaceable(target) %}
    {% set existing = load_cached_relation(target) %}
    {% if existing is not none and existing.type != target.type %}{% do adapter.drop_relation(existing) %}{% endif %}
    {{ return(target) }}
{% endmacro %}

{#
  A contract is checked by what the query would give. In an incremental build the query is that of the publication,
  which has passed; the columns then are of the contract's types in any case.
#}
{% macro replaced_table(target, code, language) %}
    {% if language == 'python' %}
{{ code }}

def materialize(df, con):
    con.register('made_by_python', df)
    con.execute('create or replace table {{ target }} as from made_by_python')
    con.unregister('made_by_python')
    {% elif config.get('contract').enforced %}
        {% if not is_incremental_build() %}{{ get_assert_columns_equivalent(code) }}{% endif %}
        create or replace table {{ target }} {{ get_table_columns_and_constraints() }};
        insert into {{ target }} {{ get_column_names() }} (
        {{ get_select_subquery(code) }}
        );
    {% else %}
        create or replace table {{ target }} as (
        {{ code }}
        );
    {% endif %}
{% endmacro %}

{% macro finished(target) %}
    {% if config.persist_relation_docs() or config.persist_column_docs() %}
        {% do run_query(comments_on(target)) %}
    {% endif %}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {% do adapter.commit() %}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({'relations': [target]}) }}
{% endmacro %}

{# Descriptions of a model and its columns, as one text of statements. Those of columns that it hasn't are left out. #}
{% macro comments_on(target) %}
    {% if config.persist_relation_docs() and model.description %}{{ alter_relation_comment(target, model.description) }}{% endif %}
    {% if config.persist_column_docs() %}
        {% if not config.get('contract').enforced %}
            {% set names = adapter.get_columns_in_relation(target) | map(attribute='name') | list %}
        {% endif %}
        {% for column in model.columns.values() if not names or column.name in names %}
        comment on column {{ target }}.{{ adapter.quote(column.name) }} is {{ duckdb_escape_comment(column.description) }};
        {% endfor %}
    {% endif %}
{% endmacro %}

{# The answer to a query whose answer stays the same for a whole build: rows, asked for once by a process. #}
{% macro asked_once(query) %}
    {% set answers = graph.setdefault('answers', {}) %}
    {% if query not in answers %}{% do answers.update({query: run_query(query).rows}) %}{% endif %}
    {{ return(answers[query]) }}
{% endmacro %}

{% macro forget_answers() %}{% do graph.update({'answers': {}}) %}{% endmacro %}

{# Tables and views of Spark: without a comparison with what stood there, which in a build is nothing. #}
{% materialization table, adapter='spark', supported_languages=['sql', 'python'] %}
    {% set target = this.incorporate(type='table') %}
    {% set existing = load_cached_relation(this) %}
    {{ run_hooks(pre_hooks) }}
    {% if existing %}{% do adapter.drop_relation(existing) %}{% endif %}
    {% call statement('main', language=model.language) %}
        {%- if model.language == 'python' -%}
            {{ spark__py_write_table(compiled_code, target) }}
        {%- else -%}
            {{ create_table_as(False, target, compiled_code) }}
        {%- endif -%}
    {% endcall %}
    {{ run_hooks(post_hooks) }}
    {{ return({'relations': [target]}) }}
{% endmaterialization %}

{% materialization view, adapter='spark' %}
    {% set target = this.incorporate(type='view') %}
    {{ run_hooks(pre_hooks) }}
    {% call statement('main') %}
        create or replace view {{ target }} as
        {{ compiled_code }}
    {% endcall %}
    {{ run_hooks(post_hooks) }}
    {{ return({'relations': [target]}) }}
{% endmaterialization %}
