{#
  A model whose query lists links, as pairs (node, neighbour), and whose table says what hangs together:
  (node, component), one row per node that has a link; a component is named by its least node.

  Each round contracts the graph: every node joins whichever comes first among itself and its neighbours, in an
  order that is mixed anew for the round, and the links between what they joined make the next, smaller graph.
  When no link is left, the rounds are walked back. A round removes a constant fraction of the nodes on average,
  whatever the shape, so a chain of 1,000 takes about 11 rounds, and all rounds together cost a few times the first.
  (Bögeholz, Brand, Todor: In-database connected component analysis, ICDE 2020.)

  Every step is a real table, because engines without materialized CTEs would compute all rounds again in each.
  Nodes are numbered from 1, below the prime 2³¹ - 1: products of two stay exact in 64 bits.
#}
{% materialization connected_components, default %}
    {% set target = this.incorporate(type='table') %}
    {% set existing = load_cached_relation(this) %}
    {% set work = namespace(links=none, rounds=[], factor=1) %}
    {{ run_hooks(pre_hooks) }}

    {% set pairs = components_step('pairs', compiled_code) %}
    {% set numbered = components_step('numbered', numbered_nodes(pairs)) %}
    {% set work.links = components_step('links_0', numbered_links(pairs, numbered)) %}
    {% for round in range(1, 200) if work.links %}
        {% if count_rows(work.links) == 0 %}
            {% do drop_relation_if_exists(work.links) %}
            {% set work.links = none %}
        {% else %}
            {% set work.factor = work.factor * 48271 % 2147483647 %}
            {% set joined = components_step('joined_' ~ round, joined_nodes(work.links, work.factor)) %}
            {% set contracted = components_step('links_' ~ round, contracted_links(work.links, joined)) %}
            {% do drop_relation_if_exists(work.links) %}
            {% do work.rounds.append(joined) %}
            {% set work.links = contracted %}
        {% endif %}
    {% endfor %}
    {% if work.links %}
        {% do exceptions.raise_compiler_error('connected_components: links are left after 200 rounds') %}
    {% endif %}

    {% set components = namespace(table=none) %}
    {% for joined in work.rounds | reverse %}
        {% set walked = components_step('walked_' ~ loop.index, walked_back(joined, components.table)) %}
        {% do drop_relation_if_exists(components.table) %}
        {% do drop_relation_if_exists(joined) %}
        {% set components.table = walked %}
    {% endfor %}

    {% if existing %}{% do adapter.drop_relation(existing) %}{% endif %}
    {% call statement('main') %}
        {{ create_table_as(False, target, named_components(numbered, components.table)) }}
    {% endcall %}
    {% for left_over in [pairs, numbered, components.table] %}{% do drop_relation_if_exists(left_over) %}{% endfor %}

    {% do persist_docs(target, model) %}
    {{ run_hooks(post_hooks) }}
    {{ adapter.commit() }}
    {{ return({'relations': [target]}) }}
{% endmaterialization %}

{# Make a work table beside the model's own; one that a killed build left is replaced. #}
{% macro components_step(step, sql) %}
    {% set relation = this.incorporate(path={'identifier': this.identifier ~ '__' ~ step}, type='table') %}
    {% do adapter.drop_relation(relation) %}
    {% do run_query(create_table_as(False, relation, sql)) %}
    {{ return(relation) }}
{% endmacro %}

{% macro count_rows(relation) %}
    {{ return(run_query('select count(*) from ' ~ relation).rows[0][0] | int) }}
{% endmacro %}

{% macro numbered_nodes(pairs) %}
select
    id,
    -- A row's number has 32 bits on Spark, and what it is multiplied with makes it longer.
    cast(row_number() over (order by id) as bigint) as node
from (
    select node as id from {{ pairs }}
    union
    select neighbour as id from {{ pairs }}
) as ids
{% endmacro %}

{# Links in both directions; one of a node to itself says nothing. #}
{% macro numbered_links(pairs, numbered) %}
with links as (
    select
        here.node as node,
        there.node as neighbour
    from {{ pairs }} as pairs
    inner join {{ numbered }} as here on pairs.node = here.id
    inner join {{ numbered }} as there on pairs.neighbour = there.id
    where here.node <> there.node
)

select node, neighbour from links
union
select neighbour as node, node as neighbour from links
{% endmacro %}

{# A number's place in the round's order, with the number itself in the lower 31 bits. #}
{% macro mixed(node, factor) -%}
({{ node }} * {{ factor }} % 2147483647 * 2147483648 + {{ node }})
{%- endmacro %}

{% macro joined_nodes(links, factor) %}
select
    node,
    least({{ mixed('node', factor) }}, min({{ mixed('neighbour', factor) }})) % 2147483648 as joined
from {{ links }}
group by node
{% endmacro %}

{% macro contracted_links(links, joined) %}
select distinct
    here.joined as node,
    there.joined as neighbour
from {{ links }} as links
inner join {{ joined }} as here on links.node = here.node
inner join {{ joined }} as there on links.neighbour = there.node
where here.joined <> there.joined
{% endmacro %}

{# What a round's nodes belong to in the end: what they joined, or what that joined in later rounds. #}
{% macro walked_back(joined, later) %}
select
    joined.node,
    {% if later %}
    coalesce(later.component, joined.joined) as component
from {{ joined }} as joined
left join {{ later }} as later on joined.joined = later.node
    {% else %}
    joined.joined as component
from {{ joined }} as joined
    {% endif %}
{% endmacro %}

{# Texts again. Without any link there was no round. #}
{% macro named_components(numbered, components) %}
select
    numbered.id as node,
    {% if components %}
    min(numbered.id) over (partition by coalesce(components.component, numbered.node)) as component
from {{ numbered }} as numbered
left join {{ components }} as components on numbered.node = components.node
    {% else %}
    numbered.id as component
from {{ numbered }} as numbered
    {% endif %}
{% endmacro %}
