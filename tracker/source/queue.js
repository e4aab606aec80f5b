// What is to be sent, until an answer says that it arrived. The server forgets repeats by the events' ids.

import { config, endpoint } from "./config.js";
import { attempt, later, on } from "./quiet.js";
import { decision, forget, get, isDenied, isLive, mayUse, put } from "./stores.js";

const MOST = 50;
const MOST_KEPT = 65536;
const LONGEST_BATCH = 16000;
const OLDEST = 3 * 864e5;
const TRIES = 8;
const LONGEST_WAIT = 3e5;

/** What a developer tries is not to be mixed with what visitors did. */
const NAME = config.debug ? "fh_debug" : "fh_q";

let beaconed = "";
let isBusy;
let failures = 0;
let timer;
let notBefore = 0;

/** How many events were lost since that was last told, and those that wait: of earlier pages and other tabs, too. */
const waiting = () =>
    attempt(
        () => {
            const [lost, ...events] = JSON.parse(isLive && get(NAME));
            return [+lost || 0, ...events.filter((event) => event.id && Date.now() - event.t < OLDEST)];
        },
        () => [0],
    );

/** An event takes its place in the queue, or others leave it, and their loss was told. */
function change(come, gone, told) {
    let [lost, ...events] = waiting();
    events = events.filter(({ id }) => !gone.some((other) => other.id === id)).concat(come);
    let text;
    while ((text = JSON.stringify([lost - told, ...events])).length > MOST_KEPT || events[MOST]) {
        events.shift();
        lost++;
    }
    put(NAME, text);
}

/** The first events that one request may carry. */
function batch(events) {
    let size = 0;
    return events.filter((event, index) => {
        size += JSON.stringify(event).length;
        return !index || (size < LONGEST_BATCH && index < MOST);
    });
}

const body = (events, lost) =>
    JSON.stringify({
        v: 1,
        sent: Date.now(),
        ...decision(),
        auto: navigator.webdriver || undefined,
        lost: lost || undefined,
        events,
        // Halves of characters and U+0000 are no text to the server, and would cost the batch.
    }).replace(/\\(?:u(d...|0000)|.)/g, (escape, bad) => (bad ? "?" : escape));

const post = (body, keepalive) =>
    fetch(endpoint, {
        method: "POST",
        body,
        keepalive,
        credentials: mayUse() ? "include" : "omit",
        headers: config.debug ? { "Funnelhouse-Dry-Run": "1" } : {},
    });

/** Send what waits, one request at a time. */
export async function send() {
    const [lost, ...all] = waiting();
    if (isBusy || timer || failures >= TRIES || !all[0]) return;
    isBusy = true;
    const events = batch(all);
    const text = body(events, lost);
    try {
        // Browsers hold 64 KiB for all such requests together; without keepalive there is no limit.
        const response = await post(text, true).catch(() => post(text));
        // Until its body is read, an answered request still counts against those 64 KiB.
        const said = await response.text().catch(() => {});
        const { status } = response;
        if (config.debug) console.info(status, said, events);
        if (/^5|408|429/.test(status)) {
            notBefore = Date.now() + response.headers.get("Retry-After") * 1e3;
            throw status;
        }
        failures = 0;
        const isOut = get("fh_out");
        // Whoever opts out has no queue any more.
        if (!isOut) change([], events, lost);
        // The answer to what was sent before the visitor said no may have set a cookie.
        if (isOut || isDenied()) forget("fh_vid");
    } catch {
        const wait = Math.min(LONGEST_WAIT, 2e3 * 2 ** failures++ * (0.5 + Math.random()));
        timer = later(again, Math.max(wait, notBefore - Date.now() || 0));
    }
    isBusy = false;
    send();
}

function again() {
    clearTimeout(timer);
    timer = 0;
    send();
}

export function enqueue(event) {
    change([event], [], 0);
    // Whoever called goes on first.
    later(send);
}

/** The page may be gone in a moment. A beacon's arrival is never told, so its events stay until a page's next answer. */
export function flush() {
    if (mayUse() && Date.now() < notBefore) return;
    let [lost, ...rest] = waiting();
    rest = rest.filter(({ id }) => !beaconed.includes(id));
    beaconed += JSON.stringify(rest);
    while (rest[0]) {
        const events = batch(rest);
        rest = rest.slice(events.length);
        const text = body(events, lost);
        // Beacons carry cookies, and no headers of ours.
        if (!mayUse() || config.debug || !navigator.sendBeacon(endpoint, text)) post(text, true).catch(() => {});
    }
}

on(window, "online", () => {
    if (Date.now() < notBefore) return;
    failures = 0;
    again();
});
