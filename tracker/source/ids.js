// Ids are made here, before any answer, so that every retry keeps its own.

const hex = (bytes) => [...bytes].map((byte) => (byte + 256).toString(16).slice(1)).join("");

/** A UUID of hexadecimal digits. */
const uuid = (digits, version) =>
    digits.replace(/(.{8})(.{4}).(...).(...)(.{12}).*/, `$1-$2-${version}$3-a$4-$5`);

/** A new id that sorts by time (RFC 9562, version 7). */
export const newId = () =>
    uuid("0" + Date.now().toString(16) + hex(crypto.getRandomValues(new Uint8Array(10))), 7);

/** The id of a text (version 8): the same text has the same id. By FNV-1a of 128 bits: crypto.subtle is asynchronous. */
export const idOf = (text) => {
    let hash = 1n;
    for (const character of text) {
        hash = BigInt.asUintN(128, (hash ^ BigInt(character.codePointAt())) * ((1n << 88n) + 315n));
    }
    return uuid(hash.toString(16).padStart(32, 0), 8);
};

const hashes = {};

/** SHA-256 in hexadecimal digits, once it is known; nothing until then, and on pages without https. */
export const hashOf = (text) => {
    crypto.subtle?.digest("SHA-256", new TextEncoder().encode(text)).then((digest) => {
        hashes[text] = hex(new Uint8Array(digest));
    });
    return hashes[text];
};
