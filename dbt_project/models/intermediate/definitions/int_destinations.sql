-- One row per destination that a project has defined: what it is told, and since when.
with versions as (
    select
        seq,
        project_id,
        key as destination_id,
        received_us,
        body,
        coalesce({{ json_value('body', "'is_active'") }} = 'true', false) as is_active
    from {{ ref('stg_raw__definitions') }}
    where kind = 'destination' and set_aside_reason is null
),

placed as (
    select
        *,
        max(case when not is_active then seq end) over (partition by project_id, destination_id)
            as last_inactive_seq
    from versions
),

activated as (
    -- The version that made it active: what is only named anew meanwhile goes on.
    select
        project_id,
        destination_id,
        min(received_us) as active_us
    from placed
    where is_active and seq > coalesce(last_inactive_seq, -1)
    group by project_id, destination_id
),

defined as (
    select
        project_id,
        key as destination_id,
        version,
        received_us,
        body,
        {{ json_value('body', "'kind'") }} as destination_kind,
        coalesce({{ json_value('body', "'is_active'") }} = 'true', false) as is_active,
        {{ json_value('body', "'trigger'") }} as told_on,
        try_cast({{ json_value('body', "'since_us'") }} as bigint) as since_us,
        {{ json_value('body', "'sender'") }} as sender,
        {{ json_value('body', "'value'") }} as told_value,
        {{ json_value('body', "'consent'") }} as consent,
        {{ json_value('body', "'event_id'") }} as event_id,
        {{ json_value('body', "'skip_suspected_doubles'") }} as skip_suspected_doubles,
        {{ json_value('body', "'mode'") }} as mode,
        try_cast({{ json_value('body', "'payout_percent'") }} as decimal(9, 6)) as payout_percent,
        try_cast({{ json_value('body', "'sample_percent'") }} as decimal(9, 6)) as sample_percent,
        upper({{ json_value('body', "'default_country'") }}) as default_country,
        {{ json_value('body', "'include'") }} as included
    from {{ ref('int_definitions') }}
    where kind = 'destination' and not is_deleted
),

choices as (
    select
        project_id,
        destination_id,
        max(case when chosen_by in ('name', 'goal') then 1 else 0 end) = 1 as is_limited_by_name,
        max(case when chosen_by = 'source' then 1 else 0 end) = 1 as is_limited_by_source
    from {{ ref('int_destination_choices') }}
    group by project_id, destination_id
)

select
    defined.project_id,
    defined.destination_id,
    defined.version,
    defined.destination_kind,
    defined.is_active,
    case
        when defined.told_on in ('created', 'approved', 'every_change') then defined.told_on
        when defined.destination_kind = 'webhook' then 'every_change'
        else 'approved'
    end as told_on,
    -- One that sleeps is shown as if it were woken now.
    coalesce(defined.since_us, activated.active_us, defined.received_us) as since_us,
    coalesce(choices.is_limited_by_name, false) as is_limited_by_name,
    coalesce(choices.is_limited_by_source, false) as is_limited_by_source,
    coalesce(defined.sender = 'server', false) as wants_server,
    coalesce(defined.told_value = 'gross', false) as tells_gross,
    coalesce(defined.consent = 'required', false) as requires_consent,
    coalesce(defined.event_id, 'transaction_id') as dedup_by,
    coalesce(
        defined.skip_suspected_doubles = 'true',
        defined.destination_kind in ('meta', 'google')
    ) as skips_suspected_doubles,
    coalesce(defined.mode = 'first', false) as tells_first_only,
    cast(least(greatest(coalesce(defined.payout_percent, 100), 0), 100) * 1000000 as bigint) as payout_ppm100,
    cast(least(greatest(coalesce(defined.sample_percent, 100), 0), 100) * 1000000 as bigint) as sample_ppm100,
    coalesce(defined.default_country, '') as default_country,
    defined.destination_kind in ('meta', 'google')
    or coalesce(contains(defined.included, '"hashes"'), false) as tells_people
from defined
left join activated
    on defined.project_id = activated.project_id and defined.destination_id = activated.destination_id
left join choices
    on defined.project_id = choices.project_id and defined.destination_id = choices.destination_id
where defined.destination_kind in ('postback', 'meta', 'google', 'webhook')
