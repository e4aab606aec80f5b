-- One row per project, source, medium, campaign in lower case and type of click id: the channel that it is.
{% set texts = ['source', 'medium', 'campaign'] %}
with origins as (
    select * from {{ ref('int_origins') }}
),

rules as (
    select * from {{ ref('int_channel_rules') }}
),

conditions as (
    select * from {{ ref('int_channel_conditions') }}
),

categories as (
    select
        source,
        category
    from {{ ref('source_categories') }}
),

known_sites as (
    -- Sites that links are told apart by are search engines and networks too.
    {% for name in ['source', 'host'] %}
    select
        {{ name }} as source,
        case medium when 'organic' then 'search' else 'social' end as category
    from {{ ref('referrers') }}
    where medium in ('organic', 'social')
    {{ 'union' if not loop.last }}
    {% endfor %}
),

categorized as (
    select * from categories
    union all
    select
        known_sites.source,
        min(known_sites.category) as category
    from known_sites
    left join categories on known_sites.source = categories.source
    where categories.source is null
    group by known_sites.source
),

compared as (
    -- Each text once: most origins share theirs.
    select
        origins.project_id,
        'source' as compared,
        origins.source as said,
        min(categorized.category) as category
    from origins
    left join categorized on origins.source = categorized.source
    group by origins.project_id, origins.source
    union all
    select distinct
        project_id,
        'medium' as compared,
        medium as said,
        cast(null as string) as category
    from origins
    union all
    select distinct
        project_id,
        'campaign' as compared,
        compared_campaign as said,
        cast(null as string) as category
    from origins
    where compared_campaign is not null
),

worded as (
    -- What is no letter parts words.
    select
        *,
        ' ' || {{ letters_apart('said') }} as words
    from compared
),

met as (
    select distinct
        worded.project_id,
        worded.compared,
        worded.said,
        conditions.rule_number
    from worded
    inner join conditions
        on worded.project_id = conditions.project_id and worded.compared = conditions.compared
    where case conditions.operator
        when 'exact' then worded.said = conditions.compared_value
        when 'prefix' then {{ begins_with('worded.said', 'conditions.compared_value') }}
        when 'contains' then contains(worded.said, conditions.compared_value)
        when 'wildcard' then {{ wildcard_picks('conditions', 'worded.said') }}
        when 'word' then contains(worded.words, ' ' || conditions.compared_value)
        when 'category' then worded.category = conditions.compared_value
    end
),

campaigns as (
    -- Many campaigns meet the same conditions, most of them none.
    select
        project_id,
        said as compared_campaign,
        {{ joined_distinct('cast(rule_number as string)', "','") }} as met_rules
    from met
    where compared = 'campaign'
    group by project_id, said
),

campaigns_met as (
    select distinct
        campaigns.project_id,
        campaigns.met_rules,
        met.rule_number
    from campaigns
    inner join met
        on
            campaigns.project_id = met.project_id
            and met.compared = 'campaign'
            and campaigns.compared_campaign = met.said
),

classed as (
    select
        origins.*,
        coalesce(campaigns.met_rules, '') as met_rules
    from origins
    left join campaigns
        on
            origins.project_id = campaigns.project_id
            and origins.compared_campaign = campaigns.compared_campaign
),

kinds as (
    select distinct
        project_id,
        source,
        medium,
        met_rules,
        click_id_type,
        is_paid
    from classed
),

picked as (
    select
        kinds.*,
        rules.channel,
        row_number() over (
            partition by
                kinds.project_id,
                kinds.source,
                kinds.medium,
                kinds.met_rules,
                kinds.click_id_type,
                kinds.is_paid
            order by rules.rule_number
        ) as pick_number
    from kinds
    inner join rules on kinds.project_id = rules.project_id
    left join met as sources_met
        on
            kinds.project_id = sources_met.project_id
            and sources_met.compared = 'source'
            and kinds.source = sources_met.said
            and rules.rule_number = sources_met.rule_number
    left join met as mediums_met
        on
            kinds.project_id = mediums_met.project_id
            and mediums_met.compared = 'medium'
            and kinds.medium = mediums_met.said
            and rules.rule_number = mediums_met.rule_number
    left join campaigns_met
        on
            kinds.project_id = campaigns_met.project_id
            and kinds.met_rules = campaigns_met.met_rules
            and rules.rule_number = campaigns_met.rule_number
    where
        (rules.source_operator is null or sources_met.rule_number is not null)
        and (rules.medium_operator is null or mediums_met.rule_number is not null)
        and (rules.campaign_operator is null or campaigns_met.rule_number is not null)
        and (
            rules.click_id_type is null
            or rules.click_id_type = kinds.click_id_type
            or (rules.click_id_type = 'any' and kinds.click_id_type is not null)
        )
        and (rules.is_paid is null or rules.is_paid = kinds.is_paid)
)

select
    classed.project_id,
    classed.source,
    classed.medium,
    classed.compared_campaign,
    classed.click_id_type,
    classed.is_paid,
    coalesce(
        picked.channel,
        case
            when classed.source = '(direct)' and classed.medium in ('(none)', '(not set)') then 'Direct'
            else 'Unassigned'
        end
    ) as channel
from classed
left join picked
    on
        classed.project_id = picked.project_id
        and classed.source = picked.source
        and classed.medium = picked.medium
        and classed.met_rules = picked.met_rules
        and classed.click_id_type is not distinct from picked.click_id_type
        and classed.is_paid = picked.is_paid
        and picked.pick_number = 1
