-- One row per model, conversion and touch with credit; a conversion without touches has one row per model.
{# Weights of the last two models depend on everybody's journeys. #}
{{ config(
    materialized='incremental', kept_by='person_id', replaces='int_people_in_work',
    and_replaces="model in ('markov', 'shapley') and touch_id is not null"
) }}
{% set splits = [
    ('net', 'net_amount_minor', 'true'),
    (
        'converted',
        'reporting_net_amount_minor',
        'conversions.currency <> conversions.reporting_currency and conversions.reporting_net_amount_minor is not null',
    ),
] %}
with conversions as (
    -- All of them, because the weights of some models depend on everything.
    select * from {{ ref('fct_conversions') }}
    where state <> 'rejected'
),

credits as (
    select * from {{ ref('int_credits') }}
),

touches as (
    select * from {{ ref('fct_touches') }}
),

sessions as (
    select * from {{ ref('fct_sessions') }}
    where not is_bot and {{ is_among('person_id', ref('int_people_in_work')) }}
),

channels_of_direct as (
    select
        project_id,
        channel
    from {{ ref('int_channels') }}
    where source = '(direct)' and medium = '(none)' and compared_campaign is null and click_id_type is null
),

-- Both amounts of a conversion are split to the cent; in the reporting currency they are one, split once.
{% for split, amount, conditions in splits %}
{{ split }}_floored as (
    select
        credits.*,
        conversions.{{ amount }} as amount_minor,
        {{ quota('conversions.' ~ amount, 'credits.credit_nano', 1000000000) }} as floor_minor,
        {{ quota_remainder('conversions.' ~ amount, 'credits.credit_nano', 1000000000) }} as remainder
    from credits
    inner join conversions on credits.conversion_id = conversions.conversion_id
    where {{ conditions }}
),

{{ split }}_ranked as (
    select
        *,
        amount_minor
        - cast({{ sum_exact('floor_minor') }} over (partition by model, conversion_id) as decimal(38, 0))
            as left_over,
        row_number() over (
            partition by model, conversion_id order by remainder desc, touched_us asc, touch_seq asc
        ) as remainder_rank
    from {{ split }}_floored
),

{{ split }} as (
    select
        *,
        floor_minor + case when remainder_rank <= left_over then 1 else 0 end as share_minor
    from {{ split }}_ranked
),

{% endfor %}
credited as (
    select
        net.model,
        net.conversion_id,
        net.touch_id,
        net.touched_us,
        touches.source,
        touches.medium,
        touches.campaign,
        touches.term,
        touches.content,
        touches.channel,
        net.credit_nano,
        net.share_minor as credited_amount_minor,
        converted.share_minor as converted_amount_minor
    from net
    inner join touches on net.touch_id = touches.touch_id
    left join converted
        on
            net.model = converted.model
            and net.conversion_id = converted.conversion_id
            and net.touch_id = converted.touch_id
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
    where
        credited_ones.conversion_id is null
        and {{ is_among('conversions.person_id', ref('int_people_in_work')) }}
),

visited as (
    select
        person_id,
        min(started_at) as first_started_at,
        min(case when not is_direct then started_at end) as first_sourced_at
    from sessions
    group by person_id
),

combined as (
    select * from credited
    union all
    select
        without_credit.model,
        without_credit.conversion_id,
        cast(null as string) as touch_id,
        cast(null as bigint) as touched_us,
        -- Direct is who came, and until then only ever came, without a source.
        case
            when without_credit.occurred_at >= visited.first_sourced_at then '(unattributed)'
            when without_credit.occurred_at >= visited.first_started_at then '(direct)'
            else '(unattributed)'
        end as source,
        '(none)' as medium,
        cast(null as string) as campaign,
        cast(null as string) as term,
        cast(null as string) as content,
        cast(null as string) as channel,
        1000000000 as credit_nano,
        without_credit.net_amount_minor as credited_amount_minor,
        without_credit.reporting_net_amount_minor as converted_amount_minor
    from without_credit
    left join visited on without_credit.person_id = visited.person_id
)

select
    {{ id_part('combined.conversion_id') }}
    || ':'
    || combined.model
    || coalesce(':' || combined.touch_id, '') as attribution_id,
    conversions.project_id,
    combined.model,
    combined.conversion_id,
    combined.touch_id,
    conversions.person_id,
    conversions.occurred_at as converted_at,
    conversions.conversion_date,
    {{ utc_timestamp('combined.touched_us') }} as touched_at,
    combined.source,
    combined.medium,
    combined.campaign,
    combined.term,
    combined.content,
    case
        when combined.touch_id is not null then combined.channel
        when combined.source = '(direct)' then channels_of_direct.channel
        -- Nobody knows where it came from, so no rule is asked.
        else 'Unassigned'
    end as channel,
    conversions.state,
    cast(combined.credit_nano as bigint) as credit_nano,
    conversions.currency,
    cast(combined.credited_amount_minor as bigint) as credited_amount_minor,
    conversions.reporting_currency,
    cast(case
        when conversions.currency = conversions.reporting_currency then combined.credited_amount_minor
        else combined.converted_amount_minor
    end as bigint) as reporting_credited_amount_minor
from combined
inner join conversions on combined.conversion_id = conversions.conversion_id
left join channels_of_direct on conversions.project_id = channels_of_direct.project_id
