// Links and forms that leave the page, and clicks that are events.

import { decoded } from "./addresses.js";
import { config, links, list } from "./config.js";
import { emit, mayHandOn, page } from "./events.js";
import { hashOf } from "./ids.js";
import { attempt, later, on } from "./quiet.js";
import { broughtBy, current } from "./sessions.js";

/** How long a link stays changed: some pages follow their links a moment after the click. */
const CHANGED_FOR = 1000;

const isOneOf = (hosts, host) => hosts.some((each) => `.${host}`.endsWith("." + each));

/** The ids of the visitor, the page view, and the session that it belongs to. */
function ids() {
    const { vid, sid } = current();
    return { vid, hit: page.hit, sid: page.sid || sid };
}

/** What a link to this address hands on. */
function handedOn({ href, host, hostname }) {
    const { vid, hit, sid } = ids();
    if (href.startsWith(links)) return { vid, hit, sid };
    if (host === location.host) return;
    const path = decoded(location.pathname).replace(/(.)\/$/, "$1");
    const isLander = page.pk ? page.pk === "lander" : [page.page, path].some((each) => config.landers.includes(each));
    const domains = list(config.link_domains);
    const { gclid, fbclid, msclkid } = broughtBy(page, sid);
    return {
        ...((domains[0] === "all" || (domains[0] === "landers" ? isLander : isOneOf(domains, hostname))) && {
            sessionId: sid,
            sessionHash: hashOf(sid),
            visitHash: hit && hashOf(hit),
            vid,
            hit,
            gclid,
            fbclid,
            msclkid,
        }),
        _fh: isOneOf(list(config.cross_domains), hostname) && `${vid}.${sid}.${Date.now().toString(36)}`,
    };
}

/** An address as it is followed: with what its host is told, unless it says so already. */
export const decorate = (address) =>
    attempt(
        () => {
            const url = new URL(address, document.baseURI);
            const given = /^http/.test(url.protocol) && mayHandOn() && handedOn(url);
            let { search } = url;
            for (const name in given) {
                // Not by searchParams, which spell what is there their own way.
                if (given[name] && !url.searchParams.has(name)) {
                    search += (search ? "&" : "?") + name + "=" + encodeURIComponent(given[name]);
                }
            }
            if (search === url.search) return address;
            url.search = search;
            return url.href;
        },
        () => address,
    );

let undo;

on(document, "click auxclick", (event) => {
    if (event.button > 1) return;
    // Out of the back/forward cache a link comes as it was followed.
    undo?.();
    const path = event.composedPath();
    const named = path.find(({ dataset }) => dataset?.fhEvent);
    if (named) emit("oa", "event", { name: named.dataset.fhEvent });
    const link = path.find(({ pathname }) => pathname);
    if (!link) return;
    const { host, href, origin, pathname } = link;
    if (config.outbound && /^http/.test(href) && host !== location.host && !href.startsWith(links)) {
        emit("oa", "event", { name: "link_click", props: { href: origin + pathname } });
    }
    const written = link.getAttribute("href");
    const changed = "fhPlain" in link.dataset ? href : decorate(href);
    if (changed === href) return;
    link.href = changed;
    // An address that somebody copies later must not hand this visitor on.
    undo = () => link.setAttribute("href", written);
    later(undo, CHANGED_FOR);
});

on(document, "submit", ({ target }) => {
    if (!target.matches("[data-fh-fill]") || !mayHandOn()) return;
    const { vid, hit, sid: sessionId } = ids();
    const given = { vid, hit, sessionId };
    for (const name in given) {
        const input = target.querySelector(`[name=${name}]`) || target.appendChild(document.createElement("input"));
        Object.assign(input, { type: "hidden", name, value: given[name] || "" });
    }
});
