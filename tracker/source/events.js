// An event, from the call that made it to the queue.

import { config, isSilent } from "./config.js";
import { hashOf, idOf, newId } from "./ids.js";
import { enqueue, send } from "./queue.js";
import { current, firstView, sessionFacts } from "./sessions.js";
import { sent } from "./addresses.js";
import { forget, get, isDenied, isOpen, put } from "./stores.js";

const MOST_WAITING = 50;

/** The page view of the moment, in the wire's words: url, ref, hit, t, page and pk; and sid, once it is said. */
export let page;

export const setPage = (view) => {
    page = view;
};

let waiting = [];

/** Nothing of this visitor is recorded. */
const isOff = () => isSilent || get("fh_out");

/** Ids may be shown to the page. */
export const mayIdentify = () => !isOff() && !isDenied();

/** Ids may be given to other hosts: none is, before the visitor decided. */
export const mayHandOn = () => mayIdentify() && !isOpen();

/** Send an event, have it wait for the visitor's decision, or forget it. */
export function emit(api, type, fields, t = Date.now(), view = page) {
    if (isOff()) return;
    if (isOpen()) {
        if (!waiting[MOST_WAITING]) waiting.push([api, type, fields, t, view]);
        return;
    }
    const event = { ...view, ...sent(view), id: newId(), api, type, t };
    if (isDenied()) {
        if (config.denied !== "anonymous" || type === "identify") return;
        Object.assign(event, fields, { vid: undefined, sid: undefined, hit: undefined });
    } else {
        const isView = type === "pageview" && view;
        const { vid, sid } = current(1, isView);
        if (isView) view.sid = sid;
        // A page that is loaded again reports the same conversion.
        if (isRepeatable(fields)) event.id = idOf(sid + view.url.replace(/[?#].*/, "") + JSON.stringify(fields));
        const first = firstView(sid, view, isView);
        Object.assign(event, { vid, sid, first, exp: sessionFacts(sid).exp }, fields);
        // Made now, for a link that is clicked later: the hashes take a moment.
        hashOf(sid);
        hashOf(view.hit);
    }
    enqueue(event);
}

/** FunnelFlux' conversions say that they have no session; some have nothing else that tells them from the next. */
const isRepeatable = (fields) => "sid" in fields && !fields.tx;

/** A page view of its own. */
export const view = (props) => emit("oa", "pageview", { props });

/** Forget the visitor, here and in the browser's stores. */
export function forgetAll() {
    forget("fh_vid", "fh_ses", "fh_first", "fh_q");
    page = { ...page, hit: newId(), sid: undefined };
    waiting = [];
}

/** The visitor's decision, with that of ads. */
export function consent(decision) {
    put("fh_consent", decision);
    const held = waiting;
    waiting = [];
    if (isDenied()) {
        forgetAll();
    } else {
        // What was made while the visitor had not decided is kept; what the browser knew stands above it.
        put("fh_ses", get("fh_ses"));
        put("fh_vid", get("fh_vid"));
        send();
    }
    for (const each of held) emit(...each);
}

export function optOut(out = true) {
    put("fh_out", out ? "1" : "");
    if (out) forgetAll();
}
