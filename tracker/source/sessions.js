// The visitor and the session. Read again whenever they are used, so that the tabs of a browser agree.

import { campaign, sent } from "./addresses.js";
import { config } from "./config.js";
import { newId } from "./ids.js";
import { attempt } from "./quiet.js";
import { get, put } from "./stores.js";

const IDLE = (config.session_minutes || 30) * 6e4;
const LONGEST = 864e5;

/** The visitor and the session as they stand. `touch`: this is activity; `view`: the page view that begins. */
export function current(touch, view) {
    const now = Date.now();
    const vid = get("fh_vid") || newId();
    put("fh_vid", vid);

    let [sid, started, last] = get("fh_ses").split(".");
    if (!(now - last <= IDLE && now - started <= LONGEST) || (view && isSplit(sid, view))) {
        sid = newId();
        started = now;
        touch = true;
    }
    if (touch) put("fh_ses", `${sid}.${started}.${now}`);
    return { vid, sid };
}

/** Take over what a sister site knows. */
export function adopt(vid, sid) {
    if (get("fh_vid")) return;
    put("fh_vid", vid);
    put("fh_ses", `${sid}.${Date.now()}.${Date.now()}`);
}

/** What is known of the session: its first page view, and its experiments. */
export function sessionFacts(sid) {
    const facts = attempt(() => JSON.parse(get("fh_first")));
    return facts?.s === sid ? facts : { s: sid };
}

export const setSessionFacts = (facts) => put("fh_first", JSON.stringify(facts));

/** The session's first page view; it is this one where there was none. */
export function firstView(sid, view, isView) {
    const facts = sessionFacts(sid);
    if (isView && !facts.url) {
        Object.assign(facts, sent(view), { t: view.t });
        setSessionFacts(facts);
    }
    return facts.url && { ...sent(facts), t: facts.t, ...campaign(facts.url) };
}

/** The campaign that brought a page view: its session's, and its own before that. */
export function broughtBy(view, sid) {
    return { ...campaign(sessionFacts(sid).url), ...campaign(view.url) };
}

function isSplit(sid, view) {
    const { url } = sessionFacts(sid);
    return config.split_on_campaign && url && JSON.stringify(broughtBy(view, sid)) !== JSON.stringify(campaign(url));
}
