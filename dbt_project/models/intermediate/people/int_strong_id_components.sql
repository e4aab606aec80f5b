-- One row per linked strong id, and the least of all strong ids that hang together with it.
-- The query lists the links; the materialization follows them until nothing changes.
{{ config(materialized='connected_components') }}
select
    strong_id as node,
    linked_id as neighbour
from {{ ref('int_strong_id_links') }}
