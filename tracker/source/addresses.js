// Addresses as they are sent: without secrets, and without click ids where ads are denied.

import { clickIds, fragment, removed } from "./config.js";
import { attempt } from "./quiet.js";
import { mayAdvertise } from "./stores.js";

const UTM = ["utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content"];

export const decoded = (text) =>
    attempt(
        () => decodeURIComponent(text),
        () => text,
    );

/** An address that may be sent. Everything that stays keeps its spelling. */
export const sendable = (address = "") =>
    // A fragment is kept only where it is the route: others hold what sign-ins left there.
    address
        .replace(fragment, "")
        .replace(/([?&])([^=&#]+)=[^&#]*/g, (pair, before, written) => {
            const name = decoded(written);
            if (!mayAdvertise() && clickIds.includes(name)) return before;
            return removed.includes(name.toLowerCase()) ? before + written + "=removed" : pair;
        })
        .slice(0, 2048);

/** An address and where it was come from, as they are sent. */
export const sent = ({ url, ref }) => ({
    url: sendable(url),
    ref: sendable(ref) || undefined,
});

/** The UTM fields and click ids of an address. */
export function campaign(address = location.origin) {
    const found = {};
    const query = new URL(address).searchParams;
    for (const name of mayAdvertise() ? UTM.concat(clickIds) : UTM) {
        if (query.get(name)) found[name] = query.get(name);
    }
    return found;
}
