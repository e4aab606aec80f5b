// Ids are made here, before any answer, so that every retry keeps its own.

const hex = (bytes) => Array.from(bytes, (byte) => (byte + 256).toString(16).slice(1)).join("");

/** A UUID of hexadecimal digits. */
const uuid = (digits, version) =>
    digits.replace(/(.{8})(.{4}).(...).(...)(.{12}).*/, `$1-$2-${version}$3-a$4-$5`);

/** A new id that sorts by time (RFC 9562, version 7). */
export const newId = () =>
    uuid("0" + Date.now().toString(16) + hex(crypto.getRandomValues(new Uint8Array(10))), 7);

/** The id of a text (version 8): the same text has the same id. No SHA: crypto.subtle is asynchronous. */
export const idOf = (text) => {
    const bytes = [];
    // Four hashes of 32 bits that begin and multiply differently.
    for (let lane = 4; lane--; ) {
        let hash = lane;
        for (const character of text) {
            hash = Math.imul(hash ^ character.codePointAt(), 2654435761 + 2 * lane);
            hash ^= hash >>> 15;
        }
        bytes.push(hash >>> 24, (hash >>> 16) & 255, (hash >>> 8) & 255, hash & 255);
    }
    return uuid(hex(bytes), 8);
};

const hashes = {};

/** SHA-256 in hexadecimal digits, once it is known; nothing until then, and on pages without https. */
export const hashOf = (text) => {
    if (crypto.subtle && hashes[text] == null) {
        hashes[text] = "";
        crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)).then((digest) => {
            hashes[text] = hex(new Uint8Array(digest));
        });
    }
    return hashes[text];
};
