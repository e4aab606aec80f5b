-- One row per conversion and default country of phone numbers: whose it is, in the hashes that platforms ask.
-- What is plain here is in no table: it is read, made normal and hashed in this one query.
{# Each use reads the table: engines would keep what is read twice, with every column. #}
{% set events = ref('int_events_in_work') %}
{% set fields = [
    'email', 'phone', 'first_name', 'last_name', 'gender', 'birthday', 'city', 'state', 'postal_code',
    'country',
] %}
{# Without what is dialled after the number, and the zero that callers from abroad leave out. #}
{% set phone_text = without(
    lower_case('said_value'), "'^tel:|[(]0[)]|[;,]?[\\p{Z}]*(extension|ext[.]?|x|#)[\\p{Z}]*[0-9]*$'"
) %}
with countries as (
    select distinct
        project_id,
        default_country
    from {{ ref('int_destinations') }}
    where tells_people
),

conversions as (
    select
        conversion_id,
        project_id,
        person_id,
        country
    from {{ ref('int_forwarding_facts') }}
    where project_id in (select countries.project_id from countries)
),

known_properties as (
    select
        property,
        member,
        field,
        precedence
    from {{ ref('person_properties') }}
    union all
    select
        property,
        'hashed' as member,
        id_type as field,
        precedence
    from {{ ref('strong_id_properties') }}
),

reported as (
    select
        reports.conversion_id,
        events.project_id,
        events.seq,
        events.occurred_us,
        case when reports.is_deciding then 0 else 1 end as doubt,
        events.properties,
        {{ each_json_key('events.properties', var('properties_at_most')) }} as property
    from {{ ref('int_conversion_reports') }} as reports
    inner join {{ events }} as events on reports.seq = events.seq
    where
        reports.conversion_id in (select conversions.conversion_id from conversions)
        and events.properties is not null
),

identified as (
    select
        people.person_id,
        events.project_id,
        events.seq,
        events.occurred_us,
        events.properties,
        {{ each_json_key('events.properties', var('properties_at_most')) }} as property
    from {{ events }} as events
    inner join {{ ref('int_event_people') }} as people on events.seq = people.seq
    where
        events.kind = 'identify'
        and events.properties is not null
        and not people.is_void
        and people.person_id in (select conversions.person_id from conversions)
),

said as (
    select
        reported.conversion_id as owner_id,
        'conversion' as owner,
        reported.project_id,
        reported.seq,
        reported.occurred_us,
        reported.doubt,
        known_properties.member,
        known_properties.field,
        known_properties.precedence,
        {{ json_first('reported.properties', 'reported.property') }} as said_text,
        case
            when known_properties.member = 'custom'
                then {{ json_part('reported.properties', 'reported.property') }}
        end as said_json
    from reported
    inner join known_properties on reported.property = known_properties.property
    union all
    select
        identified.person_id as owner_id,
        'person' as owner,
        identified.project_id,
        identified.seq,
        identified.occurred_us,
        0 as doubt,
        known_properties.member,
        known_properties.field,
        known_properties.precedence,
        {{ json_first('identified.properties', 'identified.property') }} as said_text,
        cast(null as string) as said_json
    from identified
    inner join known_properties on identified.property = known_properties.property
    -- The rest is about one conversion.
    where known_properties.member in ('plain_person', 'person', 'hashed')
),

junk as (
    select * from {{ ref('junk_ids') }}
),

worded as (
    select
        *,
        {{ trimmed('said_text') }} as said_value
    from said
),

usable as (
    select worded.*
    from worded
    left join junk on {{ lower_case('worded.said_value') }} = junk.junk_id
    where
        junk.junk_id is null
        and worded.said_value <> ''
        and {{ text_bytes('worded.said_value') }} <= {{ var('id_bytes') }}
        and coalesce({{ text_bytes('worded.said_json') }}, 0) <= {{ var('address_bytes') }}
        -- What should be a hash and is none may be the address itself, and a hash is nobody's name.
        and (
            worded.member not in ('person', 'hashed')
            or {{ matches_pattern('worded.said_value', "'^[0-9a-fA-F]{64}$'") }} = (worded.member = 'hashed')
        )
),

calling_codes as (
    select * from {{ ref('calling_codes') }}
),

by_country as (
    -- A number without its country's code is of the country that the destination says.
    select
        usable.*,
        countries.default_country,
        calling_codes.calling_code,
        coalesce(calling_codes.trunk_prefix, '') as trunk_prefix
    from usable
    inner join countries on usable.project_id = countries.project_id
    left join calling_codes on countries.default_country = calling_codes.country
),

dialled as (
    select
        *,
        {{ without(phone_text, "'[^0-9]'") }} as phone_digits,
        {{ matches_pattern(phone_text, "'^[^0-9]*([+]|00)'") }} as has_country_code,
        {{ matches_pattern(phone_text, "'^[+(]*[0-9][-+0-9().,/\\p{Z}\\p{Pd}]*$'") }} as is_phone
    from by_country
),

normal as (
    select
        *,
        case
            when member = 'hashed' then {{ lower_case('said_value') }}
            when member = 'custom' then said_json
            when field = 'region_code' then upper({{ normal_country('said_value') }})
            when member <> 'person' then said_value
            when field = 'email' then {{ normal_email('said_value') }}
            when field = 'phone' and is_phone
                then {{ normal_phone('phone_digits', 'has_country_code', 'calling_code', 'trunk_prefix') }}
            when field in ('first_name', 'last_name') then {{ normal_name('said_value') }}
            when field in ('city', 'state') then {{ letters_of('said_value') }}
            when field = 'postal_code' then {{ normal_postal_code('said_value') }}
            when field = 'country' then {{ normal_country('said_value') }}
            when field = 'gender' then {{ normal_gender('said_value') }}
            when field = 'birthday' then {{ normal_birthday('said_value') }}
        end as normal_value
    from dialled
),

best_by_owner as (
    -- What a server said last, and of names that mean the same the first.
    select
        *,
        row_number() over (
            partition by owner, owner_id, default_country, member, field
            order by doubt asc, occurred_us desc, seq desc, precedence asc
        ) as preference
    from normal
    where normal_value <> ''
),

claimed as (
    select
        owner_id as conversion_id,
        default_country,
        member,
        field,
        normal_value,
        0 as is_persons
    from best_by_owner
    where owner = 'conversion' and preference = 1
    union all
    select
        conversions.conversion_id,
        best_by_owner.default_country,
        best_by_owner.member,
        best_by_owner.field,
        best_by_owner.normal_value,
        1 as is_persons
    from best_by_owner
    inner join conversions on best_by_owner.owner_id = conversions.person_id
    where best_by_owner.owner = 'person' and best_by_owner.preference = 1
),

ranked as (
    select
        *,
        row_number() over (
            partition by conversion_id, default_country, member, field order by is_persons
        ) as preference
    from claimed
),

gathered as (
    select
        conversion_id,
        default_country,
        {% for field in fields %}
        max(case when member = 'person' and field = '{{ field }}' then normal_value end) as {{ field }},
        {% endfor %}
        {% for field in ['email', 'phone', 'phone_e164'] %}
        max(case when member = 'hashed' and field = '{{ field }}' then normal_value end)
            as hashed_{{ field }},
        {% endfor %}
        {{ json_object_of_rows(
            'field', json_quoted('normal_value'), "member in ('plain', 'plain_person')"
        ) }} as plain,
        {{ json_object_of_rows('field', 'normal_value', "member = 'custom'") }} as custom_data
    from ranked
    where preference = 1
    group by conversion_id, default_country
),

us_states as (
    select * from {{ ref('us_states') }}
),

untitled_once as (
    select
        *,
        {{ without_title_before('first_name') }} as bare_first_name,
        {{ without_title_before('last_name') }} as bare_last_name
    from gathered
),

completed as (
    select
        untitled_once.conversion_id,
        untitled_once.default_country,
        untitled_once.email,
        {{ google_email('untitled_once.email') }} as google_email,
        untitled_once.hashed_email,
        untitled_once.phone,
        untitled_once.hashed_phone,
        untitled_once.hashed_phone_e164,
        untitled_once.first_name,
        untitled_once.last_name,
        -- Two may stand before a name, and one after it.
        {{ without_title_after(without_title_before('untitled_once.bare_first_name')) }} as google_first_name,
        {{ without_title_after(without_title_before('untitled_once.bare_last_name')) }} as google_last_name,
        untitled_once.gender,
        untitled_once.birthday,
        untitled_once.city,
        case
            when coalesce(untitled_once.country, {{ lower_case('conversions.country') }}) <> 'us'
                then untitled_once.state
            when length(untitled_once.state) = 2 then untitled_once.state
            else us_states.state_code
        end as state,
        case
            when coalesce(untitled_once.country, {{ lower_case('conversions.country') }}) = 'us'
                then left(untitled_once.postal_code, 5)
            else untitled_once.postal_code
        end as postal_code,
        coalesce(untitled_once.country, {{ normal_country('conversions.country') }}) as country,
        untitled_once.plain,
        untitled_once.custom_data
    from untitled_once
    inner join conversions on untitled_once.conversion_id = conversions.conversion_id
    left join us_states on untitled_once.state = us_states.state_name
)

select
    conversion_id,
    default_country,
    {{ one_or_both(sha256_hex('email'), 'hashed_email') }} as em_meta,
    {{ one_or_both(sha256_hex('google_email'), 'hashed_email') }} as em_google,
    {{ one_or_both(sha256_hex('phone'), 'hashed_phone') }} as ph_meta,
    {{ one_or_both(sha256_hex("'+' || phone"), 'hashed_phone_e164') }} as ph_google,
    {{ json_object_with({
        'fn': sha256_hex('first_name'), 'ln': sha256_hex('last_name'), 'ge': sha256_hex('gender'),
        'db': sha256_hex('birthday'), 'ct': sha256_hex('city'), 'st': sha256_hex('state'),
        'zp': sha256_hex('postal_code'), 'country': sha256_hex('country'),
        'fn_google': sha256_hex('google_first_name'), 'ln_google': sha256_hex('google_last_name'),
    }) }} as {{ adapter.quote("hashes") }},
    plain,
    custom_data
from completed
