-- One row per model, conversion and touch with credit; a conversion without touches has one row per model.
with conversions as (
    select * from {{ ref('int_conversions') }}
    where state <> 'rejected'
),

projects as (
    select * from {{ ref('int_projects') }}
),

credits as (
    select * from {{ ref('int_credits') }}
),

touches as (
    select * from {{ ref('int_touches') }}
),

sessions as (
    select * from {{ ref('int_sessions') }}
    where not is_bot
),

floored as (
    select
        credits.*,
        conversions.net_amount_minor,
        {{ quota('conversions.net_amount_minor', 'credits.credit_nano', 1000000000) }} as floor_minor,
        {{ quota_remainder('conversions.net_amount_minor', 'credits.credit_nano', 1000000000) }} as remainder
    from credits
    inner join conversions on credits.conversion_id = conversions.conversion_id
),

ranked as (
    select
        *,
        net_amount_minor
        - cast(sum(floor_minor) over (partition by model, conversion_id) as bigint) as left_over,
        row_number() over (
            partition by model, conversion_id order by remainder desc, touched_us asc, touch_seq asc
        ) as remainder_rank
    from floored
),

credited as (
    select
        ranked.model,
        ranked.conversion_id,
        ranked.touch_id,
        ranked.touched_us,
        touches.source,
        touches.medium,
        touches.campaign,
        touches.term,
        touches.content,
        ranked.credit_nano,
        ranked.floor_minor
        + case when ranked.remainder_rank <= ranked.left_over then 1 else 0 end as credited_amount_minor
    from ranked
    inner join touches on ranked.touch_id = touches.touch_id
),

models as (
    {% for model in var('attribution_models') %}
    select '{{ model }}' as model
    {% if not loop.last %}union all{% endif %}
    {% endfor %}
),

credited_ones as (
    select distinct
        model,
        conversion_id
    from credits
),

without_credit as (
    -- By model: a touch before the look-back counts in one of them only.
    select
        models.model,
        conversions.*
    from conversions
    cross join models
    left join credited_ones
        on
            models.model = credited_ones.model
            and conversions.conversion_id = credited_ones.conversion_id
    where credited_ones.conversion_id is null
),

visited as (
    select
        person_id,
        min(started_us) as first_started_us,
        min(case when not is_direct then started_us end) as first_sourced_us
    from sessions
    group by person_id
),

combined as (
    select * from credited
    union all
    select
        without_credit.model,
        without_credit.conversion_id,
        cast(null as varchar) as touch_id,
        cast(null as bigint) as touched_us,
        -- Direct is who came, and until then only ever came, without a source.
        case
            when without_credit.occurred_us >= visited.first_sourced_us then '(unattributed)'
            when without_credit.occurred_us >= visited.first_started_us then '(direct)'
            else '(unattributed)'
        end as source,
        cast(null as varchar) as medium,
        cast(null as varchar) as campaign,
        cast(null as varchar) as term,
        cast(null as varchar) as content,
        1000000000 as credit_nano,
        without_credit.net_amount_minor as credited_amount_minor
    from without_credit
    left join visited on without_credit.person_id = visited.person_id
)

select
    combined.model
    || '/'
    || combined.conversion_id
    || '/'
    || coalesce(combined.touch_id, '') as attribution_id,
    conversions.project_id,
    combined.model,
    combined.conversion_id,
    combined.touch_id,
    conversions.person_id,
    {{ utc_timestamp('conversions.occurred_us') }} as converted_at,
    {{ project_date('conversions.occurred_us', 'projects.time_zone') }} as conversion_date,
    {{ utc_timestamp('combined.touched_us') }} as touched_at,
    combined.source,
    coalesce(combined.medium, '(none)') as medium,
    combined.campaign,
    combined.term,
    combined.content,
    conversions.state,
    cast(combined.credit_nano as bigint) as credit_nano,
    conversions.currency,
    cast(combined.credited_amount_minor as bigint) as credited_amount_minor
from combined
inner join conversions on combined.conversion_id = conversions.conversion_id
inner join projects on conversions.project_id = projects.project_id
