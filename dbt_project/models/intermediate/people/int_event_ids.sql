-- One row per event: the ids by which it says whose it is, as far as they link anything.
{{ config(materialized='view') }}
with events as (
    select * from {{ ref('int_events_in_work') }}
),

aliases as (
    select * from {{ ref('int_aliases') }}
),

hashed_ids as (
    select * from {{ ref('int_hashed_ids') }}
    where conflict is null
),

emails as (
    select * from hashed_ids
    where id_type = 'email'
),

phones as (
    select * from hashed_ids
    where id_type = 'phone'
),

weighed as (
    select
        events.*,
        events.kind in ('alias', 'unalias') and aliases.seq is null as is_void
    from events
    left join aliases on events.seq = aliases.seq
),

named as (
    select
        weighed.seq,
        weighed.project_id,
        weighed.event_id,
        weighed.occurred_us,
        weighed.session_id,
        weighed.click_id_type,
        weighed.click_id,
        weighed.is_void,
        case when not weighed.is_void then weighed.visitor_id end as visitor_id,
        case when not weighed.is_void then weighed.user_id end as user_id,
        emails.id_value as email,
        phones.id_value as phone
    from weighed
    left join emails on weighed.seq = emails.seq
    left join phones on weighed.seq = phones.seq
)

select
    seq,
    project_id,
    event_id,
    occurred_us,
    visitor_id,
    user_id,
    email,
    phone,
    case
        when user_id is not null then {{ identifier_id('user', 'user_id') }}
        when email is not null then {{ identifier_id('email', 'email') }}
        when phone is not null then {{ identifier_id('phone', 'phone') }}
    end as strong_id,
    case
        when session_id is not null then {{ identifier_id('session', 'session_id') }}
        when click_id is not null then {{ identifier_id('click', "click_id_type || ':' || click_id") }}
        else {{ identifier_id('event', 'event_id') }}
    end as lone_person_id,
    is_void
from named
