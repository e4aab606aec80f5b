// An event, from the call that made it to the queue.

import { config, isSilent } from "./config.js";
import { hashOf, idOf, newId } from "./ids.js";
import { discard, enqueue, resume } from "./queue.js";
import { addressed, current, firstView, sessionFacts } from "./sessions.js";
import { forget, get, isDenied, isOpen, local, put, setLocal } from "./stores.js";

const MOST_WAITING = 50;

/** The page view of the moment: its address, referrer, hit, time, node and the node's kind; its session, once said. */
export let page;

export const setPage = (view) => {
    page = view;
};

let isOut;
let hasViewed;
let waiting = [];

/** Nothing of this visitor is recorded. */
const isOff = () => isSilent || isOut || local("fh_out");

/** Ids may be shown to the page. */
export const mayIdentify = () => !isOff() && !isDenied();

/** Ids may be given to other hosts: none is, before the visitor decided. */
export const mayHandOn = () => mayIdentify() && !isOpen();

/** Send an event, have it wait for the visitor's decision, or forget it. */
export function emit(api, type, fields, at = Date.now(), view = page) {
    if (isOff()) return;
    if (isOpen()) {
        waiting = waiting.slice(1 - MOST_WAITING).concat([[api, type, fields, at, view]]);
        return;
    }
    const event = { id: newId(), api, type, t: at, ...addressed(view.href, view.ref), page: view.page, pk: view.kind };
    if (isDenied()) {
        if (config.denied !== "anonymous" || type === "identify") return;
        fields = { ...fields, vid: undefined, hit: undefined };
    } else {
        const isView = type === "pageview";
        const { vid, sid } = current(true, isView && view);
        const { hit } = view;
        if (isView) {
            view.sid = sid;
            // Made now, for a link that is clicked later: the hashes take a moment.
            hashOf(sid);
            hashOf(hit);
        }
        Object.assign(event, { first: firstView(sid, view, isView), exp: sessionFacts(sid).exp });
        if (api === "flux" && type === "conversion") {
            // With a hit or a session of ours, the models would take that view; so they take the latest of an offer.
            if (!fields.hit) event.vid = vid;
            // A page that is loaded again reports the same conversion.
            if (!fields.tx) event.id = idOf(sid + view.href.replace(/[?#].*/, "") + JSON.stringify(fields));
        } else {
            Object.assign(event, { vid, sid, hit });
        }
    }
    for (const name in fields) event[name] = fields[name] || event[name];
    enqueue(event);
}

/** A page view of its own. */
export function view(props) {
    hasViewed = true;
    emit("oa", "pageview", { props });
}

/** Forget the visitor, here and in the browser's stores. */
export function forgetAll() {
    forget();
    discard();
    page = { ...page, hit: newId(), sid: undefined };
}

/** The visitor's decision, with that of ads. */
export function consent(all, ads) {
    const wasDenied = isDenied();
    put("fh_consent", `${all}.${ads}`);
    const held = waiting;
    waiting = [];
    if (isDenied()) {
        forgetAll();
    } else {
        // What was made while the visitor had not decided is kept; what the browser knew stands above it.
        put("fh_ses", get("fh_ses"));
        put("fh_vid", get("fh_vid"));
        resume();
        // The page was opened when it might not be recorded.
        if (wasDenied && hasViewed) view();
    }
    for (const each of held) emit(...each);
}

export function optOut(out = true) {
    isOut = out;
    setLocal("fh_out", out && "1");
    if (out) {
        forgetAll();
        waiting = [];
    }
}
