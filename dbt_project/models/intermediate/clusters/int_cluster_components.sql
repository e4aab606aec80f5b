-- One row per cluster that an event connects with another, and the least of all that hang together with it.
-- The query lists the links; the materialization follows them until nothing changes.
{{ config(materialized='connected_components') }}
with homes as (
    select
        seq,
        min(node) as node
    from {{ ref('int_cluster_nodes') }}
    group by seq
)

select distinct
    homes.node,
    nodes.node as neighbour
from homes
inner join {{ ref('int_cluster_nodes') }} as nodes on homes.seq = nodes.seq
where homes.node <> nodes.node
