-- One row per project, frequent path of sources, and currency: conversions, money, median time.
with paths as (
    select * from {{ ref('int_conversion_paths') }}
),

counted as (
    select
        project_id,
        path,
        count(*) as conversions,
        {{ whole_seconds('percentile_disc(0.5) within group (order by way_us)') }} as median_seconds
    from paths
    group by project_id, path
),

ranked as (
    select
        *,
        cast(
            row_number() over (partition by project_id order by conversions desc, path asc) as bigint
        ) as path_rank
    from counted
)

select
    paths.project_id,
    ranked.path_rank,
    paths.path,
    max(paths.touches) as touches,
    paths.currency,
    count(*) as conversions,
    cast({{ sum_exact('paths.net_amount_minor') }} as decimal(38, 0)) as net_amount_minor,
    {{ whole_seconds('percentile_disc(0.5) within group (order by paths.way_us)') }} as median_seconds,
    max(ranked.median_seconds) as path_median_seconds,
    paths.reporting_currency,
    {{ reporting_sum('paths.reporting_net_amount_minor', 'paths.net_amount_minor') }}
        as reporting_net_amount_minor
from paths
inner join ranked on paths.project_id = ranked.project_id and paths.path = ranked.path
where ranked.path_rank <= {{ var('frequent_paths') }}
group by paths.project_id, ranked.path_rank, paths.path, paths.currency, paths.reporting_currency
