-- One row per project of which anything but its costs was defined anew since the last publication.
{% set definitions = ref('stg_raw__definitions') %}
{% if is_incremental_build() %}
with versions as (
    select
        seq,
        project_id,
        kind,
        body,
        lag(body) over (partition by project_id, kind, key order by seq) as body_before
    from {{ definitions }}
)

select distinct project_id from versions
where
    seq > {{ published_position('definitions') }}
    -- Forwardings show which version of a destination they follow, and since when it holds.
    and (kind = 'destination' or body is distinct from body_before)
{% else %}
select project_id from {{ definitions }}
where false
{% endif %}
