// The names that pages call: flux, oa and _pgnt. Behind them is one table of calls.

import { config } from "./config.js";
import { consent, emit, mayIdentify, optOut, page, setPage } from "./events.js";
import { decorate } from "./links.js";
import { next } from "./pages.js";
import { quiet, warn } from "./quiet.js";
import { current, sessionFacts, setSessionFacts } from "./sessions.js";
import { forget } from "./stores.js";

const LONGEST_TEXT = 4096;
const LONGEST_OBJECT = 20000;

/** A text, also of a number; nothing where nothing is said. */
function text(value) {
    if (/string|number/.test(typeof value)) return `${value}`.slice(0, LONGEST_TEXT);
    if (value != null) warn("not a text:", value);
}

/** A copy of an object's data; nothing where it has none. */
const object = quiet((value) => {
    const json = JSON.stringify(value || {});
    if (json[0] === "{" && json.length < LONGEST_OBJECT) return json === "{}" ? undefined : JSON.parse(json);
    warn("not an object, or too large:", value);
});

/** An amount in major units, as text. Of a sum like 0.1 + 0.2 it has the digits that a person would write. */
const amount = (value) => (typeof value === "number" ? text(+value.toPrecision(15)) : text(value));

/** What FunnelFlux' pages say; a macro that nobody replaced says nothing. */
const said = (value) => (/^\s*(VALUE|REPLACE)?\s*$|\{.*\}|%7b.*%7d/i.test(value) ? undefined : text(value));

/** Calls for an event that has a name. */
const named =
    (work) =>
    (name, data) =>
        typeof name === "string" && name ? work(text(name), object(data)) : warn("not a name:", name);

const CALLS = {
    __proto__: null,
    track: named((name, props) => {
        if (name !== "conversion") {
            emit("flux", "event", { name, props });
            return;
        }
        const { rev, tx, p, vid, hit, currency, ...others } = props || {};
        const ids = { vid: said(vid), hit: said(hit) };
        if (ids.vid && ids.hit) warn("vid or hit, not both");
        const money = { rev: typeof rev === "number" ? amount(rev) : said(rev), cur: said(currency), tx: said(tx) };
        emit("flux", "conversion", { ...ids, ...money, page: said(p), props: object(others) });
    }),
    consent(all, { ads } = {}) {
        const isDecision = /^(granted|denied)$/;
        if (isDecision.test(all)) consent(all, isDecision.test(ads) ? ads : "");
        else warn("not a decision:", all);
    },
    experiment(given) {
        const { id, variation } = object(given) || {};
        if (!id || !mayIdentify()) return;
        const { sid } = current(false, !page.sid && page);
        const facts = sessionFacts(sid);
        setSessionFacts({ ...facts, x: object(given), exp: { ...facts.exp, [id]: text(variation) } });
    },
    reset() {
        forget();
        // What follows on this page is another visitor's, who hasn't viewed it.
        setPage({ ...page, hit: undefined, sid: undefined });
    },
    optOut,
    pageview: (props) => next(object(props)),
    event: named((name, props) => emit("oa", "event", { name, props })),
    identify(id, traits) {
        const user = text(id);
        if (user) emit("oa", "identify", { user, props: object(traits) });
    },
    conversion: named((name, props) => {
        const { revenue, currency, order_id, transaction_id } = props || {};
        const money = { rev: amount(revenue), cur: text(currency), tx: text(order_id || transaction_id) };
        emit("oa", "conversion", { name, ...money, props });
    }),
};

let early = [];

const run = quiet(([name, ...given]) => {
    if (!CALLS[name]) warn("not a call:", name);
    else if (early) early.push([name, ...given]);
    else CALLS[name](...given);
});

/** Hear the calls that came early: first those that say how the page is recorded, then `between`, then the others. */
export function hear(between) {
    const calls = early;
    early = undefined;
    const isSetting = ([name]) => /^(con.*t|ex|op)/.test(name);
    calls.filter(isSetting).map(run);
    between();
    calls.filter((call) => !isSetting(call)).map(run);
}

const variables = quiet((label) => {
    const { vid = null, sid = null } = mayIdentify() ? current() : {};
    const { id, numeric_id, variation, is_control, endpoint_path } = sessionFacts(sid).x || {};
    const goals = config.goals || {};
    return {
        session_id: sid,
        user_id: vid,
        visit_id: (vid && page.hit) || null,
        conversion_id: {}.hasOwnProperty.call(goals, label) ? goals[label] : null,
        experiment_id: text(id) || null,
        experiment_numeric_id: typeof numeric_id === "number" ? numeric_id : null,
        variation_id: text(variation) || null,
        is_control: typeof is_control === "boolean" ? is_control : null,
        endpoint_path: text(endpoint_path) || null,
    };
});

/** Take the three names, and the calls that a stub has collected; a stub that the page kept works on. */
export function takeNames() {
    const { flux = {}, oa = {}, _pgnt = {} } = window;
    const hear = (call) => run([...call]);
    for (const queue of [flux.q, oa.q]) {
        if (!queue) continue;
        queue.splice(0).map(hear);
        queue.push = hear;
    }
    for (const name of ["track", "consent", "experiment", "reset", "optOut"]) {
        flux[name] = (...given) => run([name, ...given]);
    }
    window.flux = Object.assign(flux, { fh: 1, decorate });
    window.oa = (...given) => run(given);
    window._pgnt = Object.assign(_pgnt, { variables });
}
