-- One row per destination and conversion that its filter picks: what it should be told of it, or why nothing.
{{ config(materialized='incremental', kept_by='person_id', replaces='int_people_in_work') }}
{# What a webhook's body shows, but for the build; the others tell no more than what a conversion is worth. #}
{% set body = [
    'weighed.event_name', 'facts.name', 'facts.goal_id', 'facts.matched_by', 'facts.hit_id',
    'facts.session_id', 'facts.visitor_id', 'facts.user_id', 'facts.source', 'facts.medium', 'facts.campaign', 'facts.click_id',
    'facts.click_id_type', 'weighed.transaction_id', 'identities.em_meta', 'identities.em_google',
    'identities.ph_meta', 'identities.ph_google',
] %}
{% set fingerprint -%}
{{ sha256_hex(
    joined_parts(['weighed.told_state', 'cast(weighed.value_minor as string)', 'weighed.currency'])
    ~ " || case when weighed.destination_kind = 'webhook' then "
    ~ joined_parts(body + ['cast(weighed.occurred_us as string)', 'cast(facts.is_forwardable as string)'])
    ~ " else '' end"
) }}
{%- endset %}
with destinations as (
    select * from {{ ref('int_destinations') }}
),

facts as (
    select * from {{ ref('int_forwarding_facts') }}
),

conversion_values as (
    select * from {{ ref('int_conversion_values') }}
),

choices as (
    select * from {{ ref('int_destination_choices') }}
),

event_names as (
    select * from {{ ref('int_destination_event_names') }}
),

usual_event_names as (
    select * from {{ ref('destination_event_names') }}
),

picked_by_name as (
    select
        choices.project_id,
        choices.destination_id,
        facts.conversion_id
    from choices
    inner join facts
        on
            choices.project_id = facts.project_id
            and choices.chosen_by = 'name'
            and choices.choice = facts.name
    union
    select
        choices.project_id,
        choices.destination_id,
        reports.conversion_id
    from choices
    inner join {{ ref('int_goals_matched') }} as goals_matched
        on choices.chosen_by = 'goal' and choices.choice = goals_matched.goal_id
    inner join {{ ref('int_conversion_reports') }} as reports
        on goals_matched.seq = reports.seq and choices.project_id = reports.project_id
),

picked_by_source as (
    select distinct
        choices.project_id,
        choices.destination_id,
        facts.conversion_id
    from choices
    inner join facts
        on
            choices.project_id = facts.project_id
            and choices.chosen_by = 'source'
            and choices.source = facts.source
            and (choices.medium is null or choices.medium = facts.medium)
),

given_ids as (
    -- What senders call the conversion on the platform, where a destination says which property that is.
    select
        destinations.project_id,
        destinations.destination_id,
        reports.conversion_id,
        {{ json_value('events.properties', "substr(destinations.dedup_by, 10)") }} as given_id,
        row_number() over (
            partition by destinations.project_id, destinations.destination_id, reports.conversion_id
            order by case when reports.is_deciding then 0 else 1 end, reports.occurred_us, reports.seq
        ) as preference
    from destinations
    inner join {{ ref('int_conversion_reports') }} as reports
        on destinations.project_id = reports.project_id and destinations.dedup_by like 'property:%'
    inner join {{ ref('int_events_in_work') }} as events on reports.seq = events.seq
    where {{ json_value('events.properties', "substr(destinations.dedup_by, 10)") }} <> ''
),

narrowed as (
    -- Of each conversion only what decides, so that its texts are not made over and over.
    select
        destinations.project_id,
        destinations.destination_id,
        destinations.version as destination_version,
        destinations.destination_kind,
        destinations.told_on,
        destinations.since_us,
        destinations.wants_server,
        destinations.tells_gross,
        destinations.requires_consent,
        destinations.dedup_by,
        destinations.skips_suspected_doubles,
        destinations.tells_first_only,
        destinations.payout_ppm100,
        destinations.sample_ppm100,
        destinations.default_country,
        destinations.tells_people,
        destinations.is_limited_by_source and facts.source is null as lacks_source,
        facts.conversion_id,
        row_number() over (
            partition by
                destinations.project_id,
                destinations.destination_id,
                coalesce('v' || facts.visitor_id, 'p' || facts.person_id),
                facts.source
            order by facts.first_seq, facts.conversion_id
        ) as visitors_conversion
    from facts
    inner join destinations on facts.project_id = destinations.project_id
    left join picked_by_name
        on
            destinations.project_id = picked_by_name.project_id
            and destinations.destination_id = picked_by_name.destination_id
            and facts.conversion_id = picked_by_name.conversion_id
    left join picked_by_source
        on
            destinations.project_id = picked_by_source.project_id
            and destinations.destination_id = picked_by_source.destination_id
            and facts.conversion_id = picked_by_source.conversion_id
    where
        (not destinations.is_limited_by_name or picked_by_name.conversion_id is not null)
        and (
            not destinations.is_limited_by_source
            or facts.source is null
            or picked_by_source.conversion_id is not null
        )
),

stated as (
    select
        narrowed.*,
        facts.occurred_us,
        facts.is_forwardable or narrowed.destination_kind = 'webhook' as may_be_told,
        facts.is_suspected_double,
        facts.is_bots,
        facts.consent_ads,
        -- A webhook is told everything, and what it should keep to itself.
        {% for column in [
            'has_server_report', 'state', 'amount_minor', 'currency', 'refunded_minor', 'is_all_refunded',
            'approved_us', 'learnt_us'
        ] %}
        case
            when narrowed.destination_kind = 'webhook' or forwarded.conversion_id is null
                then whole.{{ column }}
            else forwarded.{{ column }}
        end as {{ column }},
        {% endfor %}
        given_ids.given_id,
        facts.transaction_id,
        {{ sha256_hex('facts.conversion_id') }} as conversion_hash,
        coalesce(
            called.event_name,
            goals_called.event_name,
            usual_event_names.event_name,
            facts.name,
            facts.goal_id
        ) as event_name
    from narrowed
    inner join facts on narrowed.conversion_id = facts.conversion_id
    inner join conversion_values as whole
        on narrowed.conversion_id = whole.conversion_id and whole.report_set = 'all'
    left join conversion_values as forwarded
        on narrowed.conversion_id = forwarded.conversion_id and forwarded.report_set = 'forwardable'
    left join given_ids
        on
            narrowed.project_id = given_ids.project_id
            and narrowed.destination_id = given_ids.destination_id
            and narrowed.conversion_id = given_ids.conversion_id
            and given_ids.preference = 1
    left join event_names as called
        on
            narrowed.project_id = called.project_id
            and narrowed.destination_id = called.destination_id
            and facts.name = called.our_name
    left join event_names as goals_called
        on
            narrowed.project_id = goals_called.project_id
            and narrowed.destination_id = goals_called.destination_id
            and facts.goal_id = goals_called.our_name
    left join usual_event_names
        on
            narrowed.destination_kind = usual_event_names.destination_kind
            and replace({{ lower_case('facts.name') }}, ' ', '_') = usual_event_names.our_name
),

told as (
    select
        *,
        case when state = 'approved' and is_all_refunded then 'refunded' else state end as told_state,
        case
            when state = 'rejected' or (state = 'approved' and is_all_refunded) then 0
            -- Refunds of a pending conversion wait.
            when tells_gross or state = 'pending' then amount_minor
            else amount_minor - refunded_minor
        end as full_minor,
        case
            when
                dedup_by = 'conversion_id'
                -- An address is no id to be told, nor does Google take a longer one.
                or contains(coalesce(given_id, transaction_id), '@')
                or (destination_kind = 'google' and length(coalesce(given_id, transaction_id)) > 64)
                then conversion_hash
            when dedup_by = 'transaction_id' then coalesce(transaction_id, conversion_hash)
            else coalesce(given_id, conversion_hash)
        end as dedup_id
    from stated
),

weighed as (
    select
        *,
        {{ share_half_even('full_minor', 'payout_ppm100', 100000000) }} as value_minor,
        case
            when not may_be_told then 'not_forwardable'
            when told_state in ('rejected', 'refunded') then told_state
            when lacks_source then 'no_source'
            when wants_server and not has_server_report then 'other_sender'
            when is_bots then 'bot'
            when skips_suspected_doubles and is_suspected_double then 'suspected_double'
            when consent_ads = 'denied' then 'consent_denied'
            when requires_consent and consent_ads is null then 'consent_unknown'
            when occurred_us < since_us then 'before_since'
            when tells_first_only and visitors_conversion > 1 then 'not_first'
            when not {{ is_sampled('conversion_hash', 'sample_ppm100', 100000000) }} then 'not_sampled'
            when told_on = 'approved' and told_state = 'pending' then 'pending'
        end as not_wanted_reason
    from told
)

select
    weighed.project_id
    || '/'
    || {{ id_part('weighed.destination_id') }}
    || ':'
    || weighed.conversion_id as forwarding_id,
    weighed.destination_id,
    weighed.destination_version,
    weighed.destination_kind,
    weighed.conversion_id,
    weighed.project_id,
    facts.person_id,
    weighed.not_wanted_reason is null as is_wanted,
    weighed.not_wanted_reason,
    facts.name,
    facts.goal_id,
    weighed.event_name,
    {{ utc_timestamp('weighed.occurred_us') }} as occurred_at,
    {{ utc_timestamp('weighed.learnt_us') }} as learnt_at,
    {{ utc_timestamp('weighed.approved_us') }} as approved_at,
    weighed.told_state as state,
    weighed.value_minor,
    weighed.currency,
    weighed.dedup_id,
    weighed.transaction_id,
    case when weighed.has_server_report then 'server' else 'browser' end as sender,
    facts.is_forwardable,
    facts.matched_by,
    facts.hit_id,
    facts.session_id,
    facts.visitor_id,
    facts.user_id,
    facts.source,
    facts.medium,
    facts.campaign,
    facts.content,
    facts.term,
    facts.page_id,
    facts.page_kind,
    facts.click_id,
    facts.click_id_type,
    facts.external_click_id,
    {{ utc_timestamp('facts.clicked_us') }} as clicked_at,
    facts.landing_url,
    facts.event_url,
    facts.user_agent,
    facts.country,
    identities.em_meta,
    identities.em_google,
    identities.ph_meta,
    identities.ph_google,
    identities.hashes,
    identities.plain,
    identities.custom_data,
    {{ json_array_with(['facts.user_id', 'facts.visitor_id']) }} as external_ids,
    weighed.consent_ads,
    {{ fingerprint }} as fingerprint
from weighed
inner join facts on weighed.conversion_id = facts.conversion_id
left join {{ ref('int_forwarding_identities') }} as identities
    on
        weighed.tells_people
        and weighed.conversion_id = identities.conversion_id
        and weighed.default_country = identities.default_country
