// Cookies, localStorage, and memory where neither may be had; and the visitor's decision, which rules them.

import { config, isAdFree, isSilent } from "./config.js";
import { attempt } from "./quiet.js";

const DAY = 864e5;

/** How many days what is kept in a cookie lives. All is kept in localStorage, too, after the time of its writing. */
const DAYS = { fh_vid: 400, fh_ses: 1, fh_consent: 180 };

const isFull = config.storage !== "none" && !isSilent;

const memory = {};

/** The page is looked at: the browser's stores may be written, and events sent. */
export let isLive;

export const live = () => {
    isLive = true;
};

/** The project's domain, where this page is below it. */
const domain = `.${location.hostname}`.endsWith(config.cookie_domain) ? ";domain=" + config.cookie_domain : "";

// Browsers refuse their stores in sandboxed frames, where cookies are blocked, and when they are full.
const setCookie = (name, value, days, where) =>
    attempt(() => {
        document.cookie =
            `${name}=${value};path=/;samesite=lax;max-age=${days * 86400}` + where + (location.protocol[5] ? ";secure" : "");
    });

const drop = (name) => attempt(() => localStorage.removeItem(name));

/** Browsers' stores may be used for this name: for the visitor's decisions always, for others where these let us. */
export const mayUse = (name, isRead) =>
    /out/.test(name) || (isFull && (/con/.test(name) || ((isRead || isLive) && !isOpen() && !isDenied())));

/** What was read in this task: browsers ask other processes for what they keep, which takes its time. */
let seen = {};

export function get(name) {
    if (seen[name] == null) {
        const isReadable = mayUse(name, 1);
        const [, since, text] = (isReadable && attempt(() => localStorage[name].match(/(\d+)~(.*)/))) || [];
        seen[name] =
            (isReadable && attempt(() => document.cookie.match(`\\b${name}=([\\w.-]+)`)[1])) ||
            (Date.now() - since < (DAYS[name] || 1e4) * DAY ? text : memory[name]) ||
            "";
        queueMicrotask(() => (seen = {}));
    }
    return seen[name];
}

/** Keep a text: on this page, and where they may be written in the browser's stores. */
export function put(name, text) {
    memory[name] = text;
    // The visitor's decision rules what may be read of the rest.
    if (/con/.test(name)) seen = {};
    seen[name] = text;
    if (!mayUse(name)) return;
    if (DAYS[name]) setCookie(name, text, DAYS[name], domain);
    attempt(
        () => localStorage.setItem(name, Date.now() + "~" + text),
        // What is kept there is no longer true.
        () => drop(name),
    );
}

/** Forget what is kept under these names, everywhere. */
export const forget = (...names) => {
    for (const name of names) {
        memory[name] = seen[name] = "";
        drop(name);
        ["", domain].map((where) => setCookie(name, "", 0, where));
    }
};

/** What was decided of everything, and what follows for ads; undefined where nothing was. */
export function decision() {
    const [all, ads] = get("fh_consent").split(".");
    return { consent: all || undefined, ads: ads || (isAdFree || all === "denied" ? "denied" : all) || undefined };
}

export const isDenied = () => decision().consent === "denied";

/** Nothing may be written or sent yet. */
export const isOpen = () => config.consent === "required" && !decision().consent;

/** Click ids may be sent and handed on. */
export const mayAdvertise = () => decision().ads !== "denied";
