// Addresses as they are sent: without secrets, and without click ids where ads are denied.

import { clickIds, fragment, removed } from "./config.js";
import { quiet } from "./quiet.js";
import { mayAdvertise } from "./stores.js";

const fields = () => (mayAdvertise() ? clickIds : []).concat("utm_source,utm_medium,utm_campaign,utm_term,utm_content".split(","));

export const decoded = (text) => quiet(decodeURIComponent, () => text)(text);

/** An address that may be sent. Everything that stays keeps its spelling. */
export const sendable = (address) =>
    (address || "")
        // A fragment is kept only where it is the route: others hold what sign-ins left there.
        .replace(fragment, "")
        .replace(/([?&])([^=&#]+)=[^&#]*/g, (pair, before, written) => {
            const name = decoded(written);
            if (!mayAdvertise() && clickIds.includes(name)) return before;
            return removed.includes(name.toLowerCase()) ? before + written + "=removed" : pair;
        });

/** The UTM fields and click ids of an address. */
export function campaign(address) {
    const found = {};
    const query = new URL(address).searchParams;
    for (const name of fields()) {
        if (query.get(name)) found[name] = query.get(name);
    }
    return found;
}
