-- Marts of a project with two currencies, 3,000 landing pages and two years. Facts come first, and reports are
-- grouped from them as the models do it, so that figures of different marts are about the same things, and a
-- figure's rows add up to it. Some
-- landing pages and campaigns earn only in the currency that is not the project's own, and of that one no rate is
-- known on three days.
create temp macro in_dollars(minor, currency, day) as
    case when currency = 'USD' then minor
        when day not between date '2026-12-08' and date '2026-12-10' then round(minor * 1.1) end::bigint;
create temp table visits as
select
    number,
    timestamp '2025-01-06 00:00:00'
        + to_seconds(((number * 5821) % (714 * 86400))::bigint) as began,
    'shop/user:u' || (number % 7000) as person_id,
    case number % 5 when 0 then 'google' when 1 then 'facebook' when 2 then 'newsletter' when 3 then 'bing'
        else '(direct)' end as source,
    case when number % 5 = 4 then '(none)' else 'cpc' end as medium,
    case when number % 5 < 2 then 'campaign ' || (number % 1500) end as campaign,
    case number % 4 when 0 then 'DE' when 1 then 'US' when 2 then 'FR' end as country,
    '/p/' || (number % 3000) as landing_page,
    number % 8 = 0 as converts,
    case when number % 3 = 0 then 'EUR' else 'USD' end as currency,
    case when number % 48 = 0 then 'pending' when number % 80 = 0 then 'rejected' else 'approved' end as state,
    case when number % 56 <> 0 then 1000 + (number * 37) % 9973 end as amount_minor,
    case when number % 104 = 0 then 333 else 0 end as refunded_minor
from (select unnest(range(12000)) as number);

-- Columns that marts of older versions lack.
alter table fct_sessions add column if not exists device varchar;
alter table fct_sessions add column if not exists new_or_returning varchar;
alter table rpt_landing_pages add column if not exists shared_cost_minor decimal(38, 0);

insert into dim_projects by name
select 'shop' as project_id, 'UTC' as time_zone, 'USD' as reporting_currency, 30 as lookback_days,
    'last_touch' as default_model, 12000 as events, timestamp '2026-12-20 12:00:00' as last_received_at;

insert into fct_sessions by name
select 'shop/s' || number as session_id, 'shop' as project_id, person_id, 'v' || (number % 7000) as visitor_id,
    began as started_at, began + interval 5 minutes as ended_at, began::date as session_date, source, medium, campaign,
    country, landing_page, 1 + number % 4 as page_views, number % 5 = 4 as is_direct, number % 97 = 0 as is_bot,
    'mobile' as device, case when number < 7000 then 'new' else 'returning' end as new_or_returning
from visits;

insert into fct_conversions by name
select 'shop/o' || number as conversion_id, 'shop' as project_id, person_id, 'purchase' as name,
    'order ' || number as transaction_id, 'openanalytics' as dialect, began as occurred_at,
    began::date as conversion_date, landing_page as page_id, state, state as status, false as is_status_unknown,
    false as is_suspected_double, 'visitor' as matched_by, 'shop/s' || number as session_id, country, currency,
    amount_minor, false as is_default_payout, refunded_minor,
    case when state = 'approved' then coalesce(amount_minor, 0) - refunded_minor else 0 end as net_amount_minor,
    'USD' as reporting_currency, in_dollars(amount_minor, currency, began::date) as reporting_amount_minor,
    in_dollars(refunded_minor, currency, began::date) as reporting_refunded_minor,
    in_dollars(
        case when state = 'approved' then coalesce(amount_minor, 0) - refunded_minor else 0 end, currency, began::date
    ) as reporting_net_amount_minor, 1 as reports, 'e' || number as event_id
from visits where converts;

insert into fct_conversion_ledger by name
select 'sale:' || conversion_id as entry_id, project_id, conversion_id, person_id, event_id, 'sale' as reason,
    occurred_at as learnt_at, conversion_date as learnt_date, occurred_at as happened_at,
    conversion_date as happened_date, conversion_date, currency, amount_minor, 'USD' as reporting_currency,
    reporting_amount_minor
from fct_conversions where state = 'approved' and amount_minor is not null
union all by name
select 'refund:' || conversion_id as entry_id, project_id, conversion_id, person_id, event_id,
    'refund' as reason, occurred_at as learnt_at, conversion_date + 1 as learnt_date,
    occurred_at as happened_at, conversion_date as happened_date, conversion_date, currency,
    -refunded_minor as amount_minor, 'USD' as reporting_currency,
    reporting_net_amount_minor - coalesce(reporting_amount_minor, 0) as reporting_amount_minor
from fct_conversions where state = 'approved' and refunded_minor > 0
union all by name
-- Refunds whose sale nobody reported, one of them after everything else.
select 'unmatched:' || day as entry_id, 'shop' as project_id, 'r' || day as refund_event_id,
    'shop/user:u1' as person_id, 'r' || day as event_id, 'refund' as reason,
    day::timestamp + interval 9 hours as learnt_at, day as learnt_date,
    day::timestamp + interval 9 hours as happened_at, day as happened_date, day as conversion_date,
    currency, -minor as amount_minor, 'USD' as reporting_currency,
    in_dollars(-minor, currency, day) as reporting_amount_minor
from (values (date '2025-02-03', 'EUR', 1500), (date '2026-12-10', 'EUR', 2000),
    (date '2026-12-18', 'USD', 999), (date '2026-12-20', 'USD', 1)) as refunds (day, currency, minor);

create temp table touched as
select conversions.*, visits.source, visits.medium, visits.campaign, visits.landing_page, visits.number
from fct_conversions as conversions
inner join visits on conversions.conversion_id = 'shop/o' || visits.number
where conversions.state <> 'rejected';

insert into fct_touches by name
select 'shop/t' || number || '.' || part as touch_id, project_id, person_id, session_id,
    occurred_at as touched_at, case when part = 2 then 'blog' else source end as source,
    case when part = 2 then 'referral' else medium end as medium, case when part = 1 then campaign end as campaign,
    landing_page, country
from touched
cross join (values (1), (2)) as parts (part);

insert into fct_attribution by name
select model || ':' || part || ':' || conversion_id as attribution_id, project_id, model, conversion_id,
    'shop/t' || number || '.' || part as touch_id, person_id, occurred_at as converted_at, conversion_date,
    occurred_at as touched_at, case when part = 2 then 'blog' else source end as source,
    case when part = 2 then 'referral' else medium end as medium, case when part = 1 then campaign end as campaign,
    state, case when model = 'linear' then case part when 1 then 333333333 else 666666667 end
        else 1000000000 end as credit_nano,
    currency,
    case when model <> 'linear' then net_amount_minor when part = 1 then net_amount_minor // 3
        else net_amount_minor - net_amount_minor // 3 end as credited_amount_minor,
    'USD' as reporting_currency,
    case when model <> 'linear' then reporting_net_amount_minor when part = 1 then reporting_net_amount_minor // 3
        else reporting_net_amount_minor - reporting_net_amount_minor // 3 end as reporting_credited_amount_minor
from touched
cross join (values ('last_touch', 1), ('first_touch', 2), ('linear', 1), ('linear', 2)) as models (model, part);

insert into rpt_traffic by name
select 'shop' as project_id, report_date, source, medium, campaign, country, landing_page, device, currency,
    sum(sessions) as sessions, sum(credit_nano) as credit_nano, sum(pending_nano) as pending_credit_nano,
    sum(minor) as net_amount_minor, 'USD' as reporting_currency, sum(dollars) as reporting_net_amount_minor
from (
    select session_date as report_date, source, medium, campaign, country, landing_page, 'mobile' as device,
        'USD' as currency, 1 as sessions, 0 as credit_nano, 0 as pending_nano, 0 as minor, 0 as dollars
    from fct_sessions where not is_bot
    union all
    select credits.conversion_date, credits.source, credits.medium, credits.campaign, touched.country,
        touched.landing_page, 'mobile', credits.currency, 0, credit_nano,
        case when credits.state = 'pending' then credit_nano else 0 end, credited_amount_minor,
        reporting_credited_amount_minor
    from fct_attribution as credits inner join touched on credits.conversion_id = touched.conversion_id
    where model = 'last_touch'
)
group by all;

insert into fct_costs by name
select 'shop' as project_id, cost_date, source, medium, campaign, currency, sum(minor) as amount_minor,
    'USD' as reporting_currency, sum(in_dollars(minor, currency, cost_date)) as reporting_amount_minor
from (
    -- Two campaigns are paid in two currencies, and one earned nothing.
    select began::date as cost_date, source, medium, campaign,
        case when number % 900 = 0 then 'EUR' else 'USD' end as currency, 10 + number % 37 as minor
    from visits where campaign is not null and number % 9 = 0
    union all
    select date '2026-12-01', 'tv', 'spot', null, 'EUR', 250000
)
group by all;

insert into rpt_landing_pages by name
select 'shop' as project_id, report_date, landing_page, currency, sum(sessions) as sessions,
    sum(converting) as converting_sessions, sum(conversions) as conversions,
    sum(pending) as pending_conversions, sum(minor) as net_amount_minor, sum(cost) as shared_cost_minor,
    'USD' as reporting_currency, sum(dollars) as reporting_net_amount_minor,
    sum(cost_dollars) as reporting_shared_cost_minor
from (
    select session_date as report_date, landing_page, 'USD' as currency, 1 as sessions, 0 as converting,
        0 as conversions, 0 as pending, 0 as minor, null::bigint as cost, 0 as dollars,
        null::bigint as cost_dollars
    from fct_sessions where not is_bot
    union all
    -- Those of bots' sessions have no page.
    select coalesce(session_date, conversion_date), coalesce(sessions.landing_page, '(none)'), currency, 0,
        (sessions.session_id is not null)::int, 1, (state = 'pending')::int, net_amount_minor, null,
        reporting_net_amount_minor, null
    from touched
    left join fct_sessions as sessions on touched.session_id = sessions.session_id and not sessions.is_bot
    union all
    -- As if all of a campaign's sessions of a day had landed on one page, and television on none.
    select cost_date, case when source = 'tv' then '(none)' else '/p/' || (amount_minor % 3000)::bigint end,
        currency, 0, 0, 0, 0, 0, amount_minor, 0, reporting_amount_minor
    from fct_costs
)
group by all;

insert into rpt_pages by name
select 'shop' as project_id, report_date, page_id, currency, case when page_id = '/p/0' then 'Start' end as page_name,
    null as page_kind, sum(views) as views, sum(conversions) as conversions, sum(minor) as net_amount_minor,
    2 * sum(conversions) as assisted_conversions, 2 * sum(minor) as assisted_amount_minor,
    'USD' as reporting_currency, sum(dollars) as reporting_net_amount_minor,
    2 * sum(dollars) as reporting_assisted_amount_minor
from (
    select session_date as report_date, landing_page as page_id, 'USD' as currency, 1 as views, 0 as conversions,
        0 as minor, 0 as dollars
    from fct_sessions where not is_bot
    union all
    select conversion_date, page_id, currency, 0, 1, net_amount_minor, reporting_net_amount_minor from touched
)
group by all;

insert into rpt_campaigns by name
select project_id, report_date, source, medium, campaign, currency, sum(sessions) as sessions,
    sum(credit_nano) as credit_nano, sum(net_amount_minor) as net_amount_minor, sum(cost) as cost_minor,
    'USD' as reporting_currency, sum(dollars) as reporting_net_amount_minor, sum(cost_dollars) as reporting_cost_minor
from (
    select project_id, report_date, source, medium, campaign, currency, sessions, credit_nano,
        net_amount_minor, null::decimal(38, 0) as cost, reporting_net_amount_minor as dollars,
        null::decimal(38, 0) as cost_dollars
    from rpt_traffic
    union all
    select project_id, cost_date, source, medium, campaign, currency, 0, 0, 0, amount_minor, 0, reporting_amount_minor
    from fct_costs
)
group by all;

insert into rpt_attribution by name
select project_id, conversion_date as report_date, model, source, medium, campaign, currency,
    sum(credit_nano) as credit_nano, sum(credited_amount_minor) as net_amount_minor,
    'USD' as reporting_currency, sum(reporting_credited_amount_minor) as reporting_net_amount_minor
from fct_attribution group by all;

insert into dim_goals by name
select 'shop' as project_id, goal_id, goal_id as name, 'api' as defined_by, 'any_conversion' as match_type,
    true as counts_as_conversion, false as is_micro
from (values ('sale'), ('never')) as goals (goal_id);

-- One link fires conversions, one events; what fires nothing is left by bots, too.
insert into fct_link_clicks by name
select 'shop' as project_id, 'c' || number as event_id, 'link-' || number % 3 as link_id, 1 + number % 2 as target_number,
    began as clicked_at, began::date as click_date, person_id, 'v' || (number % 700) as visitor_id,
    'shop/s' || number as session_id, number % 11 = 0 as is_bot, 'https://offers.example/' as url,
    case when number % 3 = 0 and number % 11 <> 0 then 'shop/c' || (number // 6) end as conversion_id
from visits;

-- What came from bing completes no goal.
insert into fct_goal_completions by name
select 'sale ' || conversion_id as completion_id, project_id, 'sale' as goal_id, person_id, session_id, conversion_id,
    event_id, occurred_at as completed_at, conversion_date as completion_date, false as is_micro
from touched where source <> 'bing'
union all by name
select 'link ' || event_id as completion_id, project_id, 'link-link-1' as goal_id, person_id, session_id, event_id,
    clicked_at as completed_at, click_date as completion_date, false as is_micro
from fct_link_clicks where link_id = 'link-1' and not is_bot;

insert into rpt_goals by name
select completions.project_id, completion_date as report_date, goal_id, sessions.country, is_micro,
    count(*) as completions, count(*) as sessions, count(conversion_id) as conversions
from fct_goal_completions as completions
inner join fct_sessions as sessions on completions.session_id = sessions.session_id
group by all;

insert into rpt_goal_attribution by name
select credits.project_id, conversion_date as report_date, model, goal_id, source, medium, campaign, currency,
    sum(credit_nano) as credit_nano, sum(credited_amount_minor) as net_amount_minor,
    'USD' as reporting_currency, sum(reporting_credited_amount_minor) as reporting_net_amount_minor
from fct_attribution as credits
inner join fct_goal_completions as completions on credits.conversion_id = completions.conversion_id
group by all;

insert into rpt_paths by name
select 'shop' as project_id, 1 + number // 8 % 400 as path_rank,
    'blog > google > p' || (number // 8 % 400) as path, 3 as touches, currency, count(*) as conversions,
    sum(net_amount_minor) as net_amount_minor, 'USD' as reporting_currency,
    sum(reporting_net_amount_minor) as reporting_net_amount_minor, 3600 as median_seconds, 5400 as path_median_seconds
from touched group by all;

insert into rpt_time_to_convert by name
select 'shop' as project_id, conversion_date as report_date, number % 45 as days_to_convert,
    1 + number % 3 as touches, currency, count(*) as conversions, sum(net_amount_minor) as net_amount_minor,
    'USD' as reporting_currency, sum(reporting_net_amount_minor) as reporting_net_amount_minor
from touched group by all;

insert into rpt_funnels by name
select 'shop' as project_id, 'order' as funnel_id, 'Visit to order' as funnel_name, 'ordered' as mode,
    'person' as unit, began::date as entry_date,
    case when number % 5 = 4 then 'site' || (number % 400) else source end as source,
    step as step_number, 'Step ' || step as step_name,
    count(*) filter (where step = 1 or number % 2 = 0) as entered,
    count(*) filter (where step = 1 or number % (step * 2) = 0) as completed,
    count(*) filter (where step = 1 or number % 2 = 0)
        - count(*) filter (where step = 1 or number % (step * 2) = 0) as dropped_off,
    30 * step as median_seconds
from visits
cross join (values (1), (2), (3)) as steps (step)
group by all;

insert into rpt_cohorts by name
select 'shop' as project_id, date '2025-01-06' + 7 * week::int as cohort_week, number as week_number, currency,
    case when currency = 'USD' then 70 else 0 end as people,
    case when currency = 'USD' then (week * 5 + number * 3) % 70 else 0 end as returned,
    case when currency = 'USD' then (week + number) % 20 else 0 end as converted,
    week % 3 as conversions, 100 * week as net_amount_minor,
    'USD' as reporting_currency, case when currency = 'USD' then 100 else 110 end * week as reporting_net_amount_minor
from range(102) as weeks (week), range(102) as numbers (number), (values ('USD'), ('EUR')) as c (currency)
where week + number < 102;

-- Seven people saw both.
insert into fct_experiment_exposures by name
select 'shop' as project_id, 'button' as experiment_id, variant as variant_id, 'shop/s' || number as session_id,
    'shop/user:u' || number as person_id, timestamp '2025-01-06 00:00:00' + to_seconds(number) as exposed_at,
    date '2025-01-06' as exposure_date, 1 as page_views, number between 993 and 999 as has_several_variants
from (values ('a', 0, 999), ('b', 993, 1993)) as variants (variant, first, last), range(2000) as numbers (number)
where number between first and last;

insert into rpt_experiments by name
select 'shop' as project_id, 'button' as experiment_id, 'Button' as experiment_name, variant as variant_id,
    variant = 'a' as is_control, null as goal_id, people as exposed, 7 as exposed_to_several,
    converted, converted as conversions, (converted / people)::decimal(10, 9) as rate,
    0.0512::decimal(10, 9) as rate_low, 0.1398 as rate_high,
    case when variant = 'b' then 0.0123 end as difference, case when variant = 'b' then 0.001 end as difference_low,
    case when variant = 'b' then 0.02 end as difference_high, case when variant = 'b' then 0.123456 end as uplift
from (values ('a', 1000, 101), ('b', 1001, 119)) as variants (variant, people, converted);

insert into rpt_channel_importance by name
select 'shop' as project_id, source, count(*) as touches, count(*) as journeys,
    count(*) filter (where converts) as converting_journeys,
    (count(*) / 100000)::decimal(20, 12) as removal_effect, 0.2 as removal_effect_share,
    (count(*) / 1000000 - 0.003)::decimal(20, 12) as shapley_value, 0.0004 as shapley_error
from visits group by source;

insert into rpt_data_trust by name
select 'shop' as project_id, session_date as report_date, measure, detail, severity, 'What it means.' as meaning,
    count(*) as occurrences
from fct_sessions, (values ('unknown_status', 'shipped', 'warning'), ('unknown_status', 'sent', 'warning'),
    ('events', null, 'info')) as measures (measure, detail, severity)
group by all;

insert into dim_people by name
select 'shop' as project_id, 'shop/user:u8' as person_id, 'user' as id_type, 'u8' as id_value,
    true as is_user_known, timestamp '2025-01-06 00:00:00' as first_seen_at,
    timestamp '2026-12-20 00:00:00' as last_seen_at, 41 as events, 1 as users, 0 as hashed_ids, 2 as visitors;

insert into dim_identifiers by name
select 'shop' as project_id, 'user' as id_type, 'u8' as id_value, 'shop/user:u8' as person_id,
    'shop/user:u8' as identifier_person_id, 'own' as linked_by, timestamp '2025-01-06 00:00:00' as first_seen_at,
    timestamp '2026-12-20 00:00:00' as last_seen_at, 41 as events;

insert into rpt_event_counts by name
select 'shop' as project_id, conversion_date as event_date, 'conversion' as event_type, 'purchase' as name,
    count(*) as events, count(*) as completions
from fct_conversions group by all;

insert into rpt_exchange_rates by name
select 'shop' as project_id, 'EUR' as currency, 'USD' as reporting_currency, 700 as rates, 690 as own_rates,
    date '2025-01-01' as first_rate_date, date '2026-12-07' as last_rate_date, 1.25 as latest_rate;
