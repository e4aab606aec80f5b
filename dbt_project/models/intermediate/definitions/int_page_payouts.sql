-- One row per page and span of time: what a conversion on it is worth when its sender never says.
with currencies as (
    select * from {{ ref('currencies') }}
),

listed as (
    select
        project_id,
        key as page_id,
        {{ json_elements('body', 'payouts') }} as payout
    from {{ ref('int_definitions') }}
    where kind = 'page' and not is_deleted
),

typed as (
    select
        project_id,
        page_id,
        cast({{ json_value('payout', "'valid_from_us'") }} as bigint) as valid_from_us,
        {{ json_value('payout', "'amount'") }} as amount_text,
        {{ json_value('payout', "'currency'") }} as currency
    from listed
),

spanned as (
    select
        *,
        row_number() over (partition by project_id, page_id order by valid_from_us) as payout_number,
        lead(valid_from_us) over (partition by project_id, page_id order by valid_from_us) as valid_until_us
    from typed
)

select
    spanned.project_id,
    spanned.page_id,
    -- Before the first version the first holds.
    case when spanned.payout_number > 1 then spanned.valid_from_us end as valid_from_us,
    spanned.valid_until_us,
    {{ minor_units('spanned.amount_text', 'coalesce(currencies.minor_per_major, 100)') }} as amount_minor,
    spanned.currency
from spanned
left join currencies on spanned.currency = currencies.currency
